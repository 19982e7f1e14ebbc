import TestSupport
import Testing
import WebSocketCore

@Suite("One node, how much")
struct GuardTests {
  private func refusals(_ server: RoostProcess, _ limit: String) throws -> Double {
    try server.metric("roost_limit_refusals_total{limit=\"\(limit)\"}")
  }

  private func handshake(_ server: RoostProcess, headers: [String] = []) throws -> HTTPAnswer {
    try server.http.get("/ws?user=x", headers: WebSocketClient.handshakeHeaders() + headers)
  }

  // MARK: Connections

  @Test("refuses an address its fifth socket with 429 and Retry-After, and takes another when one has gone")
  func perAddress() throws {
    let server = try RoostProcess(["--max-connections-per-address", "4"])
    let (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
    // A socket that has said nothing counts as well.
    let silent = try TCPConnection(port: server.port)
    let fourth = try server.connect("fourth")
    let refused = try HTTPClient.readAnswer(try TCPConnection(port: server.port))
    #expect(refused.status == 429)
    #expect(refused.header("retry-after").flatMap { Int($0) } != nil)
    #expect(try refused.json()["error"]?["code"]?.asString == "rate_limited")
    // Also behind a request that came with the socket.
    #expect(try handshake(server).status == 429)
    #expect(try ann.settle().isEmpty)
    silent.closeNow()
    try eventually("there is room for one more") { (try? server.http.get("/healthz").status) == 200 }
    try eventually("the refusals are counted") { try refusals(server, "max-connections-per-address") >= 2 }
    for client in [bob, fourth] { client.connection.closeNow() }
    try eventually("others are served") { (try? server.connect("eve")) != nil }
    _ = try ann.settle()
  }

  @Test("counts a user's connections on the node and closes one too many with 4429")
  func perUser() throws {
    let server = try RoostProcess(["--max-connections-per-user", "2"])
    let (first, second) = (try server.connect("ann"), try server.connect("ann"))
    let third = try WebSocketClient(port: server.port, target: "/ws?user=ann")
    #expect(try third.expectClose() == 4429)
    #expect(try server.inspect("users/ann")["count"]?.asInt == 2)
    #expect(try refusals(server, "max-connections-per-user") == 1)
    #expect(try server.connect("bob").ask(#""type":"ping""#).type == "pong")
    first.connection.closeNow()
    try eventually("there is room again") { (try? server.connect("ann")) != nil }
    #expect(try second.settle().isEmpty)
  }

  @Test(
    "answers a burst of handshakes over --handshake-rate with 503 and its own Retry-After each, and later ones again")
  func handshakes() throws {
    let server = try RoostProcess(["--handshake-rate", "5"])
    var statuses: [Int] = []
    var moments: Set<String> = []
    for _ in 0..<40 {
      let answer = try handshake(server)
      statuses.append(answer.status)
      if answer.status == 503 { moments.insert(try #require(answer.header("retry-after"))) }
      // Ordinary requests are not counted, nor refused.
      #expect(try server.http.get("/healthz").status == 200)
    }
    #expect(statuses[0] == 101)
    let refused = statuses.filter { $0 == 503 }.count
    #expect(refused > 0 && statuses.allSatisfy { $0 == 101 || $0 == 503 }, "\(statuses)")
    #expect(moments.count > 1 && moments.allSatisfy { (1...10).contains(Int($0) ?? 0) }, "\(moments)")
    #expect(try refusals(server, "handshake-rate") == Double(refused))
    try eventually("a later one is answered") { try handshake(server).status == 101 }
  }

  @Test("counts refusals of --max-connections and --max-rooms under their names")
  func capacity() throws {
    let server = try RoostProcess(["--max-connections", "1", "--max-rooms", "1"])
    let ann = try server.connect("ann")
    try ann.join("a")
    #expect(try ann.ask(#""type":"join","room":"b""#).string("code") == "too_many_rooms")
    #expect(try WebSocketClient(port: server.port).expectClose() == 1013)
    #expect(try refusals(server, "max-connections") == 1)
    #expect(try refusals(server, "max-rooms") == 1)
  }

  // MARK: Operations

  @Test("closes with 4429 a client that floods on through a thousand refusals, and costs the others nothing")
  func flood() throws {
    let server = try RoostProcess(["--rate", "10"])
    let (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
    try bob.join("r")
    let ping = Array(#"{"type":"ping"}"#.utf8)
    var frames: [UInt8] = []
    for _ in 0..<1500 {
      FrameWriter.appendMaskedFrame(.text, key: MaskingKey(7), payload: ping.span, to: &frames)
    }
    try? ann.connection.send(frames)
    #expect(try ann.expectClose() == 4429)
    #expect(try refusals(server, "rate") > 1000)
    #expect(try bob.publish("r", #""n":1"#) == 1)
  }

  @Test("answers pings only as often as --rate allows, and closes who floods with them (RFC 6455 section 5.5.3)")
  func pings() throws {
    let server = try RoostProcess(["--rate", "10"])
    let ann = try server.connect("ann")
    for _ in 0..<500 { try ann.sendFrame(.ping, [1]) }
    try ann.sendFrame(.text, Array("{".utf8))
    #expect(try ann.expect("error").string("code") == "rate_limited")
    let pongs = ann.takeUnread().filter { $0 == .pong([1]) }.count
    #expect((1...200).contains(pongs), "\(pongs)")
    for _ in 0..<1000 { try? ann.sendFrame(.ping, [1]) }
    #expect(try ann.expectClose() == 4429)
  }

  @Test("refuses bytes over --rate-bytes and messages over --room-rate, and takes them again a moment later")
  func bytesAndRooms() throws {
    let server = try RoostProcess(["--rate-bytes", "8k", "--max-message", "8k"])
    let ann = try server.connect("ann")
    try ann.join("r")
    let text = String(repeating: "x", count: 6000)
    try ann.publish("r", "\"text\":\"\(text)\"")
    #expect(try ann.ask("\"type\":\"message\",\"room\":\"r\",\"text\":\"\(text)\"").string("code") == "rate_limited")
    try eventually("there are bytes again") {
      try ann.ask("\"type\":\"message\",\"room\":\"r\",\"text\":\"\(text)\"").type == "ack"
    }
    #expect(try refusals(server, "rate-bytes") >= 1)
    let strict = try RoostProcess(["--room-rate", "2"])
    let (bob, eve) = (try strict.connect("bob"), try strict.connect("eve"))
    for client in [bob, eve] { try client.join("r") }
    var codes: [String?] = []
    for n in 0..<8 { codes.append(try (n % 2 == 0 ? bob : eve).ask(#""type":"message","room":"r""#).string("code")) }
    #expect(codes.prefix(2) == [nil, nil])
    #expect(codes.contains("rate_limited"))
    #expect(try refusals(strict, "room-rate") >= 1)
  }

  @Test("by default holds clients of the internet to limits, and spares the local network")
  func defaults() throws {
    let server = try RoostProcess(["--trusted-proxies", "127.0.0.1"])
    let local = try server.connect("local")
    let far = try server.connect("far", headers: ["X-Forwarded-For: 203.0.113.7"])
    let frame = { (client: WebSocketClient, count: Int) throws -> [Received] in
      for n in 0..<count { try client.send(#"{"type":"request","action":"time","id":"\#(n)"}"#) }
      return try (0..<count).map { n in
        let event = try client.take("answer \(n)") { event in
          guard case .text(let text) = event, let received = try? Received(text) else { return false }
          return received.string("id") == "\(n)"
        }
        guard case .text(let text) = event else { throw TestFailure("no text") }
        return try Received(text)
      }
    }
    #expect(try frame(local, 900).allSatisfy { $0.type == "response" })
    let answers = try frame(far, 900)
    #expect(answers.prefix(300).allSatisfy { $0.type == "response" })
    #expect(answers.contains { $0.string("code") == "rate_limited" })
    // What an operator sets to 0 is off for everyone.
    let open = try RoostProcess(["--trusted-proxies", "127.0.0.1", "--rate", "0"])
    let free = try open.connect("far", headers: ["X-Forwarded-For: 203.0.113.7"])
    #expect(try frame(free, 900).allSatisfy { $0.type == "response" })
  }

  // MARK: Slow and unfinished

  @Test("closes a connection that leaves a frame unfinished, also one that sends a byte now and then (slowloris)")
  func unfinished() throws {
    let server = try RoostProcess([
      "--message-timeout", "1s", "--ping-interval", "300ms", "--ping-timeout", "5s",
    ])
    let ann = try server.connect("ann")
    let half = try server.connect("half")
    // 100 bytes are announced; a few come, and then one after the other.
    try half.connection.send([0x81, 0x80 | 100, 0, 0, 0, 0] + Array(#"{"type":"#.utf8))
    var events: [WebSocketEvent] = []
    try eventually("the node gives up", within: 20) {
      try? half.connection.send([0x20])
      events += half.takeUnread()
      if let event = try? half.take("a close", within: 0.2, where: { if case .close = $0 { true } else { false } }) {
        events.append(event)
      }
      return events.contains { if case .close(4408, _) = $0 { true } else { false } }
    }
    // A message in many pieces is no harm, as long as it comes to its end in time; nor are many messages.
    let text = Array(#"{"type":"ping"}"#.utf8)
    for _ in 0..<8 {
      try ann.sendFrame(.text, Array(text[..<5]), fin: false)
      try ann.sendFrame(.continuation, Array(text[5...]))
      #expect(try ann.expect("pong").type == "pong")
      _ = try? ann.take("nothing", within: 0.25) { _ in false }
    }
    #expect(try refusals(server, "message-timeout") == 1)
  }

  // MARK: Admin

  @Test("lets an address guess the admin token so many times a minute: then 429, for the right one as well")
  func guesses() throws {
    let server = try RoostProcess(["--admin-guesses", "3", "--trusted-proxies", "127.0.0.1"])
    func ask(_ token: String, from address: String) throws -> HTTPAnswer {
      try server.admin("GET", "nodes", token: token, headers: ["X-Forwarded-For: \(address)"])
    }
    for n in 0..<3 { #expect(try ask("guess\(n)", from: "203.0.113.1").status == 401) }
    for token in ["guess", RoostProcess.adminToken] {
      let refused = try ask(token, from: "203.0.113.1")
      #expect(refused.status == 429)
      #expect((1...20).contains(Int(refused.header("retry-after") ?? "") ?? 0), "\(refused)")
      #expect(try refused.json()["error"]?["code"]?.asString == "rate_limited")
    }
    #expect(try refusals(server, "admin-guesses") == 2)
    // Another address is not held up, and asking without a token is no guess.
    for _ in 0..<9 { #expect(try server.http.get("/admin/nodes").status == 401) }
    #expect(try ask(RoostProcess.adminToken, from: "203.0.113.2").status == 200)
    #expect(try server.admin("GET", "nodes").status == 200)
  }

  // MARK: Pages of other sites

  @Test("without a list refuses a page of another site that brings the visitor's cookie (RFC 6455 section 10.2)")
  func crossSite() throws {
    let server = try RoostProcess()
    let cookie = "Cookie: theme=dark; roost_token=abc"
    for origin in ["https://evil.example", "null", "http://127.0.0.1:9", "http://127.0.0.1.evil.example", ""] {
      let answer = try handshake(server, headers: ["Origin: \(origin)", cookie])
      #expect(answer.status == 403, "\(origin): \(answer)")
      #expect(try server.http.get("/", headers: ["Origin: \(origin)", cookie]).status == 403, "\(origin)")
    }
    for headers in [
      ["Origin: http://127.0.0.1", cookie], ["Origin: http://127.0.0.1:80", cookie],
      ["Origin: https://127.0.0.1", cookie], [cookie], ["Origin: https://evil.example"],
      ["Origin: https://evil.example", "Cookie: roost_tokens=1; other=roost_token"],
    ] { #expect(try handshake(server, headers: headers).status == 101, "\(headers)") }
    // With a list the list decides about all but the node's own pages.
    let listed = try RoostProcess(["--origins", "https://chat.example"])
    #expect(try handshake(listed, headers: ["Origin: https://chat.example", cookie]).status == 101)
    #expect(try handshake(listed, headers: ["Origin: http://127.0.0.1", cookie]).status == 101)
    #expect(try handshake(listed, headers: ["Origin: http://127.0.0.1:9", cookie]).status == 403)
  }

  // MARK: Openness and secrecy

  @Test("says loudly at the start and in /admin/nodes what is not fit for the internet")
  func exposure() throws {
    let server = try RoostProcess()
    let line = try Received(try server.process.line(with: "auth=none"))
    #expect(line.string("level") == "warn")
    let answer = try server.inspect("nodes")
    #expect(answer["auth"]?.asString == "none")
    let warnings = answer["warnings"]?.asArray?.compactMap { $0.asString } ?? []
    #expect(
      warnings.contains { $0.contains("auth=none") } && warnings.contains { $0.contains("no TLS") }, "\(warnings)")
    try eventually("the node's own line says so too") {
      try server.inspect("nodes")["nodes"]?.asArray?.first?["auth"]?.asString == "none"
    }
  }

  @Test("shows no token and no secret in log, metrics or answers, wherever it came from")
  func secrets() throws {
    let server = try RoostProcess([
      "--api-key", "the-api-secret-0123", "--log-level", "debug", "--admin-guesses", "2", "--rate", "1",
    ])
    let secrets = ["query-secret", "cookie-secret", "bearer-secret", "message-secret", "the-api-secret-0123"]
    var seen = ""
    let client = try WebSocketClient(
      port: server.port, target: "/ws?user=ann&token=query-secret",
      headers: ["Cookie: roost_token=cookie-secret", "Authorization: Bearer bearer-secret"])
    try client.send(#"{"type":"auth","token":"message-secret","id":"1"}"#)
    try client.send(#"{"type":"auth","token":"message-secret""#)
    _ = try client.expect("error")
    let headers = ["Authorization: Bearer bearer-secret", "Cookie: roost_token=cookie-secret"]
    for target in [
      "/nothing", "/admin/", "/admin/dashboard.js", "/admin/nodes", "/admin/no-such", "/metrics", "/readyz", "/ws",
      "/%zz",
    ] {
      for method in ["GET", "POST"] {
        seen += try server.http.ask(method, target + "?token=query-secret", headers: headers).description
      }
    }
    seen += try server.http.raw("GET /?token=query-secret HTTP/9.9\r\nCookie: roost_token=cookie-secret\r\n\r\n")
      .description
    seen += try server.http.get("/metrics").text
    seen += client.takeUnread().map(\.description).joined()
    seen += server.process.output
    for secret in secrets + [RoostProcess.adminToken] { #expect(!seen.contains(secret), "\(secret)") }
  }
}
