import ClientCore
import Testing

@testable import Commands

@Suite struct TailSessionTests {
  private func receive(_ session: inout TailSession, _ text: String) -> [TailSession.Action] {
    session.receive(text: Array(text.utf8).span)
  }

  private func sent(_ action: TailSession.Action) -> String? {
    if case .send(let bytes) = action { String(decoding: bytes, as: UTF8.self) } else { nil }
  }

  private func line(_ text: String) -> TailSession.Action { .print(Array(text.utf8)) }

  /// A session that has joined room `a` in epoch `e` at offset 5.
  private func joined() -> TailSession {
    var session = TailSession(rooms: ["a"], server: "ws://h/ws")
    _ = receive(&session, #"{"type":"welcome","connection":"c","node":"n","user":"u","pingInterval":25000}"#)
    _ = receive(&session, #"{"type":"joined","id":"0","room":"a","epoch":"e","offset":5,"members":1}"#)
    return session
  }

  @Test("joins every room when it is welcomed, the first time without a position")
  func welcome() {
    var session = TailSession(rooms: ["a", "b\"c"], server: "ws://h/ws")
    let actions = receive(&session, #"{"type":"welcome","connection":"c","user":"u","pingInterval":25000}"#)
    #expect(
      actions.map(sent) == [
        #"{"type":"join","room":"a","id":"0"}"#, #"{"type":"join","room":"b\"c","id":"1"}"#,
      ])
    #expect(session.pingIntervalMilliseconds == 25_000)
  }

  @Test("prints a message as it came and asks on the next connection for what follows it")
  func resumes() {
    var session = joined()
    let message = #"{"type":"message","room":"a","user":"u","offset":6,"ts":1,"n":12345678901234567890}"#
    #expect(receive(&session, message) == [line(message)])
    #expect(sent(session.join(0)) == #"{"type":"join","room":"a","id":"0","since":{"epoch":"e","offset":6}}"#)
  }

  @Test("keeps its place while missed messages arrive, so that a second cut loses nothing")
  func cutWhileResuming() {
    var session = joined()
    let actions = receive(
      &session, #"{"type":"joined","id":"0","room":"a","epoch":"e","offset":9,"members":1,"recovered":true}"#)
    #expect(actions == [.note("a: resumed after offset 5"), .settled])
    _ = receive(&session, #"{"type":"message","room":"a","user":"u","offset":6,"ts":1}"#)
    #expect(sent(session.join(0)) == #"{"type":"join","room":"a","id":"0","since":{"epoch":"e","offset":6}}"#)
  }

  @Test("goes on in an epoch that continues its own, asked for or not, and reports no gap")
  func succession() {
    var session = joined()
    let resumed = #"{"type":"joined","id":"0","room":"a","epoch":"f","offset":9,"members":1,"recovered":true}"#
    #expect(receive(&session, resumed) == [.note("a: resumed after offset 5"), .settled])
    let message = #"{"type":"message","room":"a","user":"u","offset":6,"ts":1}"#
    #expect(receive(&session, message) == [line(message)])
    let unasked = #"{"type":"joined","room":"a","epoch":"1f","offset":6,"members":1,"recovered":true}"#
    #expect(receive(&session, unasked) == [])
    #expect(sent(session.join(0)) == #"{"type":"join","room":"a","id":"0","since":{"epoch":"1f","offset":6}}"#)
  }

  @Test("prints a message that comes twice once")
  func repeated() {
    var session = joined()
    let message = #"{"type":"message","room":"a","user":"u","offset":6,"ts":1}"#
    #expect(receive(&session, message) == [line(message)])
    #expect(receive(&session, message) == [])
  }

  @Test("reports a gap that the server tells of, once, and goes on behind it")
  func gap() {
    var session = joined()
    #expect(
      receive(&session, #"{"type":"gap","room":"a","from":6,"to":8}"#) == [.note("a: gap: messages 6 to 8 are lost")])
    let message = #"{"type":"message","room":"a","user":"u","offset":9,"ts":1}"#
    #expect(receive(&session, message) == [line(message)])
  }

  @Test("prints what a wildcard brings, and reports that nothing of it is replayed")
  func wildcard() {
    var session = TailSession(rooms: ["news:*"], server: "ws://h/ws")
    let joined = #"{"type":"joined","id":"0","room":"news:*","members":0}"#
    #expect(receive(&session, joined) == [.note("news:*: joined"), .settled])
    let message = #"{"type":"message","room":"news:a","user":"u","offset":6,"ts":1}"#
    #expect(receive(&session, message) == [line(message)])
    #expect(
      receive(&session, #"{"type":"gap","room":"news:*"}"#) == [
        .note("news:*: gap: messages of rooms not heard before may be lost")
      ])
    #expect(sent(session.join(0)) == #"{"type":"join","room":"news:*","id":"0"}"#)
    #expect(
      receive(&session, joined) == [
        .note("news:*: joined again: gap: what was said meanwhile is not told"), .settled,
      ])
  }

  @Test("reports a hole in the offsets even when the server does not")
  func hole() {
    var session = joined()
    let message = #"{"type":"message","room":"a","user":"u","offset":8,"ts":1}"#
    #expect(receive(&session, message) == [.note("a: gap: messages 6 to 7 are lost"), line(message)])
  }

  @Test("reports that history did not reach back, and follows the new epoch")
  func notRecovered() {
    var session = joined()
    let actions = receive(
      &session, #"{"type":"joined","room":"a","epoch":"f","offset":2,"members":1,"recovered":false}"#)
    #expect(actions == [.note("a: gap: history no longer reaches back to offset 5"), .settled])
    #expect(sent(session.join(0)) == #"{"type":"join","room":"a","id":"0","since":{"epoch":"f","offset":2}}"#)
  }

  @Test("counts a binary message as the next offset and prints its payload in base64 (RFC 4648 section 4)")
  func binary() {
    var session = joined()
    let bytes: [UInt8] = [1, 1, UInt8(ascii: "a"), 2, UInt8(ascii: "u"), UInt8(ascii: "\""), 0xFF, 0x00]
    #expect(
      session.receive(binary: bytes.span)
        == [line(#"{"type":"message","room":"a","user":"u\"","offset":6,"binary":"/wA="}"#)])
    let message = #"{"type":"message","room":"a","user":"u","offset":7,"ts":1}"#
    #expect(receive(&session, message) == [line(message)])
  }

  @Test(
    "ignores a binary message that ends too early or is not UTF-8",
    arguments: [[], [1], [2, 0, 0], [1, 5, 97], [1, 1, 97], [1, 1, 97, 3, 98], [1, 1, 0xFF, 0]] as [[UInt8]])
  func brokenBinary(_ bytes: [UInt8]) {
    var session = joined()
    #expect(session.receive(binary: bytes.span) == [.note("ignored a binary message of an unknown form")])
  }

  @Test("keeps a message with line ends between its tokens on one line (RFC 8259 section 2)")
  func oneLine() {
    var session = joined()
    let message = "{\"type\":\"message\",\"room\":\"a\",\"offset\":6,\"x\":[1,\r\n2]}"
    let expected = "{\"type\":\"message\",\"room\":\"a\",\"offset\":6,\"x\":[1,  2]}"
    #expect(receive(&session, message) == [line(expected)])
  }

  @Test("lets a sender's members not speak for the server's")
  func forgedMembers() {
    var session = joined()
    let message = #"{"type":"message","room":"a","user":"u","offset":6,"ts":1,"type":"gap","offset":99}"#
    #expect(receive(&session, message) == [line(message)])
    #expect(sent(session.join(0)) == #"{"type":"join","room":"a","id":"0","since":{"epoch":"e","offset":6}}"#)
  }

  @Test("tries to join again after an error that passes", arguments: ["unavailable", "rate_limited", "internal"])
  func passingError(_ code: String) {
    var session = joined()
    let actions = receive(&session, "{\"type\":\"error\",\"id\":\"0\",\"code\":\"\(code)\",\"message\":\"later\"}")
    #expect(actions == [.note("a: later (\(code)); trying again"), .retry(room: 0)])
  }

  @Test(
    "gives up after an error that stays",
    arguments: [("forbidden", ExitStatus.noPermission), ("bad_room", ExitStatus.refusedData)])
  func lastingError(_ code: String, _ status: Int32) {
    var session = joined()
    let answer = "{\"type\":\"error\",\"id\":\"0\",\"code\":\"\(code)\",\"message\":\"no\"}"
    guard case .end(let failure)? = receive(&session, answer).first else {
      Issue.record("no end after \(code)")
      return
    }
    #expect(failure.status == status)
    #expect(failure.message.hasPrefix("ws://h/ws refused the room a: no (\(code))"))
  }

  @Test("waits longer each time up to a limit, and starts over when the connection has proved itself")
  func backoff() {
    var random = SystemRandomNumberGenerator()
    var backoff = Backoff()
    for ceiling in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
      #expect((50...ceiling).contains(backoff.next(using: &random)))
    }
    backoff.reset()
    #expect((50...500).contains(backoff.next(using: &random)))
  }
}
