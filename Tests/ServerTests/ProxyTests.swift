import JSONCore
import TestSupport
import Testing

@Suite("One node behind proxies")
struct ProxyTests {
  /// The address that presence shows for a user.
  private func address(of user: String, at server: RoostProcess) throws -> String? {
    try server.inspect("users/\(user)")["connections"]?.asArray?.first?["address"]?.asString
  }

  @Test("ignores X-Forwarded-For of a peer that --trusted-proxies does not name, and says so once")
  func untrusted() throws {
    let server = try RoostProcess()
    let ann = try server.connect("ann", headers: ["X-Forwarded-For: 203.0.113.7"])
    #expect(try address(of: "ann", at: server) == "127.0.0.1")
    let line = try server.process.line(with: "X-Forwarded-For")
    #expect(line.contains("127.0.0.1") && !line.contains("203.0.113.7"))
    #expect(
      try server.inspect("nodes")["warnings"]?.asArray?.contains { $0.asString?.contains("X-Forwarded-For") == true }
        == true)
    _ = try ann.settle()
  }

  @Test("believes a trusted proxy: the rightmost address that is none of its own, in presence and in the limits")
  func forwarded() throws {
    let server = try RoostProcess([
      "--trusted-proxies", "127.0.0.0/8,10.0.0.0/8", "--max-connections-per-address", "2",
    ])
    let forwarded = ["X-Forwarded-For: 192.0.2.1, 203.0.113.7, 10.1.1.1"]
    let (ann, bob) = (try server.connect("ann", headers: forwarded), try server.connect("bob", headers: forwarded))
    #expect(try address(of: "ann", at: server) == "203.0.113.7")
    let third = try server.http.get("/ws?user=eve", headers: WebSocketClient.handshakeHeaders() + forwarded)
    #expect(third.status == 429)
    #expect(third.header("retry-after") != nil)
    // The proxy's own sockets are not counted, and others behind it have their own count.
    let eve = try server.connect("eve", headers: ["X-Forwarded-For: 2001:db8:0:7::1"])
    #expect(try address(of: "eve", at: server) == "2001:db8:0:7::1")
    for _ in 0..<8 { #expect(try server.http.get("/healthz", headers: forwarded).status == 200) }
    bob.connection.closeNow()
    try eventually("there is room again") { (try? server.connect("bob", headers: forwarded)) != nil }
    #expect(try ann.settle().isEmpty)
    _ = try eve.settle()
    // A handshake that is refused for another reason leaves the proxy's connection the proxy's.
    let connection = try TCPConnection(port: server.port)
    for address in ["198.51.100.1", "198.51.100.2"] {
      let wrong = WebSocketClient.handshakeHeaders() + ["X-Forwarded-For: \(address)"]
      try connection.send(HTTPClient.request("GET", "/ws?user=a%00b", headers: wrong))
      #expect(try HTTPClient.readAnswer(connection).status == 400)
    }
    let good = WebSocketClient.handshakeHeaders() + ["X-Forwarded-For: 198.51.100.3"]
    try connection.send(HTTPClient.request("GET", "/ws?user=good", headers: good))
    #expect(try HTTPClient.readAnswer(connection).status == 101)
    #expect(try self.address(of: "good", at: server) == "198.51.100.3")
  }

  @Test("takes the client of each request on one connection of a proxy for itself")
  func perRequest() throws {
    let server = try RoostProcess(["--trusted-proxies", "127.0.0.1", "--admin-guesses", "1"])
    let connection = try TCPConnection(port: server.port)
    let ask = { (address: String) throws -> Int in
      try connection.send(
        HTTPClient.request(
          "GET", "/admin/nodes", headers: ["Authorization: Bearer guess", "X-Forwarded-For: \(address)"]))
      return try HTTPClient.readAnswer(connection).status
    }
    #expect(
      try [ask("203.0.113.1"), ask("203.0.113.1"), ask("203.0.113.2"), ask("203.0.113.1")] == [401, 429, 401, 429])
  }

  @Test("behind nginx with the project's configuration sees whom nginx sees, not what the client writes")
  func nginx() throws {
    let server = try RoostProcess(["--trusted-proxies", "127.0.0.1"])
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let proxy = try NginxProcess(configuration: "/\(root)/deploy/nginx.conf", nodes: [server.port])
    let ann = try WebSocketClient(
      port: proxy.port, target: "/ws?user=ann", headers: ["X-Forwarded-For: 203.0.113.7", "X-Real-IP: 203.0.113.7"])
    try ann.expect("welcome")
    #expect(try address(of: "ann", at: server) == "127.0.0.1")
    withExtendedLifetime(proxy) {}
  }

  // MARK: PROXY protocol

  private static let settings = ["--trusted-proxies", "127.0.0.1", "--proxy-protocol"]
  private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
  private static let clientHeader =
    signature + [0x21, 0x11, 0, 12, 203, 0, 113, 7, 127, 0, 0, 1, 0x11, 0x22, 0x1F, 0x90]

  private static func handshake(_ user: String) -> [UInt8] {
    Array(HTTPClient.request("GET", "/ws?user=\(user)", headers: WebSocketClient.handshakeHeaders()).utf8)
  }

  /// What the admin endpoint answers when it is asked through the proxy, which here speaks for itself.
  private func inspect(_ server: RoostProcess, _ path: String) throws -> JSONValue {
    let connection = try TCPConnection(port: server.port)
    let token = "Authorization: Bearer \(RoostProcess.adminToken)"
    try connection.send("PROXY UNKNOWN\r\n" + HTTPClient.request("GET", "/admin/\(path)", headers: [token]))
    return try HTTPClient.readAnswer(connection).json()
  }

  @Test("takes the client's address from a PROXY header of version 1 or 2, in whatever pieces it comes")
  func headers() throws {
    let server = try RoostProcess(Self.settings)
    let headers: [(String, [UInt8], String)] = [
      ("ann", Array("PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\n".utf8), "203.0.113.9"),
      ("bob", Self.clientHeader, "203.0.113.7"),
      ("eve", Array("PROXY TCP6 2001:db8::5 ::1 4711 80\r\n".utf8), "2001:db8::5"),
      ("max", Self.signature + [0x20, 0, 0, 0], "127.0.0.1"),
    ]
    var open: [TCPConnection] = []
    for (user, header, expected) in headers {
      for isCut in [false, true] {
        let connection = try TCPConnection(port: server.port)
        let name = isCut ? user + "-cut" : user
        if isCut {
          for byte in header { try connection.send([byte]) }
          try connection.send(Self.handshake(name))
        } else {
          try connection.send(header + Self.handshake(name))
        }
        #expect(try HTTPClient.readAnswer(connection).status == 101, "\(name)")
        let seen = try inspect(server, "users/\(name)")["connections"]?.asArray?.first?["address"]?.asString
        #expect(seen == expected, "\(name)")
        open.append(connection)
      }
    }
    // X-Forwarded-For is believed of the address that the header has named, which is no proxy here.
    let liar = try TCPConnection(port: server.port)
    let request = HTTPClient.request(
      "GET", "/ws?user=liar", headers: WebSocketClient.handshakeHeaders() + ["X-Forwarded-For: 198.51.100.1"])
    try liar.send(Self.clientHeader + Array(request.utf8))
    #expect(try HTTPClient.readAnswer(liar).status == 101)
    let seen = try inspect(server, "users/liar")["connections"]?.asArray?.first?["address"]?.asString
    #expect(seen == "203.0.113.7")
    withExtendedLifetime((open, liar)) {}
  }

  @Test("closes a trusted proxy's connection that does not begin with the header, without an answer")
  func missing() throws {
    let server = try RoostProcess(Self.settings)
    for wrong in [
      "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "PROXY TCP4 1.1.1.1\r\n",
      "PROXY " + String(repeating: "x", count: 200),
    ] {
      let connection = try TCPConnection(port: server.port)
      try connection.send(wrong)
      #expect(connection.read(until: Deadline(within: 10)) == .end, "\(wrong)")
    }
    #expect(server.process.end() == nil)
  }

  @Test("takes a PROXY header from nobody else: to a peer that is not trusted it is no request")
  func foreign() throws {
    let server = try RoostProcess(["--trusted-proxies", "10.0.0.0/8", "--proxy-protocol"])
    for header in ["PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\n", String(decoding: Self.signature, as: UTF8.self)] {
      #expect(try server.http.raw(header + HTTPClient.request("GET", "/healthz")).status == 400)
    }
    #expect(try server.http.get("/healthz").status == 200)
  }

  @Test("holds the clients behind the PROXY protocol to --max-connections-per-address")
  func limit() throws {
    let server = try RoostProcess(Self.settings + ["--max-connections-per-address", "1"])
    let first = try TCPConnection(port: server.port)
    try first.send(Self.clientHeader + Self.handshake("ann"))
    #expect(try HTTPClient.readAnswer(first).status == 101)
    let second = try TCPConnection(port: server.port)
    try second.send(Self.clientHeader + Self.handshake("ann"))
    #expect(try HTTPClient.readAnswer(second).status == 429)
    first.closeNow()
    try eventually("there is room again") {
      let third = try TCPConnection(port: server.port)
      try third.send(Self.clientHeader + Self.handshake("ann"))
      return try HTTPClient.readAnswer(third).status == 101
    }
  }

  @Test("reads the PROXY header first and TLS behind it")
  func tls() throws {
    let folder = "/tmp/roost-proxy-tls-\(UInt64.random(in: 0 ... .max))"
    let made = try ChildProcess([
      "/bin/sh", "-c",
      """
      mkdir \(folder) && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
      -days 1 -keyout \(folder)/key.pem -out \(folder)/cert.pem
      """,
    ])
    #expect(try made.waitForEnd() == .exited(0), "\(made.output)")
    let server = try RoostProcess(
      Self.settings + ["--tls-cert", "\(folder)/cert.pem", "--tls-key", "\(folder)/key.pem"])
    let script = """
      import socket, ssl
      raw = socket.create_connection(("127.0.0.1", \(server.port)))
      raw.sendall(b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 443\\r\\n")
      context = ssl.create_default_context(cafile="\(folder)/cert.pem")
      context.check_hostname = False
      with context.wrap_socket(raw) as tls:
        tls.sendall(b"GET /healthz HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
        print(tls.recv(4096).decode())
      """
    let client = try ChildProcess(["python3", "-c", script])
    #expect(try client.waitForEnd() == .exited(0), "\(client.output)")
    #expect(client.output.contains("200 OK"), "\(client.output)")
    _ = try ChildProcess(["rm", "-rf", folder]).waitForEnd()
    withExtendedLifetime(server) {}
  }
}
