import TestSupport
import Testing

@Suite("One node, HTTP")
struct HTTPTests {
  @Test("is alive and ready, and serves the chat page, the client and metrics")
  func pages() throws {
    let http = try RoostProcess().http
    #expect(try http.get("/healthz").status == 200)
    #expect(try http.get("/readyz").status == 200)
    for (path, type) in [("/", "text/html"), ("/roost.js", "text/javascript"), ("/metrics", "text/plain")] {
      let answer = try http.get(path)
      #expect(answer.status == 200, "\(path)")
      #expect(answer.header("content-type")?.hasPrefix(type) == true, "\(path): \(answer.headers)")
      #expect(!answer.body.isEmpty)
    }
    let head = try http.ask("HEAD", "/")
    #expect(head.status == 200)
    #expect(head.header("content-length") == "\(try http.get("/").body.count)")
  }

  @Test("serves the browser client with a tag, for ever under its version, and its types")
  func clientLibrary() throws {
    let http = try RoostProcess().http
    let client = try http.get("/roost.js")
    #expect(client.header("cache-control") == "no-cache")
    let tag = try #require(client.header("etag"))
    #expect(tag.hasPrefix("\""), "a strong tag")
    let unchanged = try http.get("/roost.js", headers: ["If-None-Match: \(tag)"])
    #expect(unchanged.status == 304)
    #expect(unchanged.body.isEmpty)
    #expect(try http.get("/roost.js", headers: ["If-None-Match: \"other\""]).status == 200)
    let versioned = try http.get("/roost-0.1.0.js")
    #expect(versioned.header("cache-control")?.contains("immutable") == true)
    #expect(versioned.body == client.body)
    #expect(try http.get("/roost-0.0.9.js").status == 404)
    let types = try http.get("/roost.d.ts")
    #expect(types.header("content-type")?.hasPrefix("application/typescript") == true)
    #expect(types.header("etag") != tag)
  }

  @Test("serves the chat page with auth=none, with other ways of authentication only where --demo is on")
  func demo() throws {
    let tokens = ["--auth", "jwt", "--jwt-secret", "0123456789abcdef0123456789abcdef"]
    for (arguments, status) in [(["--demo", "off"], 404), (tokens, 404), (tokens + ["--demo", "on"], 200)] {
      let http = try RoostProcess(arguments).http
      for path in ["/", "/chat.js", "/chat.css"] {
        #expect(try http.get(path).status == status, "\(arguments) \(path)")
      }
      #expect(try http.get("/roost.js").status == 200)
      guard status == 404 else { continue }
      let reason = try http.get("/").json()["error"]?["message"]?.asString
      #expect(reason?.contains("--demo on") == true)
    }
  }

  @Test("answers 404 to an unknown path and 405 with Allow to a wrong method (RFC 9110 section 15.5.6)")
  func wrongPaths() throws {
    let http = try RoostProcess().http
    for path in ["/nothing", "/ws/x", "/healthz/x", "/%00", "/../etc/passwd"] {
      let answer = try http.get(path)
      #expect(answer.status == 404 || answer.status == 400, "\(path): \(answer)")
      #expect(try answer.json()["error"]?["code"]?.asString != nil)
    }
    #expect(try http.get("/nothing").status == 404)
    for path in ["/healthz", "/readyz", "/metrics", "/"] {
      let answer = try http.ask("DELETE", path)
      #expect(answer.status == 405, "\(path): \(answer)")
      #expect(answer.header("allow")?.contains("GET") == true)
    }
    #expect(try http.ask("POST", "/ws", headers: WebSocketClient.handshakeHeaders()).status == 405)
  }

  static let malformed: [(String, Set<Int>)] = [
    ("GET / HTTP/1.1\r\n\r\n", [400]),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", [400]),
    ("hello\r\n\r\n", [400]),
    ("GET /\r\n\r\n", [400]),
    ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", [400, 505]),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", [400]),
    ("GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", [400]),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{1}\r\n\r\n", [400]),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", [400]),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", [400]),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", [400]),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", [400, 501]),
    ("GET /\(String(repeating: "a", count: 9000)) HTTP/1.1\r\nHost: a\r\n\r\n", [431]),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "a", count: 17_000))\r\n\r\n", [431]),
    ("GET / HTTP/1.1\r\nHost: a\r\n\(String(repeating: "X: a\r\n", count: 101))\r\n", [431]),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999\r\n\r\n", [400, 413]),
  ]

  @Test("refuses malformed and over-long heads, says so in JSON, and closes (RFC 9112 section 2.2)")
  func malformedHeads() throws {
    let server = try RoostProcess()
    for (request, statuses) in HTTPTests.malformed {
      let connection = try TCPConnection(port: server.port)
      try connection.send(request)
      let answer = try HTTPClient.readAnswer(connection)
      #expect(statuses.contains(answer.status), "\(request.prefix(80)): \(answer)")
      #expect(try answer.json()["error"]?["code"]?.asString != nil, "\(request.prefix(80))")
      #expect(answer.header("connection") == "close", "\(request.prefix(80)): \(answer)")
      #expect(connection.read(until: Deadline(within: 5)) == .end, "\(request.prefix(80))")
    }
    #expect(try server.http.get("/healthz").status == 200)
  }

  @Test("keeps a connection for the next request and answers pipelined ones in order (RFC 9112 section 9.3.2)")
  func pipelining() throws {
    let server = try RoostProcess()
    let connection = try TCPConnection(port: server.port)
    let request = { HTTPClient.request("GET", $0) }
    try connection.send(request("/healthz") + request("/nothing") + request("/readyz"))
    let first = try HTTPClient.readAnswer(connection)
    let second = try HTTPClient.readAnswer(connection, buffered: first.rest)
    let third = try HTTPClient.readAnswer(connection, buffered: second.rest)
    #expect([first, second, third].map(\.status) == [200, 404, 200])
    try connection.send(HTTPClient.request("GET", "/healthz", headers: ["Connection: close"]))
    #expect(try HTTPClient.readAnswer(connection, buffered: third.rest).header("connection") == "close")
    #expect(connection.read(until: Deadline(within: 5)) == .end)
  }

  @Test("takes a head that arrives one byte at a time")
  func bytewise() throws {
    let server = try RoostProcess()
    let connection = try TCPConnection(port: server.port)
    for byte in HTTPClient.request("GET", "/healthz").utf8 { try connection.send([byte]) }
    #expect(try HTTPClient.readAnswer(connection).status == 200)
  }

  @Test("closes a connection whose head is not complete within 10 s, and no sooner than half of that")
  func slowHead() throws {
    let server = try RoostProcess()
    let connection = try TCPConnection(port: server.port)
    try connection.send("GET / HTTP/1.1\r\nHost: a\r\n")
    let start = Deadline.now()
    // A byte now and then must not keep it open.
    var outcome = TCPConnection.Read.nothing
    while outcome == .nothing, Deadline.now() - start < 20_000_000_000 {
      try? connection.send("X")
      outcome = connection.read(until: Deadline(within: 0.5))
    }
    if case .bytes = outcome { outcome = connection.read(until: Deadline(within: 5)) }
    let seconds = Double(Deadline.now() - start) / 1e9
    #expect(outcome == .end)
    #expect((5...20).contains(seconds), "closed after \(seconds) s")
  }

  static let handshakes: [([String], Set<Int>)] = [
    (["Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="], [400, 426]),
    (["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="], [400, 426]),
    (["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"], [400]),
    (["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: short"], [400]),
    (
      [
        "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 8",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      ], [426]
    ),
    (["Upgrade: h2c", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="], [400, 426]),
  ]

  @Test("refuses a handshake that is none: 400, or 426 with the version it speaks (RFC 6455 section 4.2.2)")
  func handshake() throws {
    let http = try RoostProcess().http
    for (headers, statuses) in HTTPTests.handshakes {
      let answer = try http.get("/ws", headers: headers)
      #expect(statuses.contains(answer.status), "\(headers): \(answer)")
      if answer.status == 426, headers.contains("Sec-WebSocket-Version: 8") {
        #expect(answer.header("sec-websocket-version") == "13")
      }
    }
    let plain = try http.get("/ws")
    #expect(plain.status == 426 || plain.status == 400)
    #expect(try http.get("/ws?user=a%00b", headers: WebSocketClient.handshakeHeaders()).status == 400)
  }

  @Test("lets only listed origins connect, with and without wildcard (RFC 6455 section 10.2)")
  func origins() throws {
    let server = try RoostProcess(["--origins", "https://chat.example.com,*.example.org"])
    func status(_ origin: String?) throws -> Int {
      let headers = WebSocketClient.handshakeHeaders() + (origin.map { ["Origin: \($0)"] } ?? [])
      return try server.http.get("/ws?user=ann", headers: headers).status
    }
    for origin in ["https://chat.example.com", "https://CHAT.example.com", "https://a.b.example.org", nil] {
      #expect(try status(origin) == 101, "\(origin ?? "none")")
    }
    let foreign = [
      "https://example.com", "http://chat.example.com", "https://evilexample.org", "https://chat.example.com.evil.net",
      "null",
    ]
    for origin in foreign { #expect(try status(origin) == 403, "\(origin)") }
  }

  @Test("serves /echo only with --echo")
  func echo() throws {
    let server = try RoostProcess(["--echo"])
    let client = try WebSocketClient(port: server.port, target: "/echo")
    try client.send("héllo")
    try client.sendFrame(.text, Array("fra".utf8), fin: false)
    try client.sendFrame(.ping, [7])
    try client.sendFrame(.continuation, Array("gment".utf8))
    #expect(try client.take("echo", where: { $0 == .text("héllo") }) == .text("héllo"))
    #expect(try client.take("echo", where: { $0 == .text("fragment") }) == .text("fragment"))
    #expect(try client.take("pong", where: { $0 == .pong([7]) }) == .pong([7]))
    let without = try RoostProcess().http
    #expect(try without.get("/echo", headers: WebSocketClient.handshakeHeaders()).status == 404)
  }

  @Test("shows the counters that operators rely on, in Prometheus text")
  func metrics() throws {
    let server = try RoostProcess()
    let ann = try server.connect("ann")
    try ann.join("r")
    try ann.publish("r", #""echo":true"#)
    try ann.expect("message")
    #expect(try server.metric(#"roost_connections{transport="websocket"}"#) == 1)
    #expect(try server.metric("roost_rooms") == 1)
    #expect(try server.metric("roost_messages_received_total") == 1)
    #expect(try server.metric("roost_messages_delivered_total") == 1)
    #expect(try server.metric("roost_bytes_sent_total") > 100)
    #expect(try server.metric("roost_delivery_seconds_count") == 1)
    #expect(try server.metric("process_resident_memory_bytes") > 1_000_000)
    #expect(try server.metric("process_open_fds") > 3)
    let zero = [
      #"roost_connections{transport="sse"}"#, #"roost_connections{transport="poll"}"#, "roost_queue_bytes",
      "roost_slow_consumers_total", "roost_redis_up", "roost_redis_commands_total", "roost_redis_reconnects_total",
      #"roost_gap_messages_total{outcome="recovered"}"#, #"roost_webhook_deliveries_total{outcome="failed"}"#,
    ]
    for name in zero { #expect(try server.metric(name) == 0, "\(name)") }
  }
}
