import Realtime
import Testing

@testable import RedisBackend

/// The pure parts of the Redis backend.
@Suite struct RedisValueTests {
  private struct Highest: RandomNumberGenerator {
    mutating func next() -> UInt64 { .max }
  }
  private struct Lowest: RandomNumberGenerator {
    // Small, but not 0: the standard library draws again, for ever, on account of a bias that 0 would have.
    mutating func next() -> UInt64 { 1 << 50 }
  }

  @Test("doubles the backoff's ceiling from 50 ms to 2 s, with jitter below it, until it is reset")
  func backoff() {
    var backoff = Backoff()
    var highest = Highest()
    var lowest = Lowest()
    #expect((0..<8).map { _ in backoff.next(using: &highest) } == [50, 100, 200, 400, 800, 1600, 2000, 2000])
    #expect(backoff.next(using: &lowest) == 25)
    backoff.reset()
    #expect(backoff.next(using: &highest) == 50)
  }

  @Test("writes commands as arrays of bulk strings")
  func commands() {
    var writer = CommandWriter()
    writer.command(parts: 5)
    writer.bulk("SET")
    writer.bulk(bytes("p:{r:"), bytes("é\r\n"), "}:meta")
    writer.bulk(-12)
    writer.bulk(true)
    writer.bulk([UInt8]())
    #expect(
      String(decoding: writer.bytes, as: UTF8.self)
        == "*5\r\n$3\r\nSET\r\n$15\r\np:{r:é\r\n}:meta\r\n$3\r\n-12\r\n$1\r\n1\r\n$0\r\n\r\n")
  }

  @Test("finds replies wherever the bytes are cut", arguments: 1...9)
  func replies(step: Int) {
    let input = bytes("+OK\r\n:12\r\n$-1\r\n*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\na\r\nb!\r\n-ERR no\r\n")
    let reader = ReplyReader()
    var heard: [String] = []
    for start in stride(from: 0, to: input.count, by: step) {
      let isWellFormed = input[start..<min(start + step, input.count)].withUnsafeBytes { slice in
        reader.feed(slice) { reply in
          let text = reply.count == 3 ? reply[2].text : reply.text
          heard.append("\(reply.kind) \(reply.integer) \(reply.count) \(text)")
          return true
        }
      }
      #expect(isWellFormed)
    }
    #expect(heard == ["status 0 0 OK", "integer 12 0 ", "null 0 0 ", "array 0 3 a\r\nb!", "error 0 0 ERR no"])
  }

  @Test("refuses what is not the Redis protocol")
  func nonsense() {
    let reader = ReplyReader()
    #expect(!bytes("HTTP/1.1 400 Bad Request\r\n").withUnsafeBytes { reader.feed($0) { _ in true } })
  }

  @Test("answers pending commands in order, across the compaction of their list")
  func pendingReplies() {
    var pending = PendingReplies()
    var answered: [Int] = []
    for i in 0..<5000 { pending.append({ _ in answered.append(i) }, at: UInt64(i)) }
    for i in 0..<3000 {
      let command = pending.popFirst()
      #expect(command?.writtenAt == UInt64(i))
      command?.handler(nil)
    }
    #expect(answered.count == 3000)
    for handler in pending.takeAll() { handler(nil) }
    #expect(answered == Array(0..<5000))
    #expect(pending.isEmpty && pending.popFirst() == nil)
  }

  @Test("tells what a channel is for by the lengths of its ends", arguments: ["a", "}:ch", "{r:", "x}:ch}:ch", ":"])
  func channels(name: String) {
    let keys = RedisKeys(prefix: "p", schema: nil)
    #expect(keys.target(of: keys.roomChannel(bytes(name)).span) == .room(5..<(5 + name.utf8.count)))
    #expect(keys.target(of: keys.userChannel(bytes(name)).span) == .user(5..<(5 + name.utf8.count)))
    #expect(keys.target(of: bytes("p:{all}:ch").span) == .everyone)
    for stranger in ["p:{all}:chx", "p:{r:}:ch", "p:{r:a}:meta", "q:{r:a}:ch", ""] {
      #expect(keys.target(of: bytes(stranger).span) == nil)
    }
  }

  @Test("reads the node from a connection's name up to its last dash")
  func nodeOfConnection() {
    #expect(RedisKeys.node(ofConnection: bytes("a-b-7")) == bytes("a-b"))
    #expect(RedisKeys.node(ofConnection: bytes("nodash")) == nil)
  }

  @Test("bounds a page of rooms by prefix and cursor")
  func roomRange() {
    func bounds(_ prefix: [UInt8], _ cursor: String?) -> [[UInt8]] {
      let range = RoomRange(prefix: prefix, cursor: cursor.map(bytes), limit: 1)
      return [range.lower, range.upper]
    }
    #expect(bounds([], nil) == [bytes("-"), bytes("+")])
    #expect(bounds(bytes("ab"), nil) == [bytes("[ab"), bytes("(ac")])
    #expect(bounds(bytes("ab"), "abc") == [bytes("(abc"), bytes("(ac")])
    #expect(bounds(bytes("ab"), "aa") == [bytes("[ab"), bytes("(ac")])
    #expect(bounds([0x61, 0xFF], nil) == [bytes("[a") + [0xFF], bytes("(b")])
    #expect(bounds([0xFF], nil)[1] == bytes("+"))
  }

  @Test("keeps every field of a member through its JSON, and refuses foreign values")
  func memberCodec() {
    let member = Member(
      name: bytes("n-1-7"), node: bytes("n-1"), user: bytes("a\"\\\n/é"), transport: .poll, address: bytes("::1"),
      since: 1_700_000_000_123, info: bytes(#"{"a":[1,{"b":null}]}"#))
    #expect(MemberCodec.decode(name: member.name, MemberCodec.encode(member).span) == member)
    var plain = member
    plain.info = nil
    #expect(MemberCodec.decode(name: plain.name, MemberCodec.encode(plain).span) == plain)
    for foreign in ["", "1", "{}", #"{"user":"a"}"#, #"{"user":"a","transport":"carrier pigeon","since":1}"#] {
      #expect(MemberCodec.decode(name: member.name, bytes(foreign).span) == nil)
    }
  }

  @Test("takes a link for dead after 2 s of an answer owed and nothing heard")
  func liveness() {
    var owing = Liveness()
    #expect((0..<5).map { _ in owing.look(owes: true) } == [.alive, .alive, .alive, .alive, .dead])
    var quiet = Liveness()
    #expect((0..<9).map { _ in quiet.look(owes: false) } == [Liveness.Verdict](repeating: .alive, count: 9))
    var talking = Liveness()
    for _ in 0..<20 {
      talking.received()
      #expect((0..<4).map { _ in talking.look(owes: true) } == [.alive, .alive, .alive, .alive])
    }
  }

  @Test("drops what was sent and keeps the rest of the output, whatever part the kernel takes")
  func output() {
    var output = OutputBuffer()
    let part = [UInt8](repeating: 7, count: RedisLimits.keptOutputBytes)
    for _ in 0..<3 { output.writer.bulk(part) }
    let total = output.unsentCount
    output.sent(RedisLimits.keptOutputBytes + 5)
    #expect(output.unsentCount == total - RedisLimits.keptOutputBytes - 5)
    #expect(output.withUnsentBytes { $0.count } == output.unsentCount)
    output.sent(output.unsentCount)
    output.writer.bulk("x")
    #expect(output.withUnsentBytes { Array($0) } == bytes("$1\r\nx\r\n"))
  }

  @Test("keeps a bounded offline queue and reports when it was too much")
  func queue() {
    var queue = OfflineQueue()
    let member = Member(
      name: bytes("n-1"), node: bytes("n"), user: bytes("u"), transport: .sse, address: [], since: 1, info: nil)
    for _ in 0..<RedisLimits.offlineQueueMax { queue.append(.connect(member)) }
    #expect(!queue.hasOverflowed)
    queue.append(.disconnect(member))
    #expect(queue.hasOverflowed && queue.entries.isEmpty)
    #expect(queue.takeAll().count == 0)
    #expect(!queue.hasOverflowed)
  }
}
