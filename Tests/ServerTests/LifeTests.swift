import Glibc
import TestSupport
import Testing

@Suite("One node, start, limits and end")
struct LifeTests {
  static let wrongArguments: [([String], String)] = [
    (["--no-such"], "--no-such"), (["--port", "99999"], "--port"), (["--port"], "--port"),
    (["--ping-interval", "soon"], "--ping-interval"), (["--max-message", "-1"], "--max-message"),
    (["--auth", "maybe"], "--auth"), (["--auth", "jwt"], "--auth"), (["--redis", "http://x"], "--redis"),
    (["--tls-cert", "/nowhere"], "--tls-"), (["--workers", "0"], "--workers"),
    (["--log-level", "loud"], "--log-level"),
    (["--config", "/nowhere.json"], "/nowhere.json"), (["surplus"], "surplus"),
  ]

  @Test("refuses wrong settings with exit status 64 and one line that names them")
  func wrongSettings() throws {
    for (arguments, name) in LifeTests.wrongArguments {
      let result = try RoostProcess.run(["serve"] + arguments)
      #expect(result.end == .exited(64), "\(arguments): \(result)")
      #expect(result.output.contains(name), "\(arguments): \(result.output)")
      #expect(result.output.split(separator: "\n").count == 1, "\(arguments): \(result.output)")
    }
    let variable = try RoostProcess.run(["serve"], environment: ["ROOST_PORT": "many"])
    #expect(variable.end == .exited(64) && variable.output.contains("ROOST_PORT"), "\(variable)")
  }

  @Test("explains every flag in --help and tells its version")
  func help() throws {
    let help = try RoostProcess.run(["serve", "--help"])
    #expect(help.end == .exited(0))
    let flags = [
      "port", "host", "redis", "node-id", "workers", "admin-token", "admin-port", "auth", "jwt-secret",
      "jwt-public-key", "jwks", "api-key", "origins", "tls-cert", "tls-key", "history-size", "history-ttl",
      "ping-interval", "ping-timeout", "max-message", "max-queue", "max-connections", "max-rooms", "rate", "drain",
      "compression", "webhook-url", "webhook-secret", "log-level", "log-format", "config", "echo",
    ]
    for flag in flags { #expect(help.output.contains("--\(flag)"), "\(flag)") }
    #expect(!help.output.split(separator: "\n").contains { $0.count > 120 })
    let version = try RoostProcess.run(["--version"])
    #expect(version.end == .exited(0))
    #expect(version.output.hasPrefix("roost "))
  }

  @Test("takes settings from the environment, and flags before it")
  func environment() throws {
    let server = try RoostProcess(
      ["--node-id", "flag"], environment: ["ROOST_NODE_ID": "env", "ROOST_PING_INTERVAL": "3s"])
    let welcome = try WebSocketClient(port: server.port).expect("welcome")
    #expect(welcome.string("node") == "flag")
    #expect(welcome.int("pingInterval") == 3000)
  }

  @Test("exits with 69 when the port is taken and says which")
  func portTaken() throws {
    let server = try RoostProcess()
    let result = try RoostProcess.run(["serve", "--port", "\(server.port)"])
    #expect(result.end == .exited(69))
    #expect(result.output.contains("\(server.port)"))
  }

  @Test("drops a ghost that answers no ping, and says so to its rooms (RFC 6455 section 5.5.2)")
  func ghost() throws {
    let server = try RoostProcess(["--ping-interval", "500ms", "--ping-timeout", "500ms"])
    let (ann, ghost) = (try server.connect("ann"), try server.connect("ghost"))
    ghost.answersPings = false
    try ann.join("r")
    try ghost.join("r")
    // While ann waits here she answers her pings, several of them.
    #expect(try ann.expect("user_left").string("user") == "ghost")
    try ghost.expectEnd()
    #expect(ghost.takeUnread().contains(.ping([])))
    #expect(try server.metric("roost_ping_timeouts_total") == 1)
    #expect(try ann.ask(#""type":"ping""#).type == "pong")
  }

  @Test("closes a reader that is too slow with 4408 and costs the others nothing", arguments: ["on", "off"])
  func slowConsumer(ring: String) throws {
    let server = try RoostProcess(["--max-queue", "64k", "--io-uring", ring])
    let (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
    let slow = try server.connect("slow", receiveBytes: 4096)
    for client in [ann, bob, slow] { try client.join("r") }
    let text = String(repeating: "x", count: 30_000)
    var offset = 0
    while try server.metric("roost_slow_consumers_total") == 0, offset < 2000 {
      offset = try ann.publish("r", "\"text\":\"\(text)\"")
      #expect(try bob.expect("message").int("offset") == offset)
    }
    #expect(try ann.expect("user_left").string("user") == "slow")
    try ann.publish("r", #""last":true"#)
    #expect(try bob.expect("message")["last"]?.asBool == true)
    // What the kernel had taken before is still delivered, in order and whole; then the reason.
    #expect(try slow.expectClose(within: 20) == 4408)
    let offsets = try slow.takeUnread().compactMap { event -> Int? in
      guard case .text(let text) = event else { return nil }
      return try Received(text).int("offset")
    }
    #expect(offsets == Array(1..<(1 + offsets.count)))
    #expect(offsets.count < offset)
    #expect(try server.metric("roost_queue_bytes") == 0)
  }

  @Test("closes connections over --max-connections with 1013 and takes others when one has left")
  func capacity() throws {
    let server = try RoostProcess(["--max-connections", "2"])
    let (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
    #expect(try WebSocketClient(port: server.port).expectClose() == 1013)
    bob.connection.closeNow()
    try eventually("there is room again") {
      let client = try WebSocketClient(port: server.port)
      return try client.take("an answer", where: { _ in true })
        != .close(1013, "this node is full: connect again later")
    }
    #expect(try ann.settle().isEmpty)
  }

  @Test("refuses politely when no descriptors are left, keeps serving, and recovers")
  func descriptors() throws {
    let server = try RoostProcess(descriptorsMax: 40)
    let (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
    try ann.join("r")
    try bob.join("r")
    var idle: [TCPConnection] = []
    for _ in 0..<60 { idle.append(try TCPConnection(port: server.port)) }
    let refused = try HTTPClient.readAnswer(idle[59])
    #expect(refused.status == 503)
    try ann.publish("r", #""n":1"#)
    #expect(try bob.expect("message").int("n") == 1)
    for connection in idle { connection.closeNow() }
    try eventually("a newcomer is served") { (try? server.http.get("/healthz").status) == 200 }
    #expect(try server.metric(#"roost_limit_refusals_total{limit="open-files"}"#) >= 1)
    #expect(server.process.end() == nil)
  }

  @Test("drains on SIGTERM: not ready, reconnect, 1012, exit status 0")
  func drain() throws {
    let server = try RoostProcess(["--drain", "6s"])
    var clients: [WebSocketClient] = []
    for n in 0..<12 { clients.append(try server.connect("user\(n)")) }
    // One that sends nothing, so that the drain has somebody left to answer.
    server.process.signal(SIGTERM)
    try eventually("not ready") { try server.http.get("/readyz").status == 503 }
    #expect(try server.http.get("/healthz").status == 200)
    #expect(try server.http.get("/ws", headers: WebSocketClient.handshakeHeaders()).status == 503)
    var moments: Set<Int> = []
    for client in clients {
      let after = try client.expect("reconnect").int("after") ?? -1
      #expect((0...6000).contains(after))
      moments.insert(after)
    }
    #expect(moments.count > 1)
    for client in clients { #expect(try client.expectClose() == 1012) }
    #expect(try server.process.waitForEnd() == .exited(0))
  }

  @Test("ends at once on SIGTERM with nobody connected, and on a second SIGINT with somebody")
  func quickEnd() throws {
    let empty = try RoostProcess(["--drain", "1m"])
    empty.process.signal(SIGTERM)
    #expect(try empty.process.waitForEnd() == .exited(0))
    let busy = try RoostProcess(["--drain", "1h"])
    let client = try busy.connect("ann")
    busy.process.signal(SIGINT)
    try client.expect("reconnect")
    busy.process.signal(SIGINT)
    #expect(try busy.process.waitForEnd() == .exited(0))
  }

  @Test("logs no token, no secret and no query string")
  func secrets() throws {
    let server = try RoostProcess(["--api-key", "the-api-secret", "--log-level", "debug", "--drain", "1s"])
    let client = try WebSocketClient(port: server.port, target: "/ws?user=ann&token=the-user-secret")
    try client.expect("welcome")
    _ = try server.admin("GET", "nodes", token: "a-wrong-secret")
    _ = try server.http.get("/nothing?token=the-user-secret")
    server.process.signal(SIGTERM)
    try client.expectClose(within: 15)
    _ = try server.process.waitForEnd()
    for secret in ["the-api-secret", "the-user-secret", "a-wrong-secret", RoostProcess.adminToken] {
      #expect(!server.process.output.contains(secret), "\(secret)")
    }
  }
}
