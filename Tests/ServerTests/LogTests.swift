import JSONCore
import TestSupport
import Testing

@testable import Server

@Suite("Log")
struct LogTests {
  private static func lines(_ server: RoostProcess, _ message: String) -> [Received] {
    server.process.output.split(separator: "\n").filter { $0.contains("\"message\":\"\(message)\"") }
      .compactMap { try? Received(String($0)) }
  }

  @Test("at debug says who connects, who closes and why, what is refused, and which rooms come and go, and no token")
  func debug() throws {
    let server = try RoostProcess(["--log-level", "debug"], environment: ["ROOST_LOG_FORMAT": "json"])
    let client = try server.connect("a%E2%80%AEnn")
    try client.join("lobby\u{202E}")
    try client.sendClose(4000, "bye")
    try eventually("the close is logged") { !Self.lines(server, "closed by the client").isEmpty }
    let connected = try #require(Self.lines(server, "connected").first)
    #expect(connected.string("transport") == "websocket" && connected.string("address") == "127.0.0.1")
    let identified = try #require(Self.lines(server, "identified").first)
    #expect(identified.string("user") == "a\u{202E}nn")
    #expect(Self.lines(server, "room created").first?.string("room") == "lobby\u{202E}")
    let closed = try #require(Self.lines(server, "closed by the client").first)
    #expect(closed.int("code") == 4000)
    #expect(closed.string("connection") == connected.string("connection"))
    #expect(try server.http.get("/nowhere?token=TOPSECRET").status == 404)
    #expect(try server.http.get("/ws?token=TOPSECRET").status != 101)
    try eventually("both refusals are logged") { Self.lines(server, "request refused").count >= 2 }
    let refused = Self.lines(server, "request refused")
    #expect(refused[0].int("status") == 404 && refused[0].string("path") == "/nowhere")
    #expect(refused[1].string("path") == "/ws" && refused[1].string("reason")?.isEmpty == false)
    var lost: WebSocketClient? = try server.connect("bob")
    try lost?.join("lobby")
    lost = nil
    try eventually("the loss is logged") { !Self.lines(server, "connection lost").isEmpty }
    #expect(!server.process.output.contains("TOPSECRET"))
    // Nothing that steers a terminal is in the raw lines.
    #expect(server.process.output.unicodeScalars.allSatisfy { $0 == "\n" || (0x20...0x7E).contains($0.value) })
  }

  @Test("names every request by one id: in one line at debug, and in the answer that refuses it")
  func requests() throws {
    let server = try RoostProcess(["--log-level", "debug", "--log-format", "json", "--node-id", "n1"])
    let connection = try TCPConnection(port: server.port)
    var made: [String] = []
    for path in ["/nowhere", "/elsewhere"] {
      try connection.send(HTTPClient.request("GET", path))
      made.append(try #require(try HTTPClient.readAnswer(connection).header("x-request-id")))
    }
    #expect(made.allSatisfy { $0.hasPrefix("n1-r") } && made[0] != made[1])
    let brought = try server.http.get("/nowhere", headers: ["X-Request-Id: from-the-proxy/7"])
    #expect(brought.header("x-request-id") == "from-the-proxy/7")
    for other in [String(repeating: "x", count: 129), "a b", ""] {
      let answer = try server.http.get("/nowhere", headers: ["X-Request-ID: \(other)"])
      #expect(answer.header("x-request-id")?.hasPrefix("n1-r") == true)
    }
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    let fine = try server.http.get("/healthz", headers: ["X-Request-ID: fine", "TraceParent: \(trace)"])
    #expect(fine.header("x-request-id") == nil)
    try eventually("all are logged") {
      Self.lines(server, "request refused").count >= 6 && !Self.lines(server, "request answered").isEmpty
    }
    let refused = Self.lines(server, "request refused")
    #expect(refused.prefix(3).map { $0.string("request") } == made + ["from-the-proxy/7"])
    let answered = Self.lines(server, "request answered")
    #expect(answered.count == 1)
    #expect(answered[0].string("request") == "fine" && answered[0].string("trace") == trace)
    #expect(answered[0].string("method") == "GET" && answered[0].string("path") == "/healthz")
    #expect(answered[0].int("status") == 200 && answered[0].int("milliseconds") != nil)
    #expect(refused[0].string("trace") == nil)
  }

  @Test("at debug gives the reason of a refused token, and the code with which its connection is closed")
  func refusedToken() throws {
    let server = try RoostProcess([
      "--log-level", "debug", "--log-format", "json", "--auth", "jwt",
      "--jwt-secret", "0123456789abcdef0123456789abcdef",
    ])
    let client = try WebSocketClient(port: server.port, target: "/ws?token=bm9uc2Vuc2U.bm9uc2Vuc2U.bm9uc2Vuc2U")
    #expect(try client.expectClose() == 4401)
    try eventually("the refusal is logged") { !Self.lines(server, "closing a connection").isEmpty }
    let refused = try #require(Self.lines(server, "not authenticated").first)
    #expect(refused.string("reason")?.isEmpty == false)
    let closing = try #require(Self.lines(server, "closing a connection").first)
    #expect(closing.int("code") == 4401)
    #expect(closing.string("connection") == refused.string("connection"))
    #expect(!server.process.output.contains("bm9uc2Vuc2U"))
  }

  @Test("at info says nothing of single connections, and writes numbers as numbers")
  func info() throws {
    let server = try RoostProcess(["--log-format", "json"])
    let client = try server.connect("ann")
    try client.join("lobby")
    try client.sendClose(1000)
    _ = try client.expectClose()
    #expect(try server.http.get("/nowhere").status == 404)
    for message in [
      "connected", "identified", "room created", "closed by the client", "request refused", "request answered",
    ] {
      #expect(Self.lines(server, message).isEmpty)
    }
    let listening = try #require(Self.lines(server, "listening").first)
    #expect(listening.int("port") == Int(server.port))
    #expect(listening.int("startMilliseconds") != nil)
  }

  @Test("keeps the fields of a text line apart, whatever they hold")
  func text() {
    #expect("lobby".logText == "lobby" && 7.logText == "7" && true.logText == "true")
    #expect("a code=1000".logText == #""a code=1000""#)
    #expect("say \"x\"".logText == #""say \"x\"""# && "".logText == "\"\"")
  }

  @Test("notices which nodes come and go, and takes those of the first look for granted")
  func nodes() {
    var roll = NodeRoll()
    func update(_ ids: String...) -> [[String]] {
      let (came, gone) = roll.update(ids.map { Array($0.utf8) })
      return [came, gone].map { $0.map { String(decoding: $0, as: UTF8.self) } }
    }
    #expect(update("a", "b") == [[], []])
    #expect(update("b", "a") == [[], []])
    #expect(update("d", "a", "c") == [["c", "d"], ["b"]])
    #expect(update() == [[], ["a", "c", "d"]])
  }
}
