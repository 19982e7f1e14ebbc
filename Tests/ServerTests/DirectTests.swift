import TestSupport
import Testing

@Suite("One node, messages outside of rooms")
struct DirectTests {
  private let text = String(repeating: "x", count: 20_000)

  /// The texts that a client has received and not looked at, and the code it was closed with.
  private func received(by client: WebSocketClient) throws -> (texts: [Received], close: UInt16?) {
    var (texts, close): ([Received], UInt16?) = ([], nil)
    for event in client.takeUnread() {
      if case .text(let text) = event { texts.append(try Received(text)) }
      if case .close(let code, _) = event { close = code }
    }
    return (texts, close)
  }

  @Test(
    "strangers cannot close a reader that is slow: what it cannot take is dropped, not counted as delivered, and told once",
    arguments: ["on", "off"])
  func stranger(ring: String) throws {
    let server = try RoostProcess(["--max-queue", "128k", "--io-uring", ring])
    let (ann, eve) = (try server.connect("ann"), try server.connect("eve"))
    let bob = try server.connect("bob", receiveBytes: 4096)
    for client in [ann, bob] { try client.join("r") }
    var delivered = 0
    for _ in 0..<800 {
      delivered += try eve.ask(#""type":"direct","to":"bob","text":"\#(text)""#).int("delivered") ?? 0
    }
    #expect(delivered < 800)
    // The rooms that it has joined have their part of the queue.
    try ann.publish("r", #""n":1"#)
    let notice = try bob.expect("direct_dropped", within: 20)
    #expect(notice.int("count") == 800 - delivered)
    #expect(try bob.ask(#""type":"ping""#).type == "pong")
    let (texts, close) = try received(by: bob)
    #expect(close == nil)
    #expect(texts.count { $0.type == "direct" } == delivered)
    #expect(texts.contains { $0.type == "message" && $0.int("n") == 1 })
    #expect(try server.metric("roost_slow_consumers_total") == 0)
    #expect(try eve.ask(#""type":"direct","to":"bob","text":"\#(text)""#).int("delivered") == 1)
  }

  @Test("a burst that arrives at once is no reason to drop anything for a reader that reads")
  func burst() throws {
    let server = try RoostProcess(["--max-queue", "256k"])
    let (bob, eve) = (try server.connect("bob"), try server.connect("eve"))
    for n in 0..<40 { try eve.send(#"{"type":"direct","to":"bob","n":\#(n),"text":"\#(text)"}"#) }
    for n in 0..<40 { #expect(try bob.expect("direct").int("n") == n) }
    #expect(try bob.settle().isEmpty)
  }

  @Test("broadcasts and the operator's own messages close nobody either")
  func operators() throws {
    let server = try RoostProcess(["--max-queue", "128k"])
    let eve = try server.connect("eve")
    let bob = try server.connect("bob", receiveBytes: 4096)
    for _ in 0..<400 { #expect(try eve.ask(#""type":"broadcast","text":"\#(text)""#).type == "ack") }
    for _ in 0..<100 {
      #expect(try server.admin("POST", "direct", body: #"{"to":"bob","data":{"text":"\#(text)"}}"#).status == 200)
    }
    #expect((try bob.expect("direct_dropped", within: 20).int("count") ?? 0) > 0)
    #expect(try bob.ask(#""type":"ping""#).type == "pong")
    #expect(try received(by: bob).close == nil)
  }

  @Test("--client-direct off and permission, and the permission to send them in a token")
  func policy() throws {
    let off = try RoostProcess(["--client-direct", "off"])
    let ann = try off.connect("ann")
    #expect(try ann.ask(#""type":"direct","to":"ann""#).string("code") == "forbidden")
    // The operator still may.
    #expect(try off.admin("POST", "direct", body: #"{"to":"ann","data":{}}"#).json()["delivered"]?.asInt == 1)
    let asked = try RoostProcess(MintedToken.flags + ["--client-direct", "permission"])
    let (bob, eve) = (
      try asked.connect(token: try MintedToken.make(#""sub":"bob","permissions":["direct"]"#)),
      try asked.connect(token: try MintedToken.make(#""sub":"eve""#))
    )
    #expect(try bob.ask(#""type":"direct","to":"eve""#).int("delivered") == 1)
    #expect(try eve.ask(#""type":"direct","to":"bob""#).string("code") == "forbidden")
  }

  @Test("--direct-rate limits what one user is sent")
  func rate() throws {
    let server = try RoostProcess(["--direct-rate", "2"])
    let (ann, eve) = (try server.connect("ann"), try server.connect("eve"))
    let codes = try (0..<10).map { _ in try eve.ask(#""type":"direct","to":"ann""#).string("code") }
    #expect(codes.prefix(2) == [nil, nil] && codes.contains("rate_limited"))
    #expect(try ann.settle().count == codes.count { $0 == nil })
  }

  @Test("--rate is not renewed by connecting again")
  func reconnect() throws {
    let server = try RoostProcess(["--rate", "20"])
    var taken = 0
    for n in 0..<10 {
      let client = try server.connect("guest\(n)")
      for _ in 0..<40 { try client.send(#"{"type":"ping"}"#) }
      var (answers, isOpen) = (0, true)
      while answers < 40, isOpen {
        let event = try client.take("an answer") { _ in true }
        guard case .text(let text) = event else { isOpen = false; continue }
        answers += 1
        if try Received(text).type == "pong" { taken += 1 }
      }
      try client.sendClose(1000)
      try client.expectClose()
    }
    // Ten bursts of 20 without it; with it one, and what the time of the test brings.
    #expect(taken < 100, "\(taken)")
  }
}
