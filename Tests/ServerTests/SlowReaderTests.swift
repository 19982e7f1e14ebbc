import JSONCore
import TestSupport
import Testing

@Suite("Server, slow readers under room rules", .serialized)
struct SlowReaderTests {
  private static let text = String(repeating: "x", count: 20_000)

  /// Publishes until the node has queued or kept something for a slow reader and then `more` messages, and returns the
  /// last offset. Another member reads along and must get every message.
  private func flood(
    _ server: RoostProcess, _ ann: WebSocketClient, _ bob: WebSocketClient, more: Int, _ members: (Int) -> String
  ) throws -> Int {
    var offset = 0
    var left = more
    while left > 0, offset < 5000 {
      offset = try ann.publish("r", "\(members(offset + 1)),\"text\":\"\(SlowReaderTests.text)\"")
      #expect(try bob.expect("message").int("offset") == offset)
      if try server.metric("roost_queue_bytes") > 0 { left -= 1 }
    }
    try #require(left == 0, "the reader was never slow")
    return offset
  }

  private func enter(_ server: RoostProcess) throws -> (
    ann: WebSocketClient, bob: WebSocketClient, slow: WebSocketClient
  ) {
    let clients = (
      ann: try server.connect("ann"), bob: try server.connect("bob"),
      slow: try server.connect("slow", receiveBytes: 4096)
    )
    for client in [clients.ann, clients.bob, clients.slow] { try client.join("r") }
    return clients
  }

  /// The messages and gaps up to the message with `offset`, in the order in which they came.
  private func story(_ client: WebSocketClient, through offset: Int) throws -> [Received] {
    let last = try client.expect("message", within: 30) { $0.int("offset") == offset }
    let seen = try client.takeUnread().compactMap { event -> Received? in
      guard case .text(let text) = event else { return nil }
      let received = try Received(text)
      return received.type == "message" || received.type == "gap" ? received : nil
    }
    return seen + [last]
  }

  @Test(
    "drop-oldest: a reader that stopped gets one gap for what was dropped, the newest messages, and keeps its connection",
    arguments: ["on", "off"])
  func dropOldest(ring: String) throws {
    let server = try SettingsFileOnDisk.node(
      rooms: #"[{"match":"r","slow":"drop-oldest","queue":"200k"}]"#, ["--max-queue", "256k", "--io-uring", ring])
    let (ann, bob, slow) = try enter(server)
    let last = try flood(server, ann, bob, more: 40) { "\"n\":\($0)" }
    #expect(try server.metric("roost_queue_bytes") < 600_000)
    let seen = try story(slow, through: last)
    #expect(seen.filter { $0.type == "gap" }.count == 1)
    var next = 1
    for received in seen {
      if received.type == "gap" {
        #expect(received.int("from") == next)
        next = try #require(received.int("to"))
      } else {
        #expect(received.int("offset") == next)
      }
      next += 1
    }
    #expect(next == last + 1)
    let dropped = try server.metric(#"roost_slow_messages_total{outcome="dropped"}"#)
    #expect(dropped == Double(last - seen.count + 1))
    #expect(try server.metric("roost_slow_consumers_total") == 0)
    #expect(try server.metric("roost_queue_bytes") == 0)
    // Back among the others.
    #expect(try slow.publish("r", #""n":0"#) == last + 1)
    #expect(try ann.publish("r", #""n":1"#) == last + 2)
    #expect(try slow.expect("message").int("offset") == last + 2)
  }

  @Test("latest: a reader that stopped gets the newest message of each key, in order, and no gap")
  func latest() throws {
    let server = try SettingsFileOnDisk.node(
      rooms: #"[{"match":"r","slow":"latest","key":"symbol"}]"#, ["--max-queue", "256k"])
    let (ann, bob, slow) = try enter(server)
    let last = try flood(server, ann, bob, more: 60) { "\"symbol\":\"s\($0 % 3)\"" }
    #expect(try server.metric("roost_queue_bytes") < 600_000)
    let seen = try story(slow, through: last)
    #expect(!seen.contains { $0.type == "gap" })
    let offsets = seen.compactMap { $0.int("offset") }
    #expect(offsets == offsets.sorted() && Set(offsets).count == offsets.count)
    #expect(offsets.suffix(3) == [last - 2, last - 1, last])
    #expect(offsets.count < last)
    let conflated = try server.metric(#"roost_slow_messages_total{outcome="conflated"}"#)
    #expect(conflated == Double(last - offsets.count))
    #expect(try server.metric(#"roost_slow_messages_total{outcome="dropped"}"#) == 0)
    #expect(try server.metric("roost_slow_consumers_total") == 0)
  }

  @Test("spares a reader only in rooms whose rule says so: in others it is closed with 4408")
  func onlyWhereTheRuleSaysSo() throws {
    let server = try SettingsFileOnDisk.node(
      rooms: #"[{"match":"spared","slow":"drop-oldest"}]"#, ["--max-queue", "64k"])
    let (ann, bob, slow) = try enter(server)
    for client in [ann, slow] { try client.join("spared") }
    var offset = 0
    while try server.metric("roost_slow_consumers_total") == 0, offset < 2000 {
      try ann.publish("spared", "\"text\":\"\(SlowReaderTests.text)\"")
      offset = try ann.publish("r", "\"text\":\"\(SlowReaderTests.text)\"")
      #expect(try bob.expect("message").int("offset") == offset)
    }
    #expect(try slow.expectClose(within: 20) == 4408)
    #expect(try server.metric("roost_queue_bytes") == 0)
  }

  @Test("throttle: everything arrives in order, and who joins in between begins exactly where its answer says")
  func throttle() throws {
    let server = try SettingsFileOnDisk.node(rooms: #"[{"match":"r","throttle":"50ms"}]"#)
    let (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
    for client in [ann, bob] { try client.join("r") }
    for n in 1...100 { try ann.send(#"{"type":"message","room":"r","n":\#(n)}"#) }
    let late = try server.connect("late")
    let start = try #require(try late.join("r").int("offset"))
    let last = try ann.publish("r", #""last":true"#)
    try bob.expect("message") { $0.int("offset") == last }
    try late.expect("message") { $0.int("offset") == last }
    func offsets(_ client: WebSocketClient) throws -> [Int] {
      try client.settle().filter { $0.type == "message" }.compactMap { $0.int("offset") }
    }
    #expect(try offsets(bob) == Array(1..<last))
    #expect(try offsets(late) == Array((start + 1)..<last))
  }

  @Test("rules for access, presence and history hold for real clients; backends may always publish")
  func rules() throws {
    let server = try SettingsFileOnDisk.node(
      rooms: """
        [{"match":"closed:*","join":false},{"match":"read:*","publish":false,"history-size":2},
         {"match":"quiet:*","presence":false,"history-size":0}]
        """)
    let (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
    #expect(try ann.ask(#""type":"join","room":"closed:1""#).string("code") == "forbidden")
    try ann.join("read:1")
    #expect(try ann.ask(#""type":"message","room":"read:1","n":1"#).string("code") == "forbidden")
    for n in 1...3 {
      #expect(try server.admin("POST", "publish", body: #"{"room":"read:1","data":{"n":\#(n)}}"#).status == 200)
    }
    #expect(try ann.expect("message").int("n") == 1)
    let kept = try ann.ask(#""type":"history","room":"read:1""#)["messages"]?.asArray?.compactMap { $0["n"]?.asInt }
    #expect(kept == [2, 3])
    let joined = try ann.join("quiet:1")
    #expect(joined.int("members") == 0)
    let epoch = try #require(joined.string("epoch"))
    try bob.join("quiet:1")
    try bob.publish("quiet:1", #""n":1"#)
    #expect(try ann.expect("message") { $0.string("room") == "quiet:1" }.int("n") == 1)
    bob.connection.closeNow()
    #expect(try server.inspect("presence/quiet:1")["users"]?.asInt == 0)
    #expect(try !ann.settle().contains { $0.type == "user_joined" || $0.type == "user_left" })
    let late = try server.connect("late")
    let resumed = try late.join("quiet:1", since: #"{"epoch":"\#(epoch)","offset":0}"#)
    #expect(resumed["recovered"]?.asBool == false, "nothing is kept to resume from")
  }
}
