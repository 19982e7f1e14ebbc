import JSONCore
import TestSupport
import Testing
import WebSocketCore

/// An operator's WebSocket.
private struct Operator {
  let socket: WebSocketClient

  init(_ port: UInt16, token: String? = RoostProcess.adminToken, deflate: Bool = false) throws {
    socket = try WebSocketClient(port: port, target: "/admin/live", deflate: deflate)
    guard let token else { return }
    try socket.send(#"{"type":"auth","token":"\#(token)"}"#)
  }

  func watch(_ id: String, _ members: String) throws { try socket.send(#"{"type":"watch","id":"\#(id)",\#(members)}"#) }

  /// Takes updates of a watch until one fits, and returns its body.
  @discardableResult
  func update(_ id: String, where fits: (JSONValue) -> Bool = { _ in true }) throws -> JSONValue {
    try socket.expect("update", within: 20) { update in
      update.string("id") == id && update["body"].map(fits) == true
    }["body"] ?? .null
  }
}

@Suite("One node, the operators' WebSocket")
struct AdminLiveTests {
  @Test("sends what is watched at once, and again when it has changed")
  func watches() throws {
    let server = try RoostProcess(["--node-id", "n1"])
    for deflate in [false, true] {
      let board = try Operator(server.port, deflate: deflate)
      #expect(try board.socket.expect("auth_success").string("node") == "n1")
      let room = "r\(deflate)"
      try board.watch("p", #""path":"presence/\#(room)","every":1000"#)
      #expect(try board.update("p")["users"]?.asInt == 0)
      let ann = try server.connect("ann")
      try ann.join(room)
      #expect(try board.update("p") { $0["users"]?.asInt == 1 }["count"]?.asInt == 1)
      // An answer of any status is one.
      try board.watch("x", #""path":"connections/nobody""#)
      let absent = try board.socket.expect("update") { $0.string("id") == "x" }
      #expect(absent.int("status") == 404 && absent["body"]?["error"]?["code"]?.asString == "not_found")
      // A watch of the same id takes its place.
      try board.watch("p", #""path":"users/ann""#)
      #expect(try board.update("p") { $0["user"] != nil }["count"]?.asInt == 1)
      try board.socket.send(#"{"type":"unwatch","id":"p"}"#)
      try board.socket.send(#"{"type":"unwatch","id":"unknown"}"#)
      try board.watch("n", #""path":"nodes","every":1000"#)
      let first = try board.update("n")["nodes"]?.asArray?.first?["uptime"]?.asInt ?? 0
      try board.update("n") { ($0["nodes"]?.asArray?.first?["uptime"]?.asInt ?? 0) > first }
      #expect(!board.socket.takeUnread().contains { "\($0)".contains(#""id":"p""#) })
      try board.socket.sendClose(1000)
      #expect(try board.socket.expectClose() == 1000)
    }
    // An operator is no client.
    #expect(try server.metric("roost_connections{transport=\"websocket\"}") == 0)
  }

  @Test("follows a room without being in it, whatever its rule and its members' tokens allow")
  func tail() throws {
    let file = try SettingsFileOnDisk(#"{"rooms":[{"match":"closed:*","join":false}]}"#)
    let server = try withExtendedLifetime(file) { try RoostProcess(["--config", file.path]) }
    let board = try Operator(server.port)
    try board.watch("t", #""tail":"closed:1""#)
    #expect(try board.update("t")["offset"]?.asInt == 0)
    for n in 1...3 {
      let body = #"{"room":"closed:1","data":{"n":\#(n)}}"#
      #expect(try server.admin("POST", "publish", body: body).status == 200)
    }
    var seen: [Int] = []
    while seen.count < 3 {
      seen += try board.update("t")["messages"]?.asArray?.compactMap { $0["n"]?.asInt } ?? []
    }
    #expect(seen == [1, 2, 3])
    #expect(try server.inspect("presence/closed:1")["users"]?.asInt == 0)
    try board.socket.send(#"{"type":"unwatch","id":"t"}"#)
    #expect(try server.admin("POST", "publish", body: #"{"room":"closed:1","data":{"n":4}}"#).status == 200)
    try board.watch("n", #""path":"history/closed:1""#)
    #expect(try board.update("n")["messages"]?.asArray?.count == 4)
    #expect(!board.socket.takeUnread().contains { "\($0)".contains(#""id":"t""#) })
  }

  @Test("opens to the admin token only: in the header, or first of all")
  func tokens() throws {
    let server = try RoostProcess(["--api-key", "the-key", "--auth-timeout", "1s"])
    for token in ["wrong", "the-key", ""] {
      let stranger = try Operator(server.port, token: token)
      #expect(try stranger.socket.expect("auth_failed").string("reason")?.isEmpty == false)
      #expect(try stranger.socket.expectClose() == 4401)
    }
    let silent = try Operator(server.port, token: nil)
    try silent.watch("n", #""path":"nodes""#)
    #expect(try silent.socket.expectClose() == 4401)
    #expect(throws: TestFailure.self) {
      try WebSocketClient(port: server.port, target: "/admin/live", headers: ["Authorization: Bearer wrong"])
    }
    let known = try WebSocketClient(
      port: server.port, target: "/admin/live", headers: ["Authorization: Bearer \(RoostProcess.adminToken)"])
    try known.expect("auth_success")
    // No second token, no other path, no upgrade without one.
    try known.send(#"{"type":"auth","token":"x"}"#)
    #expect(try known.expect("error").string("code") == "bad_request")
    #expect(try server.admin("GET", "live").status == 400)
    #expect(try server.http.get("/admin/live").status == 401)
    #expect(try server.admin("POST", "live").status == 405)
  }

  @Test("looks at no token from an address with too many wrong ones, and says for how long")
  func guesses() throws {
    let server = try RoostProcess(["--admin-guesses", "1"])
    try eventually("the address has guessed too often") {
      try server.admin("GET", "nodes", token: "wrong").status == 429
    }
    let board = try Operator(server.port)
    #expect((try board.socket.expect("auth_failed").int("retryAfter") ?? 0) > 0)
    #expect(try board.socket.expectClose() == 4429)
  }

  @Test("takes so many watches and operators, and so large operations, and no more")
  func limits() throws {
    let server = try RoostProcess()
    var boards: [Operator] = []
    for _ in 0..<16 {
      boards.append(try Operator(server.port))
      try boards.last?.socket.expect("auth_success")
    }
    let tooMany = try Operator(server.port)
    #expect(try tooMany.socket.expectClose() == 1013)
    let board = boards[0]
    for n in 0..<17 { try board.watch("\(n)", #""path":"users/u\#(n)""#) }
    let refusal = try board.socket.expect("error")
    #expect(refusal.string("id") == "16" && refusal.string("code") == "too_large")
    for n in 0..<16 { try board.update("\(n)") }
    try board.socket.send("no JSON")
    #expect(try board.socket.expect("error").string("code") == "bad_request")
    try board.socket.send(#"{"type":"publish"}"#)
    #expect(try board.socket.expect("error").string("code") == "unknown_type")
    try board.socket.send(String(repeating: "x", count: 16 * 1024 + 1))
    #expect(try board.socket.expectClose() == 1009)
    // Its place is free again.
    try eventually("a place is free") {
      let again = try Operator(server.port)
      return try again.socket.take("an answer") { _ in true }.description.contains("auth_success")
    }
    // Those who prove nothing take no operator's place: the oldest gives way.
    let first = try Operator(server.port, token: nil)
    let strangers = try (0..<64).map { _ in try Operator(server.port, token: nil) }
    #expect(try first.socket.expectClose() == 4401)
    #expect(strangers.count == 64)
  }

  @Test("stays open while the node drains, and shows that it does")
  func draining() throws {
    let server = try RoostProcess(["--drain", "3s"])
    let ann = try server.connect("ann")
    let board = try Operator(server.port)
    try board.watch("s", #""path":"stats","every":1000"#)
    #expect(try board.update("s")["answering"]?["state"]?.asString == "ready")
    #expect(try server.admin("POST", "drain").status == 200)
    try board.update("s") { $0["answering"]?["state"]?.asString == "draining" }
    #expect(try ann.expectClose() == 1012)
    #expect(try server.process.waitForEnd() == .exited(0))
  }

  @Test("is on the admin port alone when there is one")
  func ownPort() throws {
    let port = try FreePort.find()
    let server = try RoostProcess(["--admin-port", "\(port)"])
    #expect(throws: TestFailure.self) { try WebSocketClient(port: server.port, target: "/admin/live") }
    try Operator(port).socket.expect("auth_success")
  }
}
