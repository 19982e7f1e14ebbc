import TestSupport
import Testing

@Suite("One node, requests as clients and proxies write them")
struct RequestGrammarTests {
  private func handshake(_ server: RoostProcess, _ headers: [String]) throws -> HTTPAnswer {
    try server.http.get("/ws?user=ann", headers: WebSocketClient.handshakeHeaders() + headers)
  }

  @Test("opens a WebSocket whatever extensions are offered, and answers those it takes (RFC 6455 section 9.1)")
  func extensions() throws {
    let server = try RoostProcess()
    let declined = [
      "x-webkit-deflate-frame", "permessage-deflate; server_max_window_bits=8", "permessage-deflate; what=ever",
      "permessage-bzip2", "a; b=\"c d\"", "x-webkit-deflate-frame, foo;bar",
    ]
    for offer in declined {
      let answer = try handshake(server, ["Sec-WebSocket-Extensions: \(offer)"])
      #expect(answer.status == 101, "\(offer): \(answer)")
      #expect(answer.header("sec-websocket-extensions") == nil, "\(offer)")
    }
    let lines = ["Sec-WebSocket-Extensions: x-webkit-deflate-frame", "Sec-WebSocket-Extensions: permessage-deflate"]
    let taken = try handshake(server, lines)
    #expect(taken.header("sec-websocket-extensions")?.hasPrefix("permessage-deflate") == true)
    #expect(try handshake(server, ["Sec-WebSocket-Extensions: permessage-deflate; =3"]).status == 400)
  }

  @Test("opens a WebSocket whatever subprotocols are offered, and answers roost and bearer only")
  func subprotocols() throws {
    let server = try RoostProcess()
    for (offer, answered) in [
      ("graphql-ws", nil), ("roost.compact", nil), ("chat, superchat", nil), ("", nil), ("roost", "roost"),
      ("v1, roost", "roost"), ("bearer, abc", "bearer"),
    ] as [(String, String?)] {
      let answer = try handshake(server, ["Sec-WebSocket-Protocol: \(offer)"])
      #expect(answer.status == 101, "\(offer): \(answer)")
      #expect(answer.header("sec-websocket-protocol") == answered, "\(offer)")
    }
  }

  @Test("serves a path whatever stands in the query, also a bare % (WHATWG URL section 1.3)")
  func queries() throws {
    let server = try RoostProcess()
    for query in ["utm=50%off", "%", "a=%&b=%zz", "a=100%25", "a=\\", "?", "//../"] {
      for path in ["/", "/healthz", "/roost.js"] {
        #expect(try server.http.get("\(path)?\(query)").status == 200, "\(path)?\(query)")
      }
    }
    let client = try WebSocketClient(port: server.port, target: "/ws?user=50%off&x=%")
    #expect(try client.expect("welcome").string("user") == "50%off")
  }

  @Test("takes /ws/ for /ws")
  func slash() throws {
    let server = try RoostProcess()
    let client = try WebSocketClient(port: server.port, target: "/ws/?user=ann")
    #expect(try client.expect("welcome").string("user") == "ann")
  }

  @Test("refuses targets that are no URI with 400 (RFC 9112 section 3.2)")
  func targets() throws {
    let server = try RoostProcess()
    for target in [
      "http://[::1", "http://a\\healthz", "http://a/\\healthz", "/a\\healthz", "http:///healthz", "http://u@a/healthz",
      "http://a:b/healthz", "http://[::1]x/healthz", "http://:80/healthz",
    ] {
      let answer = try server.http.raw("GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(answer.status == 400, "\(target): \(answer)")
    }
    for host in ["[::1", "a:b", "a\\b"] {
      let answer = try server.http.raw("GET /healthz HTTP/1.1\r\nHost: \(host)\r\n\r\n")
      #expect(answer.status == 400, "\(host): \(answer)")
    }
    for target in ["http://[::1]:80/healthz", "HTTP://a/healthz"] {
      #expect(try server.http.raw("GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n").status == 200, "\(target)")
    }
  }

  @Test("serves a path under its own text only, so that a proxy's rule on the raw path holds (RFC 3986 section 6.2.2)")
  func otherTexts() throws {
    let server = try RoostProcess()
    let token = ["Authorization: Bearer \(RoostProcess.adminToken)"]
    #expect(try server.http.get("/admin/nodes", headers: token).status == 200)
    for path in [
      "/%61dmin/nodes", "/admi%6E/nodes", "/admin/%6eodes", "/admin%2Fnodes", "//admin/nodes", "/./admin/nodes",
      "/a/../admin/nodes", "/admin//nodes", "/admin/./nodes", "/x/%2e%2e/admin/nodes", "/%2e/admin/nodes",
      "/healthz/../admin/nodes", "/%68ealthz", "/%77s", "/roost%2ejs", "//healthz", "/.%2E/healthz",
    ] {
      let answer = try server.http.get(path, headers: token)
      #expect(answer.status == 404 || answer.status == 400, "\(path): \(answer)")
    }
    // A room's name is decoded all the same.
    let ann = try server.connect("ann")
    try ann.join("a/b ü")
    for name in ["a%2Fb%20%C3%BC", "a/b%20%c3%bc", "%61%2fb%20%C3%BC"] {
      #expect(try server.inspect("presence/\(name)")["count"]?.asInt == 1, "\(name)")
    }
  }

  @Test("refuses a repeated header that holds one value with 400 (RFC 9110 section 5.3, RFC 6455 section 11.3.1)")
  func repeated() throws {
    let server = try RoostProcess()
    for name in ["Origin", "Authorization", "Sec-WebSocket-Key", "Host"] {
      let answer = try server.http.get("/healthz", headers: ["\(name): a", "\(name): b"])
      #expect(answer.status == 400, "\(name): \(answer)")
    }
    let lists = ["Connection: keep-alive", "Upgrade: h2c", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 5.6.7.8"]
    #expect(try handshake(server, lists).status == 101)
  }
}
