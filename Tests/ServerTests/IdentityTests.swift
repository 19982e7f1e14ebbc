import Glibc
import JSONCore
import TestSupport
import Testing

@Suite("One node, identity")
struct IdentityTests {
  private static let secret = "a secret of 32 bytes, for testing"
  private let secret = IdentityTests.secret

  private func server(_ flags: [String] = []) throws -> RoostProcess {
    try RoostProcess(["--auth", "jwt", "--jwt-secret", secret, "--log-format", "json", "--log-level", "debug"] + flags)
  }

  /// A token by `roost token`.
  private func token(_ user: String, _ flags: String..., signer: [String] = ["--jwt-secret", secret]) throws -> String {
    let result = try RoostProcess.run(["token", "--user", user] + signer + flags)
    guard result.end == .exited(0) else { throw TestFailure("roost token: \(result)") }
    return String(result.output.dropLast())
  }

  private func open(_ server: RoostProcess, target: String = "/ws", headers: [String] = []) throws -> WebSocketClient {
    try WebSocketClient(port: server.port, target: target, headers: headers)
  }

  @Test("takes a token from the query, the Authorization header, a subprotocol and the cookie, and greets its user")
  func places() throws {
    let server = try server()
    let ann = try token("ann")
    let places: [(String, [String])] = [
      ("/ws?token=\(ann)", []), ("/ws?user=eve&token=\(ann)", []), ("/ws", ["Authorization: Bearer \(ann)"]),
      ("/ws", ["authorization: bEARER \(ann)"]), ("/ws", ["Cookie: a=b; roost_token=\(ann); c=d"]),
      ("/ws", ["Cookie: roost_token=\"\(ann)\""]),
      // Two lines of cookies, as HTTP/2 splits them (RFC 9113 section 8.2.3).
      ("/ws", ["Cookie: a=b", "Cookie: c=d; roost_token=\(ann)"]), ("/ws", ["Authorization: Bearer  \(ann)"]),
      ("/ws", ["Sec-WebSocket-Protocol: bearer, \(ann)"]),
      ("/ws", ["Sec-WebSocket-Protocol: roost", "Sec-WebSocket-Protocol: bearer,\(ann)"]),
      ("/ws", ["Sec-WebSocket-Protocol: bearer, \(ann)", "Cookie: roost_token=stale"]),
      // What was said on purpose beats what a browser sends by itself.
      ("/ws?token=\(ann)", ["Cookie: roost_token=stale"]),
      ("/ws", ["Authorization: Bearer \(ann)", "Cookie: roost_token=x"]),
    ]
    for (target, headers) in places {
      let client = try open(server, target: target, headers: headers)
      #expect(try client.expect("welcome").string("user") == "ann", "\(target) \(headers)")
      #expect(try client.join("r").type == "joined")
    }
  }

  @Test("opens the WebSocket whatever the token is, and then tells why it is wrong and closes with 4401")
  func wrong() throws {
    let server = try server()
    let other = try token("ann", signer: ["--jwt-secret", "another secret, also of 32 bytes."])
    for (target, headers) in [
      ("/ws?token=\(other)", []), ("/ws?token=x", []), ("/ws", ["Authorization: Bearer \(other)"]),
      ("/ws", ["Cookie: roost_token=\(other)"]),
    ] as [(String, [String])] {
      let client = try open(server, target: target, headers: headers)
      #expect(try client.expect("welcome")["user"] == .null)
      #expect(try client.expect("auth_failed").string("reason")?.isEmpty == false)
      #expect(try client.expectClose() == 4401)
    }
    #expect(try server.metric("roost_auth_failures_total") == 4)
  }

  @Test("lets a client authenticate by its first message, and do nothing else before")
  func firstMessage() throws {
    let server = try server()
    // The name in the query is nobody's proof.
    let client = try open(server, target: "/ws?user=admin")
    #expect(try client.expect("welcome")["user"] == .null)
    for members in [#""type":"join","room":"r""#, #""type":"broadcast""#, #""type":"ping""#] {
      #expect(try client.ask(members).string("code") == "unauthenticated", "\(members)")
    }
    try client.send(binary: [1, 1, 0x72, 0x78])
    #expect(try client.expect("error").string("code") == "unauthenticated")
    let answer = try client.ask(#""type":"auth","token":"\#(try token("ann"))""#)
    #expect(answer.type == "auth_success" && answer.string("user") == "ann")
    try client.join("r")
    let wrong = try open(server)
    #expect(try wrong.ask(#""type":"auth","token":"e30.e30.e30""#).type == "auth_failed")
    #expect(try wrong.expectClose() == 4401)
  }

  @Test("closes a connection that does not authenticate in time with 4401")
  func timeout() throws {
    let server = try server(["--auth-timeout", "300ms"])
    let client = try open(server)
    #expect(try client.expect("auth_failed").string("reason")?.contains("no valid token") == true)
    #expect(try client.expectClose() == 4401)
  }

  @Test("closes with 4401 when the token expires, unless a newer one came first")
  func expiry() throws {
    let server = try server()
    let (ann, bob) = (try open(server, target: "/ws?token=\(try token("ann", "--ttl", "2s"))"), try open(server))
    try bob.expect("welcome")
    #expect(try bob.ask(#""type":"auth","token":"\#(try token("bob", "--ttl", "2s"))""#).type == "auth_success")
    try bob.join("r")
    #expect(try bob.ask(#""type":"auth","token":"\#(try token("bob", "--ttl", "1h"))""#).type == "auth_success")
    #expect(try ann.expect("auth_failed").string("reason") == "the token has expired")
    #expect(try ann.expectClose() == 4401)
    #expect(try bob.publish("r", #""n":1"#) == 1)
    let other = try bob.ask(#""type":"auth","token":"\#(try token("ann"))""#)
    #expect(other.type == "auth_failed")
    #expect(try bob.expectClose() == 4401)
  }

  @Test("refuses a token without exp and says so, unless --jwt-require-exp is off")
  func endless() throws {
    let endless = "/ws?token=\(try MintedToken.make(#""sub":"ann""#, expires: false))"
    let strict = try RoostProcess(MintedToken.flags)
    let refused = try WebSocketClient(port: strict.port, target: endless)
    #expect(try refused.expect("auth_failed").string("reason")?.contains("no exp") == true)
    #expect(try refused.expectClose() == 4401)
    let lenient = try RoostProcess(MintedToken.flags + ["--jwt-require-exp", "off"])
    #expect(try WebSocketClient(port: lenient.port, target: endless).expect("welcome").string("user") == "ann")
  }

  @Test("gives tokens without rooms those of --jwt-default-rooms")
  func defaultRooms() throws {
    let server = try server(["--jwt-default-rooms", "lobby,r:news:*"])
    let ann = try open(server, target: "/ws?token=\(try token("ann"))")
    #expect(try ann.join("lobby").type == "joined")
    #expect(try ann.join("news:a").type == "joined")
    #expect(try ann.ask(#""type":"message","room":"news:a""#).string("code") == "forbidden")
    #expect(try ann.ask(#""type":"join","room":"other""#).string("code") == "forbidden")
    let bob = try open(server, target: "/ws?token=\(try token("bob", "--rooms", "other"))")
    #expect(try bob.join("other").type == "joined")
  }

  @Test("tells a connection that its token is about to expire, at once when less than 20 s are left")
  func notice() throws {
    let server = try server()
    let (ann, bob) = (
      try open(server, target: "/ws?token=\(try token("ann", "--ttl", "10s"))"),
      try open(server, target: "/ws?token=\(try token("bob", "--ttl", "22s"))")
    )
    let at = try ann.expect("token_expires").int("at") ?? 0
    #expect(at > 1_700_000_000_000)
    #expect(try bob.settle().allSatisfy { $0.type != "token_expires" })
    #expect((try bob.expect("token_expires").int("at") ?? 0) > at)
    #expect(try bob.ask(#""type":"auth","token":"\#(try token("bob"))""#).type == "auth_success")
    #expect(try bob.settle().isEmpty)
  }

  @Test("shows info in presence, on the socket and for administrators")
  func presence() throws {
    let server = try server()
    let client = try open(server, target: "/ws?token=\(try token("ann", "--info", #"{"name":"Ann"}"#))")
    try client.join("r")
    let members = try client.ask(#""type":"presence","room":"r""#)["members"]?.asArray
    #expect(members?.first?["info"]?["name"]?.asString == "Ann")
    #expect(try server.inspect("presence/r")["members"]?.asArray?.first?["info"]?["name"]?.asString == "Ann")
  }

  @Test("compares audience and issuer when they are set")
  func audience() throws {
    let server = try server(["--jwt-audience", "chat,other", "--jwt-issuer", "https://id.example"])
    let right = try token("ann", "--audience", "chat", "--issuer", "https://id.example")
    #expect(try open(server, target: "/ws?token=\(right)").expect("welcome").string("user") == "ann")
    for wrong in [try token("ann"), try token("ann", "--audience", "chat"), try token("ann", "--issuer", "x")] {
      let client = try open(server, target: "/ws?token=\(wrong)")
      #expect(try client.expectClose() == 4401)
    }
  }

  @Test("writes no token, secret or query into its log, and warns of a short secret")
  func log() throws {
    let server = try RoostProcess(
      ["--auth", "jwt", "--jwt-secret", "short-secret-xyz", "--log-format", "json", "--log-level", "debug"])
    let good = try token("ann", signer: ["--jwt-secret", "short-secret-xyz"])
    let client = try open(server, target: "/ws?token=\(good)&private=query-word")
    #expect(try client.ask(#""type":"auth","token":"\#(good)""#).type == "auth_success")
    let wrong = try open(server, target: "/ws?token=e30.token-word.e30")
    #expect(try wrong.expectClose() == 4401)
    #expect(try server.http.get("/nowhere?token=\(good)&private=query-word").status == 404)
    let answer = try server.http.get("/ws?token=\(good)")
    #expect(answer.status == 426 && !answer.description.contains(good))
    server.process.signal(SIGTERM)
    _ = try server.process.waitForEnd()
    let output = server.process.output
    let signature = String(good.split(separator: ".")[2])
    for word in [good, signature, "short-secret-xyz", "token-word", "query-word"] {
      #expect(!output.contains(word), "\(word) in:\n\(output)")
    }
    #expect(output.contains("jwt-secret has fewer than 32 bytes and can be guessed"))
  }

  @Test("does not start with keys that cannot be read or used: status 64 and one line that says why")
  func badKeys() throws {
    let folder = try TemporaryFolder()
    try folder.write("empty", [])
    try folder.write("text", Array("hello\n".utf8))
    try folder.write("set", Array(#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#.utf8))
    let key = try OpenSSL.makeKey(["-algorithm", "ED25519"], name: "key", in: folder)
    let table: [([String], String)] = [
      ([], "--jwt-secret"), (["--jwt-public-key", "/nowhere.pem"], "/nowhere.pem"),
      (["--jwt-public-key", folder.path("text")], "BEGIN PUBLIC KEY"),
      (["--jwt-public-key", key.privatePath], "private key"),
      (["--jwt-secret-file", folder.path("empty")], "no secret"),
      (["--jwks", "/nowhere.json"], "/nowhere.json"), (["--jwks", folder.path("text")], "set of keys"),
      (["--jwks", folder.path("set")], "no public key"), (["--jwks", "ftp://x/keys"], "--jwks"),
      (["--jwt-secret", "s", "--jwt-leeway", "1h"], "--jwt-leeway"),
      (["--jwt-secret", "s", "--auth-timeout", "0s"], "--auth-timeout"),
    ]
    for (flags, word) in table {
      let result = try RoostProcess.run(["serve", "--port", "0", "--auth", "jwt"] + flags)
      #expect(result.end == .exited(64), "\(flags): \(result)")
      #expect(result.output.contains(word), "\(flags): \(result.output)")
      #expect(result.output.split(separator: "\n").count == 1, "\(flags): \(result.output)")
    }
  }

  @Test("reads keys again on SIGHUP: old and new together, then the new alone; a broken file changes nothing")
  func rotation() throws {
    let folder = try TemporaryFolder()
    let old = try OpenSSL.makeKey(["-algorithm", "ED25519"], name: "old", in: folder)
    let new = try OpenSSL.makeKey(
      ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], name: "new", in: folder)
    try folder.write("keys.pem", try folder.read(old.publicPath))
    try folder.write("secrets", Array("first secret of at least 32 bytes.\r\nsecond secret of at least 32 byte\n".utf8))
    let server = try RoostProcess([
      "--auth", "jwt", "--jwt-public-key", folder.path("keys.pem"), "--jwt-secret-file", folder.path("secrets"),
    ])
    let oldToken = try token("ann", signer: ["--key", old.privatePath])
    let newToken = try token("ann", signer: ["--key", new.privatePath])
    func isGood(_ token: String) throws -> Bool {
      try open(server, target: "/ws?token=\(token)").expect("welcome").string("user") == "ann"
    }
    #expect(try isGood(oldToken) && !isGood(newToken))
    #expect(try isGood(try token("ann", signer: ["--jwt-secret", "first secret of at least 32 bytes."])))
    #expect(try isGood(try token("ann", signer: ["--jwt-secret", "second secret of at least 32 byte"])))
    try folder.write("keys.pem", try folder.read(old.publicPath) + folder.read(new.publicPath))
    server.process.signal(SIGHUP)
    try eventually("both keys are good") { try isGood(oldToken) && isGood(newToken) }
    try folder.write("keys.pem", Array("broken".utf8))
    server.process.signal(SIGHUP)
    _ = try server.process.line(with: "kept the old keys")
    #expect(try isGood(oldToken) && isGood(newToken))
    try folder.write("keys.pem", try folder.read(new.publicPath))
    server.process.signal(SIGHUP)
    try eventually("the old key is gone") { try !isGood(oldToken) && isGood(newToken) }
  }
}
