import TestSupport
import Testing
import WebSocketCore

@Suite("One node, deadlines that nothing renews")
struct DeadlineTests {
  /// Sends what `again` gives, again and again, until the server says goodbye; throws when it never does.
  private func expectClosed(_ client: WebSocketClient, again: () throws -> Void) throws {
    let deadline = Deadline(within: 15)
    while deadline.millisecondsLeft > 0 {
      try? again()
      if client.connection.descriptor >= 0, let code = try? client.expectClose(within: 0.2) {
        #expect(code == 4408)
        return
      }
    }
    throw TestFailure("an unfinished message was kept")
  }

  private func open(_ flags: [String] = []) throws -> (RoostProcess, WebSocketClient) {
    let server = try RoostProcess(["--message-timeout", "1s", "--ping-interval", "300ms"] + flags)
    return (server, try server.connect("ann"))
  }

  @Test("closes an unfinished fragmented message although pings come and are answered (RFC 6455 section 5.4)")
  func pings() throws {
    let (server, client) = try open()
    try client.sendFrame(.text, Array(#"{"type":"#.utf8), fin: false)
    try expectClosed(client) { try client.sendFrame(.ping, [1]) }
    #expect(try server.metric(#"roost_limit_refusals_total{limit="message-timeout"}"#) == 1)
  }

  @Test("closes it although fragments go on coming, and frames are cut at will")
  func fragments() throws {
    let (server, client) = try open()
    // A pong of its own would stand in the middle of its ping.
    client.answersPings = false
    try client.sendFrame(.text, Array(#"{"type":"#.utf8), fin: false)
    // The rest of a ping, and the beginning of the next one: the reader is in the middle of a frame after each read.
    let ping: [UInt8] = [0x89, 0x81, 0, 0, 0, 0, 7]
    try client.connection.send(Array(ping[..<3]))
    try expectClosed(client) {
      try client.connection.send(Array(ping[3...] + ping[..<3]))
    }
    #expect(try server.http.get("/healthz").status == 200)
  }

  @Test("looks at the deadline also where pings are rare")
  func rarePings() throws {
    let server = try RoostProcess(["--message-timeout", "1s", "--ping-interval", "1h"])
    let client = try server.connect("ann")
    try client.connection.send([0x81])
    try expectClosed(client) {}
    #expect(try server.http.get("/healthz").status == 200)
  }

  @Test("keeps a client whose messages are complete, whatever they are cut into and however many pings it sends")
  func complete() throws {
    let (server, client) = try open()
    let deadline = Deadline(within: 3)
    let message: [UInt8] = Array(#"{"type":"ping"}"#.utf8)
    var frame: [UInt8] = [0x81, 0x80 | UInt8(message.count), 0, 0, 0, 0]
    frame += message
    while deadline.millisecondsLeft > 0 {
      try client.connection.send(Array(frame[..<4]))
      try client.sendRest(frame[4...], andBeginning: frame[..<3])
      try client.connection.send(Array(frame[3...]))
      try client.sendFrame(.ping, [])
      _ = try client.expect("pong")
    }
    #expect(try server.metric(#"roost_limit_refusals_total{limit="message-timeout"}"#) == 0)
  }
}

extension WebSocketClient {
  /// Sends the end of one frame and the beginning of another in one piece.
  fileprivate func sendRest(_ rest: ArraySlice<UInt8>, andBeginning beginning: ArraySlice<UInt8>) throws {
    try connection.send(Array(rest + beginning))
  }
}
