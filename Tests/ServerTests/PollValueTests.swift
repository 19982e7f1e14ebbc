import ClientProtocol
import HTTPCore
import Testing

@testable import Server

@Suite("Questions about connections, pure")
struct PollValueTests {
  private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  @Test("reads every question and answer that it writes, and nothing else")
  func codec() {
    let kinds: [ConnectionQuestion.Kind] = [
      .operation(bytes(#"{"type":"ping"}"#)), .operation([]), .poll(seq: .max, waitMilliseconds: 55_000), .end,
      .enginePoll(milliseconds: 35_000, tag: bytes("P1x")), .enginePoll(milliseconds: 0, tag: []),
      .enginePost(bytes("4hello\u{1E}bAQ==")), .enginePost([]),
    ]
    for kind in kinds {
      for user in [nil, [], bytes("ann"), bytes("a 1 2\n")] {
        for rights in [nil, [UInt8](repeating: 0x20, count: ConnectionOwner.rightsBytes)] {
          let owner = user.map { ConnectionOwner(user: $0, rights: rights) }
          let question = ConnectionQuestion(kind, of: bytes("n-1-abc"), by: owner)
          #expect(ConnectionQuestion(question.encoded) == question)
          for cut in 0..<question.encoded.count where kind == .end {
            #expect(ConnectionQuestion(Array(question.encoded[..<cut])) == nil)
          }
        }
      }
    }
    let wrong = [
      "", "e", "p", "x1 0 0 0 0 a", "e1 0 0 0 0 ", "e1 0 0 0 0 ab", "e2 0 0 0 0 a", "e1 3 0 0 0 a",
      "e1 99999999999999999999 0 0 0 a", "e1 0 0 0 a", "e1 0 32 0 0 a" + String(repeating: "r", count: 32),
      "e1 1 31 0 0 a" + String(repeating: "r", count: 31), "e1 1 32 0 0 a" + String(repeating: "r", count: 31),
      "e18446744073709551615 18446744073709551615 0 0 0 a", "p1 0 0 1 60001 a", "p1 0 0 x 1 a", "e 0 0 0 0 a",
      "g1 0 0 0 4200001 a", "g1 0 0 0 0 a" + String(repeating: "t", count: 65),
    ]
    for text in wrong { #expect(ConnectionQuestion(bytes(text)) == nil, "\(text)") }
    #expect(ConnectionQuestion(bytes("o1 0 0 0 0 a") + [0xFF]) == nil)
    let answer = ConnectionAnswer(status: 404, bytes("{}"))
    #expect(ConnectionAnswer(answer.encoded) == answer)
    for text in ["", "20", "abc", "099", "199{}", "600{}", "-20"] { #expect(ConnectionAnswer(bytes(text)) == nil) }
  }

  @Test("takes what waits in order, in answers of a size, and counts what others cause apart")
  func queue() {
    var queue = PollQueue()
    queue.push(bytes("1,2"))
    queue.push(bytes("3"), isSolicited: true)
    queue.push([])
    queue.push(bytes("444"))
    #expect(queue.byteCount == 7 && queue.unsolicitedBytes == 6)
    let first = queue.take(bytesMax: 4)
    #expect(first == bytes("1,2,3") && queue.byteCount == 3)
    let second = queue.take(bytesMax: 1)
    let third = queue.take(bytesMax: 1)
    #expect(second == bytes("444") && third.isEmpty && queue.isEmpty && queue.unsolicitedBytes == 0)
  }

  @Test("gives each since to the room before it")
  func rooms() throws {
    let text = bytes("user=x&room=a&since=1f:7&room=b&room=c%20d&since=2:0")
    let rooms = try PollEndpoint.rooms(Query(text.span))
    #expect(rooms.map(\.name) == [bytes("a"), bytes("b"), bytes("c d")])
    #expect(rooms.map { $0.since?.offset } == [7, nil, 0])
  }
}
