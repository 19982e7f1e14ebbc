import ClientCore
import Glibc
import JSONCore
import TestSupport
import Testing

/// What the commands make of addresses: each form of URL, TLS, and servers that are no Roost nodes.
@Suite("Commands and addresses", .serialized)
struct AddressTests {
  /// Runs the same command of each kind: over HTTP, over a WebSocket, and the load generator.
  private static func runAll(_ url: String, _ environment: [String: String] = [:]) throws -> [Program.Result] {
    let wait = ["--timeout", "600ms"]
    return try [["nodes"] + wait, ["tail", "r"] + wait, ["bench", "connect", "--seconds", "1"]]
      .map { try Program.run($0, environment: environment.merging(["ROOST_URL": url]) { $1 }) }
  }

  /// A server that accepts every connection, reads what comes first, answers with fixed bytes and closes.
  private final class FixedServer {
    let process: ChildProcess
    let port: String

    init(_ answer: String) throws {
      process = try ChildProcess([
        "python3", "-u", "-c",
        """
        import socket, sys
        s = socket.create_server(("127.0.0.1", 0)); print("port", s.getsockname()[1])
        kept = []
        while True:
            c, _ = s.accept()
            if sys.argv[1] == "hold": kept.append(c); continue
            try:
                c.recv(65536); c.sendall(sys.argv[1].encode()); c.shutdown(socket.SHUT_WR); c.recv(65536)
            except OSError: pass
            c.close()
        """, answer,
      ])
      port = try process.line(with: "port ").split(separator: " ").last.map(String.init) ?? ""
    }
  }

  private static func http(_ status: String, _ headers: String = "") -> String {
    "HTTP/1.1 \(status)\r\n\(headers)Content-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>hi</html>"
  }

  @Test(
    "name the address that was tried and the next step, with one status, whatever answers",
    arguments: [
      (http("200 OK"), 76, "not as a Roost node does"), (http("404 Not Found"), 76, "give the address of a node"),
      (http("403 Forbidden"), 77, "token"), (http("502 Bad Gateway"), 69, "try again later"),
      (http("308 Moved", "Location: https://elsewhere.test/x\r\n"), 76, "redirects to https://elsewhere.test/x"),
      ("SSH-2.0-OpenSSH_9.2\r\n", 76, "if it serves TLS, give https://127.0.0.1"),
      ("", 76, "if it serves TLS, give https://127.0.0.1"),
    ])
  func strangers(answer: String, status: Int32, text: String) throws {
    let server = try FixedServer(answer)
    for result in try Self.runAll("http://127.0.0.1:\(server.port)") {
      #expect(result.status == status, "\(result.errors)")
      #expect(result.errors.contains("127.0.0.1:\(server.port)"), "\(result.errors)")
      #expect(result.errors.contains(text), "\(result.errors)")
      #expect(result.errors.split(separator: "\n").count == 1)
    }
  }

  @Test("end with 69 when a server takes connections and never answers, when none is there, and when no name is known")
  func nobody() throws {
    let silent = try FixedServer("hold")
    for arguments in [["nodes", "--timeout", "300ms"], ["tail", "r", "--timeout", "300ms"]] {
      let result = try Program.run(arguments, environment: ["ROOST_URL": "ws://127.0.0.1:\(silent.port)"])
      #expect(result.status == 69)
      #expect(result.errors.contains("no answer within 300 ms; check host, port and firewall"), "\(result.errors)")
    }
    for result in try Self.runAll("http://127.0.0.1:1") {
      #expect(result.status == 69)
      #expect(result.errors.contains("start a node there, or name another by --url or ROOST_URL"), "\(result.errors)")
    }
    for result in try Self.runAll("http://nowhere.invalid:8080") {
      #expect(result.status == 69)
      #expect(result.errors.contains("nowhere.invalid is unknown; check its spelling"), "\(result.errors)")
    }
  }

  @Test(
    "take every form of URL",
    arguments: ["http://H", "ws://H", "ws://H/ws", "http://H/", "HTTP://H/ws/", "ws://H/echo"])
  func forms(form: String) throws {
    let node = try TestNode(["--echo"])
    let url = form.split(separator: "H", maxSplits: form.hasPrefix("HTTP") ? 2 : 1, omittingEmptySubsequences: false)
    let environment = [
      "ROOST_URL": (form.hasPrefix("HTTP") ? "HTTP://" : url[0]) + "127.0.0.1:\(node.port)" + (url.last ?? ""),
      "ROOST_ADMIN_TOKEN": "secret",
    ]
    try Self.useAll(environment)
  }

  @Test("reach a node by TLS, trust what SSL_CERT_FILE names, and nothing else")
  func secure() throws {
    let certificates = try Certificates()
    func node(_ pair: (certificate: String, key: String)) throws -> TestNode {
      try TestNode(["--echo", "--tls-cert", pair.certificate, "--tls-key", pair.key])
    }
    let (node, stranger) = (try node(certificates.server), try node(certificates.stranger))
    var environment = ["ROOST_ADMIN_TOKEN": "secret", "SSL_CERT_FILE": certificates.authority]
    for url in ["https://127.0.0.1:\(node.port)", "wss://localhost:\(node.port)/ws"] {
      environment["ROOST_URL"] = url
      try Self.useAll(environment)
    }
    // Not signed by anybody this machine trusts; and signed, but for another host.
    for (port, trust) in [(node.port, "/dev/null"), (stranger.port, certificates.authority)] {
      for result in try Self.runAll("https://127.0.0.1:\(port)", ["SSL_CERT_FILE": trust]) {
        #expect(result.status == 76)
        #expect(result.errors.contains("SSL_CERT_FILE"), "\(result.errors)")
      }
    }
    for result in try Self.runAll("http://127.0.0.1:\(node.port)", environment) {
      #expect(result.errors.contains("TLS"), "\(result.errors)")
      #expect(result.status != 0)
    }
  }

  @Test("say that a plain port does not speak TLS")
  func plain() throws {
    let node = try TestNode()
    for result in try Self.runAll("wss://127.0.0.1:\(node.port)/ws") {
      #expect(result.status == 76)
      #expect(result.errors.contains("does not speak TLS"), "\(result.errors)")
      #expect(result.errors.contains("http://127.0.0.1:\(node.port)"), "\(result.errors)")
    }
  }

  @Test("say how to start a node when it serves no echo, and how to give a token when the load generator needs one")
  func advice() throws {
    let open = try TestNode()
    let echo = try Program.run(["bench", "echo", "--seconds", "1"], environment: ["ROOST_URL": open.url])
    #expect(echo.status == 76)
    #expect(echo.errors.contains("--echo"), "\(echo.errors)")
    let closed = try TestNode(["--auth", "jwt", "--jwt-secret", "0123456789abcdef0123456789abcdef"])
    let url = "ws://127.0.0.1:\(closed.port)/ws?token=nonsense"
    let refused = try Program.run(["bench", "fanout", "--connections", "5", "--seconds", "1", "--url", url])
    #expect(refused.status == 77, "\(refused.errors)")
    #expect(!refused.errors.contains("nonsense"))
  }

  @Test("tail --json prints what tail prints, and escapes what steers a terminal")
  func escapes() throws {
    let node = try TestNode()
    let tail = try RunningProgram(["tail", "lobby", "--json"], environment: node.environment)
    try tail.poll("the room to be joined") { tail.errors.contains("joined at offset") }
    let evil = "x\u{9B}2J\u{202E}y\u{7F}\u{200B}z"
    #expect(try node.roost("publish", "lobby", "{\"text\":\"\(evil)\"}").status == 0)
    try tail.poll("the message") { tail.output.hasSuffix("\n") }
    #expect(tail.output.contains(#""text":"x\u009b2J\u202ey\u007f\u200bz""#), "\(tail.output)")
    #expect(try JSONValue.parse(Array(tail.output.utf8).span)["text"]?.asString == evil)
    // Names reach tables, notes and JSON of every other command.
    let other = try RunningProgram(["tail", "lobby", "--user", "e\u{202E}v\u{200B}il"], environment: node.environment)
    try other.poll("the room to be joined") { other.errors.contains("joined at offset") }
    for arguments in [["presence", "lobby"], ["presence", "lobby", "--json"], ["user", "e\u{202E}v\u{200B}il"]] {
      let result = try Program.run(arguments, environment: node.environment)
      #expect(result.output.contains(#"e\u202ev\u200bil"#), "\(result.output)")
      #expect(result.output.unicodeScalars.allSatisfy { $0 == "\n" || (0x20...0x7E).contains($0.value) })
    }
  }

  /// Every command gets through: over HTTP, over a WebSocket, and both loads of the generator.
  private static func useAll(_ environment: [String: String]) throws {
    let nodes = try Program.run(["nodes"], environment: environment)
    #expect(nodes.status == 0, "\(environment): \(nodes.errors)")
    let tail = try RunningProgram(["tail", "lobby"], environment: environment)
    try tail.poll("tail to join by \(environment)") { tail.errors.contains("joined at offset") }
    let published = try Program.run(["publish", "lobby", "{\"n\":1}"], environment: environment)
    #expect(published.status == 0, "\(environment): \(published.errors)")
    try tail.poll("the message by \(environment)") { tail.output.hasSuffix("\"n\":1}\n") }
    tail.signal(SIGINT)
    #expect(try tail.waitForEnd().status == 0)
    for load in [["rooms", "--rooms", "2"], ["echo", "--connections", "2"], ["idle", "--connections", "5"]] {
      let result = try Program.run(
        ["bench"] + load + ["--seconds", "1", "--warm-up", "0ms", "--json"], environment: environment)
      #expect(result.status == 0, "\(environment): \(result.errors)")
    }
  }
}
