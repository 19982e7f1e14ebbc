import JSONCore
import TestSupport
import Testing

/// Serves a folder by Python's HTTP server. While a file `stall` lies in it, it accepts and answers nothing; while `broken`
/// does, it answers 503.
private final class KeyServer {
  let folder: TemporaryFolder
  let port: UInt16
  private var process: ChildProcess?

  private static let program = """
    import http.server, os, sys, time
    class Handler(http.server.SimpleHTTPRequestHandler):
      def do_GET(self):
        while os.path.exists('stall'): time.sleep(0.02)
        print('asked for', self.path, flush=True)
        if os.path.exists('broken'): return self.send_error(503)
        super().do_GET()
    os.chdir(sys.argv[2])
    http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
    """

  init() throws {
    folder = try TemporaryFolder()
    port = try FreePort.find()
  }

  var url: String { "http://127.0.0.1:\(port)/keys.json" }

  /// How often the set was asked for.
  var requests: Int { process?.output.split(separator: "\n").count { $0.hasPrefix("asked for /keys.json") } ?? 0 }

  /// - Parameter waits: whether it must answer before the test goes on.
  func start(waits: Bool = true) throws {
    process = try ChildProcess(["python3", "-u", "-c", KeyServer.program, "\(port)", folder.path("")])
    guard waits else { return }
    try eventually("the key server answers") { (try? HTTPClient(port: port).get("/")) != nil }
  }

  /// Publishes Ed25519 keys under their names.
  func publish(_ keys: [(name: String, publicPath: String)]) throws {
    let members = try keys.map { key -> String in
      let der = folder.path("\(key.name).der")
      try OpenSSL.run(["pkey", "-pubin", "-in", key.publicPath, "-outform", "DER", "-out", der])
      // The last 32 bytes are the key (RFC 8410 section 4).
      let bytes = Array(try folder.read(der).suffix(32))
      let x = String(decoding: Base64URL.encode(bytes.span), as: UTF8.self)
      return #"{"kty":"OKP","crv":"Ed25519","use":"sig","kid":"\#(key.name)","x":"\#(x)"}"#
    }
    try folder.write("keys.json", Array(#"{"keys":[\#(members.joined(separator: ","))]}"#.utf8))
  }
}

@Suite("One node, published keys")
struct KeySetTests {
  private let keys: KeyServer
  private let old: (privatePath: String, publicPath: String)
  private let new: (privatePath: String, publicPath: String)

  init() throws {
    keys = try KeyServer()
    old = try OpenSSL.makeKey(["-algorithm", "ED25519"], name: "old", in: keys.folder)
    new = try OpenSSL.makeKey(["-algorithm", "ED25519"], name: "new", in: keys.folder)
    try keys.publish([("old", old.publicPath)])
  }

  private func token(_ user: String, by key: (privatePath: String, publicPath: String), kid: String) throws -> String {
    let result = try RoostProcess.run(["token", "--user", user, "--key", key.privatePath, "--key-id", kid])
    guard result.end == .exited(0) else { throw TestFailure("roost token: \(result)") }
    return String(result.output.dropLast())
  }

  @Test("fetches a set of keys, and again when a token names a key that is not in it, but not for every such token")
  func rotation() throws {
    try keys.start()
    let server = try RoostProcess(["--auth", "jwt", "--jwks", keys.url])
    let ann = try WebSocketClient(port: server.port, target: "/ws?token=\(try token("ann", by: old, kid: "old"))")
    // The set may come behind the greeting: then the answer tells.
    try eventually("ann is known") { try ann.ask(#""type":"request","action":"whoami""#).type == "response" }
    #expect(keys.requests == 1)
    let eves = try (0..<30).map { n in
      try WebSocketClient(port: server.port, target: "/ws?token=\(try token("eve", by: new, kid: "x\(n)"))")
    }
    for eve in eves { #expect(try eve.expectClose() == 4401) }
    #expect((2...3).contains(keys.requests), "\(keys.requests) requests for 30 unknown keys")
    // The set was fetched a moment ago, and still nobody who comes with a newer key is refused.
    try keys.publish([("new", new.publicPath)])
    let bob = try WebSocketClient(port: server.port, target: "/ws?token=\(try token("bob", by: new, kid: "new"))")
    #expect(try bob.expect("welcome")["user"] == .null)
    #expect(try bob.expect("auth_success").string("user") == "bob")
    let gone = try WebSocketClient(port: server.port, target: "/ws?token=\(try token("ann", by: old, kid: "old"))")
    #expect(try gone.expectClose() == 4401)
    // Whoever was let in stays until the token expires.
    #expect(try ann.ask(#""type":"ping""#).type == "pong")
  }

  @Test("lets tokens wait for a slow issuer and serves everybody else meanwhile")
  func slow() throws {
    try keys.folder.write("stall", [])
    let key = try OpenSSL.makeKey(["-algorithm", "ED25519"], name: "own", in: keys.folder)
    try keys.start(waits: false)
    // It stalls every request: that it listens is seen by connecting.
    try eventually("the key server listens") { (try? TCPConnection(port: keys.port)) != nil }
    let server = try RoostProcess(["--auth", "jwt", "--jwks", keys.url, "--jwt-public-key", key.publicPath])
    let waiting = try WebSocketClient(port: server.port, target: "/ws?token=\(try token("ann", by: old, kid: "old"))")
    #expect(try waiting.expect("welcome")["user"] == .null)
    try waiting.send(#"{"type":"join","room":"r","id":"j"}"#)
    // A key that is here needs nobody.
    let own = try WebSocketClient(port: server.port, target: "/ws?token=\(try token("bob", by: key, kid: "own"))")
    #expect(try own.expect("welcome").string("user") == "bob")
    #expect(try server.http.get("/healthz").status == 200)
    try keys.folder.remove("stall")
    #expect(try waiting.expect("auth_success").string("user") == "ann")
    #expect(try waiting.expect("joined").string("id") == "j")
  }

  @Test("tells clients to come again while an issuer is away, and finds it when it is back")
  func away() throws {
    let server = try RoostProcess(["--auth", "jwt", "--jwks", keys.url, "--auth-timeout", "2s"])
    let ann = try token("ann", by: old, kid: "old")
    let client = try WebSocketClient(port: server.port, target: "/ws?token=\(ann)")
    #expect(try client.expect("error").string("code") == "unavailable")
    #expect(try client.expectClose() == 1013)
    _ = try server.process.line(with: "cannot fetch the keys for tokens")
    try keys.start()
    try eventually("the issuer is found", within: 30) {
      try WebSocketClient(port: server.port, target: "/ws?token=\(ann)").expect("welcome").string("user") == "ann"
    }
  }

  @Test(
    "never refuses a token for a key that an ailing issuer cannot show, and judges all others as ever",
    arguments: ["503", "stall", "garbage"])
  func ailing(how: String) throws {
    try keys.start()
    let server = try RoostProcess(["--auth", "jwt", "--jwks", keys.url, "--auth-timeout", "3s"])
    _ = try server.process.line(with: "took over a set of keys")
    switch how {
    case "503": try keys.folder.write("broken", [])
    case "stall": try keys.folder.write("stall", [])
    default: try keys.folder.write("keys.json", Array("<html>".utf8))
    }
    let bob = "/ws?token=\(try token("bob", by: new, kid: "new"))"
    let waiting = try WebSocketClient(port: server.port, target: bob)
    #expect(try waiting.expect("welcome")["user"] == .null)
    // A key that is known needs no issuer, and a signature that it did not make is as wrong as ever.
    let ann = try WebSocketClient(port: server.port, target: "/ws?token=\(try token("ann", by: old, kid: "old"))")
    #expect(try ann.expect("welcome").string("user") == "ann")
    let eve = try WebSocketClient(port: server.port, target: "/ws?token=\(try token("eve", by: new, kid: "old"))")
    #expect(try eve.expectClose() == 4401)
    // A newer token of who is in cannot be judged either: that ends nothing.
    let renewal = try ann.ask(#""type":"auth","token":"\#(try token("ann", by: new, kid: "new"))""#)
    #expect(renewal.string("code") == "unavailable")
    #expect(try waiting.expect("error").string("code") == "unavailable")
    #expect(try waiting.expectClose() == 1013)
    #expect(try ann.ask(#""type":"ping""#).type == "pong")
    for file in ["broken", "stall"] { try? keys.folder.remove(file) }
    try keys.publish([("old", old.publicPath), ("new", new.publicPath)])
    try eventually("bob comes again and is let in", within: 30) {
      let client = try WebSocketClient(port: server.port, target: bob)
      if try client.expect("welcome").string("user") == "bob" { return true }
      let verdict = try client.take("a verdict") { event in
        if case .close = event { return true }
        if case .text(let text) = event { return text.contains("auth_success") }
        return false
      }
      guard case .close(let code, _) = verdict else { return true }
      #expect(code == 1013)
      return false
    }
  }

  @Test("keeps the keys it has when the set is broken, too large, or gone")
  func broken() throws {
    try keys.start()
    let server = try RoostProcess(["--auth", "jwt", "--jwks", keys.url])
    let ann = try token("ann", by: old, kid: "old")
    func isGood() throws -> Bool {
      try WebSocketClient(port: server.port, target: "/ws?token=\(ann)").expect("welcome").string("user") == "ann"
    }
    _ = try server.process.line(with: "took over a set of keys")
    #expect(try isGood())
    let broken: [([UInt8], String)] = [
      (Array("<html>".utf8), "no set of keys"), ([UInt8](repeating: 0x20, count: 300_000), "more than 256 KiB"),
    ]
    for (bytes, word) in broken {
      try keys.folder.write("keys.json", bytes)
      server.process.signal(1)
      _ = try server.process.line(with: word)
      #expect(try isGood())
    }
    try keys.folder.remove("keys.json")
    server.process.signal(1)
    _ = try server.process.line(with: "HTTP status 404")
    #expect(try isGood())
  }
}
