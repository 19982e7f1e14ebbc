import JSONCore
import TestSupport
import Testing

@Suite("Server, what a connection asks for never closes it", .serialized)
struct PacedReadTests {
  /// A text that does not compress.
  private static func noise(_ count: Int) -> String {
    var state: UInt64 = 88_172_645_463_325_252
    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    var bytes: [UInt8] = []
    for _ in 0..<count {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      bytes.append(letters[Int(state & 63)])
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Publishes so many messages in a room and returns where it was before, as `since`.
  private func fill(_ server: RoostProcess, _ room: String, _ count: Int, bytes: Int) throws -> String {
    let ann = try server.connect("ann")
    let joined = try ann.join(room)
    let text = PacedReadTests.noise(bytes)
    for n in 1...count { try ann.publish(room, "\"n\":\(n),\"text\":\"\(text)\"") }
    return #"{"epoch":"\#(try #require(joined.string("epoch")))","offset":0}"#
  }

  private func expectMessages(_ client: WebSocketClient, through last: Int) throws {
    try client.expect("message", within: 60) { $0.int("n") == last }
    let before = client.takeUnread().compactMap { event -> Int? in
      guard case .text(let text) = event else { return nil }
      let received = try? Received(text)
      return received?.type == "message" ? received?.int("n") : nil
    }
    #expect(before == Array(1..<last))
  }

  @Test(
    "a resume of more than max-queue holds comes whole and in order, on a socket that holds little too",
    arguments: [nil, 4096], [false, true])
  func resume(receiveBytes: Int32?, deflate: Bool) throws {
    let server = try RoostProcess(["--history-size", "60"])
    let since = try fill(server, "r", 60, bytes: 60_000)
    let bob = try server.connect("bob", receiveBytes: receiveBytes, deflate: deflate)
    let joined = try bob.join("r", since: since)
    #expect(joined["recovered"]?.asBool == true && joined.int("offset") == 60)
    try expectMessages(bob, through: 60)
    // It is a member like any other now.
    let ann = try server.connect("ann")
    try ann.join("r")
    try ann.publish("r", #""n":61"#)
    try bob.expect("message") { $0.int("n") == 61 }
    #expect(try server.metric("roost_slow_consumers_total") == 0)
  }

  @Test("a join with since does not close a client with the smallest queue that is allowed")
  func smallQueue() throws {
    let server = try RoostProcess(["--max-queue", "64k"])
    let since = try fill(server, "r", 30, bytes: 60_000)
    let bob = try server.connect("bob", receiveBytes: 4096)
    #expect(try bob.join("r", since: since)["recovered"]?.asBool == true)
    try expectMessages(bob, through: 30)
    #expect(try server.metric("roost_slow_consumers_total") == 0)
  }

  @Test("history comes in answers of 1 MiB; many that are asked for at once come one by one, and all of them")
  func histories() throws {
    let server = try RoostProcess()
    _ = try fill(server, "r", 40, bytes: 60_000)
    let bob = try server.connect("bob", receiveBytes: 4096)
    for n in 0..<20 { try bob.send(#"{"type":"history","room":"r","id":"h\#(n)"}"#) }
    // One that does not read gets no more than one answer made for it at a time.
    try eventually("an answer waits") { try server.metric("roost_queue_bytes") > 0 }
    #expect(try server.metric("roost_queue_bytes") < 2_000_000)
    for n in 0..<20 {
      let answer = try bob.expect("history", within: 60)
      #expect(answer.string("id") == "h\(n)")
      #expect(answer["more"]?.asBool == true)
    }
    #expect(try server.metric("roost_slow_consumers_total") == 0)
  }

  @Test("256 rooms that are resumed at once come whole, though their sum is more than max-queue")
  func manyRooms() throws {
    let server = try RoostProcess()
    var since: [String] = []
    for room in 0..<256 { since.append(try fill(server, "r\(room)", 1, bytes: 10_000)) }
    let bob = try server.connect("bob", receiveBytes: 4096)
    for room in 0..<256 {
      try bob.send(#"{"type":"join","room":"r\#(room)","since":\#(since[room])}"#)
    }
    for room in 0..<256 { try bob.expect("message", within: 60) { $0.string("room") == "r\(room)" } }
    #expect(try server.metric("roost_slow_consumers_total") == 0)
  }

  @Test("who asks and asks without reading is read no further, and gets every answer in the end")
  func answersPile() throws {
    let server = try RoostProcess(["--max-message", "1m", "--max-queue", "1m"])
    let bob = try server.connect("bob", receiveBytes: 4096)
    let name = String(repeating: "n", count: 190)
    for room in 0..<200 { try bob.join("\(name)\(room)") }
    var isSent = true
    var sent = 0
    // 40 KB each: far more than a queue may hold, and than the kernel takes.
    for n in 0..<400 where isSent {
      let operation = Array(#"{"type":"request","action":"rooms","id":"q\#(n)"}"#.utf8)
      isSent = (try? bob.sendFrame(.text, operation)) != nil
      sent += 1
    }
    try eventually("its queue is full", within: 60) { try server.metric("roost_queue_bytes") > 1_000_000 }
    #expect(try server.metric("roost_queue_bytes") < 3_000_000)
    for n in 0..<sent {
      _ = try bob.take("answer \(n)", within: 60) {
        if case .text(let text) = $0 { text.hasPrefix(#"{"id":"q\#(n)""#) } else { false }
      }
    }
    #expect(try server.metric("roost_slow_consumers_total") == 0)
  }

  @Test("the admin endpoint pages presence and history as well")
  func adminPages() throws {
    let server = try RoostProcess()
    _ = try fill(server, "r", 20, bytes: 60_000)
    let clients = try (10..<20).map { try server.connect("user\($0)") }
    for client in clients { try client.join("r") }
    let first = try server.inspect("presence/r?limit=4")
    let users = first["members"]?.asArray?.compactMap { $0["user"]?.asString } ?? []
    #expect(users == (10..<14).map { "user\($0)" })
    #expect(first["users"]?.asInt == 10 && first["count"]?.asInt == 10)
    let cursor = try #require(first["cursor"]?.asString)
    let rest = try server.inspect("presence/r?cursor=\(cursor)")
    #expect(rest["members"]?.asArray?.count == 6 && rest["cursor"] == .null)
    #expect(try server.admin("GET", "presence/r?limit=10001").status == 400)
    let history = try server.inspect("history/r")
    let messages = history["messages"]?.asArray ?? []
    #expect(history["more"]?.asBool == true && (10..<20).contains(messages.count))
    let epoch = try #require(history["epoch"]?.asString)
    let last = try #require(messages.last?["offset"]?.asInt)
    let more = try server.inspect("history/r?since=\(epoch):\(last)")
    #expect(more["messages"]?.asArray?.count == 20 - messages.count && more["more"] == nil)
  }
}
