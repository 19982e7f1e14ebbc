import TestSupport
import Testing

@Suite("One node, its rooms over WebSocket")
struct RoomTests {
  @Test("greets with welcome: connection, node, user and ping interval")
  func welcome() throws {
    let server = try RoostProcess(["--node-id", "n1", "--ping-interval", "7s"])
    let client = try WebSocketClient(port: server.port, target: "/ws?user=J%C3%BCrgen")
    let welcome = try client.expect("welcome")
    #expect(welcome.string("user") == "Jürgen")
    #expect(welcome.string("node") == "n1")
    #expect(welcome.string("connection")?.hasPrefix("n1-") == true)
    #expect(welcome.int("pingInterval") == 7000)
  }

  @Test("names whoever gives no name guest-XXXX")
  func guest() throws {
    let server = try RoostProcess()
    for target in ["/ws", "/ws?user="] {
      let name = try WebSocketClient(port: server.port, target: target).expect("welcome").string("user") ?? ""
      #expect(name.hasPrefix("guest-") && name.count == 10, "\(name)")
    }
  }

  @Test("carries a message to every other member, once, and acks its sender")
  func message() throws {
    let server = try RoostProcess()
    let (ann, bob, eve) = (try server.connect("ann"), try server.connect("bob"), try server.connect("eve"))
    let joined = try ann.join("r")
    #expect(joined.int("offset") == 0)
    #expect(joined.int("members") == 1)
    #expect(try bob.join("r").int("members") == 2)
    try eve.join("other")
    let ack = try ann.ask(#""type":"message","room":"r","text":"hi""#)
    #expect(ack.type == "ack")
    #expect(ack.int("offset") == 1)
    #expect(ack.string("epoch") == joined.string("epoch"))
    let message = try bob.expect("message")
    #expect(message.string("user") == "ann")
    #expect(message.string("room") == "r")
    #expect(message.int("offset") == 1)
    #expect(message.string("text") == "hi")
    #expect((message.int("ts") ?? 0) > 1_700_000_000_000)
    #expect(message["id"] == nil)
    #expect(try ann.settle().map(\.type) == ["user_joined"])
    #expect(try bob.settle().isEmpty)
    #expect(try eve.settle().isEmpty)
  }

  @Test("delivers to the sender too with echo, and to its other connection without")
  func echo() throws {
    let server = try RoostProcess()
    let (first, second) = (try server.connect("ann"), try server.connect("ann"))
    try first.join("r")
    try second.join("r")
    try first.publish("r", #""echo":true,"n":1"#)
    try first.publish("r", #""n":2"#)
    #expect(try first.settle().map { $0.int("n") } == [1])
    #expect(try second.settle().map { $0.int("n") } == [1, 2])
  }

  @Test("publishes an id once and acks the retry with the first offset")
  func idempotent() throws {
    let server = try RoostProcess()
    let (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
    try ann.join("r")
    try bob.join("r")
    for _ in 0..<3 { try ann.send(#"{"type":"message","room":"r","id":"same","n":1}"#) }
    for _ in 0..<3 { #expect(try ann.expect("ack").int("offset") == 1) }
    try bob.send(#"{"type":"message","room":"r","id":"same","n":2}"#)
    #expect(try bob.expect("ack").int("offset") == 2)
    #expect(try bob.settle().filter { $0.type == "message" }.count == 1)
  }

  @Test("passes binary messages with the sender's name in front")
  func binary() throws {
    let server = try RoostProcess()
    let (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
    try ann.join("r")
    try bob.join("r")
    let payload = (0...255).map { UInt8($0) }
    try ann.send(binary: [1, 1] + Array("r".utf8) + payload)
    #expect(try bob.expectBinary() == [1, 1] + Array("r".utf8) + [3] + Array("ann".utf8) + payload)
    try ann.send(binary: [1, 9] + Array("elsewhere".utf8) + payload)
    #expect(try ann.expect("error").string("code") == "not_joined")
    for bad in [[], [2, 1, 0x72], [1], [1, 5, 0x72], [1, 0]] as [[UInt8]] {
      try ann.send(binary: bad)
      #expect(["bad_request", "bad_room"].contains(try ann.expect("error").string("code")), "\(bad)")
    }
  }

  @Test("says user_joined and user_left for a user's first and last connection only")
  func presenceChanges() throws {
    let server = try RoostProcess()
    let (ann, first, second) = (try server.connect("ann"), try server.connect("bob"), try server.connect("bob"))
    try ann.join("r")
    try first.join("r")
    try second.join("r")
    #expect(try ann.settle().map(\.text) == [#"{"type":"user_joined","room":"r","user":"bob"}"#])
    #expect(try first.ask(#""type":"leave","room":"r""#).type == "left")
    #expect(try ann.settle().isEmpty)
    let presence = try ann.ask(#""type":"presence","room":"r""#)
    #expect(presence.int("count") == 2)
    #expect(presence["members"]?.asArray?.compactMap { $0["user"]?.asString }.sorted() == ["ann", "bob"])
    #expect(presence["members"]?.asArray?.allSatisfy { $0["connections"]?.asInt == 1 } == true)
    second.connection.closeNow()
    #expect(try ann.expect("user_left").text == #"{"type":"user_left","room":"r","user":"bob"}"#)
  }

  @Test("carries direct messages to all of a user's connections and counts them")
  func direct() throws {
    let server = try RoostProcess()
    let (ann, first, second) = (try server.connect("ann"), try server.connect("bob"), try server.connect("bob"))
    #expect(try ann.ask(#""type":"direct","to":"bob","text":"psst""#).int("delivered") == 2)
    for bob in [first, second] {
      let direct = try bob.expect("direct")
      #expect(direct.string("user") == "ann")
      #expect(direct.string("text") == "psst")
    }
    #expect(try ann.ask(#""type":"direct","to":"nobody","text":"psst""#).int("delivered") == 0)
    #expect(try ann.settle().isEmpty)
  }

  @Test("carries a broadcast to everyone but the broadcaster")
  func broadcast() throws {
    let server = try RoostProcess()
    let (ann, bob, eve) = (try server.connect("ann"), try server.connect("bob"), try server.connect("eve"))
    #expect(try ann.ask(#""type":"broadcast","text":"all""#).type == "ack")
    for client in [bob, eve] {
      let broadcast = try client.expect("broadcast")
      #expect(broadcast.string("user") == "ann")
      #expect(broadcast.string("text") == "all")
    }
    #expect(try ann.settle().isEmpty)
  }

  @Test("resumes with since: what was missed in order, then live; recovered false past the history")
  func resume() throws {
    let server = try RoostProcess(["--history-size", "5"])
    let (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
    let epoch = try bob.join("r").string("epoch") ?? ""
    try ann.join("r")
    for n in 1...3 { try ann.publish("r", "\"n\":\(n)") }
    bob.connection.closeNow()
    for n in 4...6 { try ann.publish("r", "\"n\":\(n)") }
    let back = try server.connect("bob")
    let joined = try back.join("r", since: #"{"epoch":"\#(epoch)","offset":3}"#)
    #expect(joined["recovered"]?.asBool == true)
    #expect(joined.int("offset") == 6)
    try ann.publish("r", "\"n\":7")
    #expect(try back.settle().filter { $0.type == "message" }.compactMap { $0.int("offset") } == [4, 5, 6, 7])
    for since in [#"{"epoch":"\#(epoch)","offset":1}"#, #"{"epoch":"abc","offset":7}"#] {
      let late = try server.connect("late")
      #expect(try late.join("r", since: since)["recovered"]?.asBool == false, "\(since)")
      #expect(try late.settle().filter { $0.type == "message" }.isEmpty)
    }
  }

  @Test("answers history: the newest in ascending order, or what came after an offset")
  func history() throws {
    let server = try RoostProcess()
    let ann = try server.connect("ann")
    let epoch = try ann.join("r").string("epoch") ?? ""
    for n in 1...5 { try ann.publish("r", "\"n\":\(n)") }
    func offsets(_ members: String) throws -> [Int] {
      let answer = try ann.ask(#""type":"history","room":"r""# + members)
      #expect(answer.string("epoch") == epoch)
      return answer["messages"]?.asArray?.compactMap { $0["offset"]?.asInt } ?? []
    }
    #expect(try offsets("") == [1, 2, 3, 4, 5])
    #expect(try offsets(#","limit":2"#) == [4, 5])
    #expect(try offsets(#","limit":2,"since":{"epoch":"\#(epoch)","offset":1}"#) == [2, 3])
  }

  @Test("answers the requests time, whoami, rooms and ice, and ok:false to others")
  func requests() throws {
    let server = try RoostProcess(["--node-id", "n1"])
    let ann = try server.connect("ann")
    try ann.join("r")
    func request(_ action: String) throws -> Received { try ann.ask(#""type":"request","action":"\#(action)""#) }
    #expect((try request("time")["payload"]?["ts"]?.asInt ?? 0) > 1_700_000_000_000)
    #expect(try request("whoami")["payload"]?["user"]?.asString == "ann")
    #expect(try request("rooms")["payload"]?["rooms"]?.asArray?.map(\.asString) == ["r"])
    #expect(try request("ice")["payload"]?["servers"]?.asArray?.isEmpty == true)
    let unknown = try request("dance")
    #expect(unknown.type == "response")
    #expect(unknown["ok"]?.asBool == false)
    #expect(unknown["error"]?["code"]?.asString == "not_found")
  }

  @Test("compresses for whoever offers permessage-deflate (RFC 7692) and not for others")
  func deflate() throws {
    let server = try RoostProcess()
    let (ann, bob) = (try server.connect("ann", deflate: true), try server.connect("bob"))
    #expect(ann.answer.header("sec-websocket-extensions")?.hasPrefix("permessage-deflate") == true)
    #expect(bob.answer.header("sec-websocket-extensions") == nil)
    try ann.join("r")
    try bob.join("r")
    let eve = try server.connect("eve")
    try eve.join("r")
    let text = String(repeating: "a long line of the same ", count: 100)
    try eve.publish("r", "\"text\":\"\(text)\"")
    #expect(try ann.expect("message").string("text") == text)
    #expect(try bob.expect("message").string("text") == text)
    #expect(ann.compressedCount == 1)
    let plain = try RoostProcess(["--compression", "off"])
    let client = try plain.connect("ann", deflate: true)
    #expect(client.answer.header("sec-websocket-extensions") == nil)
  }
}
