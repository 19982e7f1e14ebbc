import Glibc
import TestSupport
import Testing

/// A node and the backend that decides for it, over real connections.
@Suite("One node and its backend")
struct BackendTests {
  private func code(_ answer: Received) -> String { answer.string("code") ?? answer.type ?? "" }

  @Test("asks who may join, and passes refusals on; what it cannot use decides nothing")
  func joins() throws {
    let backend = try DecidingBackend()
    let server = try RoostProcess(backend.flags("join"))
    let ann = try server.connect("ann")
    try ann.join("a")
    try ann.join("a")
    let refusal = try ann.ask(#""type":"join","room":"no:1""#)
    #expect(code(refusal) == "forbidden" && refusal.string("message") == "members only")
    #expect(code(try ann.ask(#""type":"history","room":"no:1""#)) == "forbidden")
    #expect(code(try ann.ask(#""type":"join","room":"no:*""#)) == "forbidden")
    for room in ["a500", "a404", "a302", "garbage", "huge"] {
      #expect(code(try ann.ask(#""type":"join","room":"\#(room)""#)) == "unavailable", "\(room)")
      #expect(code(try ann.ask(#""type":"message","room":"\#(room)""#)) == "not_joined")
    }
    #expect(backend.asked.count == 9 && backend.asked[0].contains(#""event": "ask_join""#))
    #expect(backend.asked[0].contains(#""user": "ann""#) && backend.asked[0].contains(#""room": "a""#))
    #expect(try server.metric(#"roost_webhook_calls_total{kind="ask",outcome="answered"}"#) == 4)
    #expect(try server.metric(#"roost_webhook_calls_total{kind="ask",outcome="failed"}"#) == 5)
    // Backends are never asked about.
    #expect(try server.admin("POST", "publish", body: #"{"room":"no:1","data":{"n":1}}"#).status == 200)
    #expect(backend.asked.count == 9)
  }

  @Test("keeps a connection's messages in order under slow decisions, and replaces their members")
  func messages() throws {
    let backend = try DecidingBackend()
    let server = try RoostProcess(backend.flags("message"))
    let (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
    try ann.join("a")
    try bob.join("a")
    for n in 0..<10 {
      let text = n % 3 == 0 ? "slow" : n % 3 == 1 ? "spam" : "damn"
      try ann.send(#"{"type":"message","room":"a","id":"\#(n)","n":\#(n),"text":"\#(text)"}"#)
    }
    try ann.send(binary: [1, 1] + Array("a".utf8) + [7])
    let forged = try ann.ask(#""type":"message","room":"a","text":"forge""#)
    #expect(code(forged) == "unavailable")
    // The operator of the backend can change it, the client cannot.
    #expect(forged.string("message")?.hasPrefix("the backend's answer cannot be used; nothing was done") == true)
    let line = try server.process.line(with: #"data has a member"#)
    #expect(line.contains("nest it") && !line.contains("beside data"), "\(line)")
    let seen = try bob.settle().filter { $0.type == "message" }
    #expect(seen.compactMap { $0.string("text") } == ["slow", "d***", "slow", "d***", "slow", "d***", "slow"])
    #expect(seen.compactMap { $0.int("n") } == [0, 3, 6, 9])
    #expect(backend.asked.contains { $0.contains(#""binary": "Bw==""#) })
    let spam = try server.http.ask("POST", "/send?user=eve", body: #"{"type":"message","room":"a","text":"spam"}"#)
    #expect(spam.status == 403 && spam.text.contains("spam"))
    let good = try server.http.ask("POST", "/send?user=eve", body: #"{"type":"message","room":"a","text":"damn"}"#)
    #expect(good.status == 200)
    #expect(try bob.expect("message") { $0.string("user") == "eve" }.string("text") == "d***")
    let lines = ["slow 1", "damn 2", "slow 3", "spam 4", "damn 5"].map { text in
      #"{"type":"message","room":"a","text":"\#(text)"}"#
    }
    let batch = try server.http.ask(
      "POST", "/send?user=eve", headers: ["Content-Type: application/x-ndjson"], body: lines.joined(separator: "\n"))
    #expect(batch.status == 200 && batch.text.split(separator: "\n")[3].contains("forbidden"))
    let sent = try bob.settle().filter { $0.string("user") == "eve" }.compactMap { $0.string("text") }
    #expect(sent == ["slow 1", "d*** 2", "slow 3", "d*** 5"])
  }

  @Test("asks about a message that a request brings for a connection, in a room that the connection has joined or not")
  func messagesForConnections() throws {
    let backend = try DecidingBackend()
    let server = try RoostProcess(backend.flags("message"))
    let client = try PollClient(server, "ann", "room=in")
    let spam = { (room: String) in #"{"type":"message","room":"\#(room)","text":"spam"}"# }
    for (number, room) in ["in", "out"].enumerated() {
      let answer = try client.send(server, spam(room))
      #expect(answer.status == 403 && answer.text.contains("spam"), "\(room): \(answer.text)")
      #expect(backend.asked.count == 2 * number + 1)
      let batch = try server.http.ask(
        "POST", "/send?connection=\(client.name)&user=ann", headers: ["Content-Type: application/x-ndjson"],
        body: spam(room))
      #expect(batch.status == 200 && batch.text.contains("forbidden") && backend.asked.count == 2 * number + 2)
    }
  }

  @Test("a decision that does not come stops one connection only, and ends in time without a trace")
  func stalled() throws {
    let backend = try DecidingBackend()
    let server = try RoostProcess(backend.flags("join", timeout: "1s"))
    let (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
    try ann.join("a")
    try backend.folder.write("stalled", [])
    try ann.send(#"{"type":"join","room":"stalled","id":"j"}"#)
    try ann.send(#"{"type":"message","room":"a","id":"m","n":1}"#)
    try bob.join("a")
    try bob.publish("a", #""n":2"#)
    #expect(try ann.settle().contains { $0.int("n") == 2 })
    #expect(code(try ann.expect("error") { $0.string("id") == "j" }) == "unavailable")
    try ann.expect("ack") { $0.string("id") == "m" }
    #expect(try bob.expect("message").int("n") == 1)
    #expect(code(try ann.ask(#""type":"message","room":"stalled""#)) == "not_joined")
    try backend.folder.remove("stalled")
    try ann.join("stalled")
    // What waits when the node drains is dropped with its connection.
    try backend.folder.write("stall", [])
    let asked = backend.asked.count
    try ann.send(#"{"type":"join","room":"a2"}"#)
    try eventually("the question is out") { backend.asked.count > asked }
    server.process.signal(SIGTERM)
    #expect(try ann.expectClose() == 1012)
    #expect(try server.process.waitForEnd() == .exited(0))
  }

  @Test("with auth=webhook the backend says who a client is, and for how long, by its cookie or token")
  func identity() throws {
    let backend = try DecidingBackend()
    let server = try RoostProcess(["--auth", "webhook", "--webhook-headers", "Cookie"] + backend.flags("join"))
    func socket(_ name: String) throws -> WebSocketClient {
      try WebSocketClient(port: server.port, target: "/ws", headers: ["Cookie: x=1; user=\(name)", "X-Other: 1"])
    }
    let ann = try socket("ann")
    #expect(try ann.expect("welcome").string("user") == nil)
    #expect(try ann.expect("auth_success").string("user") == "ann")
    try ann.join("a")
    try ann.join("b")
    #expect(code(try ann.ask(#""type":"join","room":"c""#)) == "forbidden")
    #expect(code(try ann.ask(#""type":"message","room":"b""#)) == "forbidden")
    #expect(code(try ann.ask(#""type":"broadcast""#)) == "forbidden")
    #expect(try ann.ask(#""type":"presence","room":"a""#).text.contains(#""info":{"from": "backend"}"#))
    let root = try socket("root")
    #expect(code(try root.ask(#""type":"broadcast""#)) == "ack")
    let refused = try socket("nobody")
    #expect(try refused.expect("auth_failed").string("reason") == "not you")
    #expect(try refused.expectClose() == 4401)
    #expect(try socket("nameless").expectClose() == 1013)
    #expect(try socket("brief").expectClose() == 4401)
    let token = try WebSocketClient(port: server.port, target: "/ws?token=tok")
    #expect(try token.expect("auth_success").string("user") == "tok")
    let question = try #require(backend.asked.first)
    #expect(question.contains(#""event": "ask_connect""#) && question.contains(#""address": "127.0.0.1""#))
    #expect(question.contains(#""headers": {"cookie": "x=1; user=ann"}"#) && question.contains("websocket"))
  }

  @Test("decides about requests and streams before they are answered: 401, 403, and 503 without an answer")
  func statuses() throws {
    let backend = try DecidingBackend()
    let server = try RoostProcess(["--auth", "webhook", "--webhook-headers", "cookie"] + backend.flags("join"))
    func status(_ target: String, _ user: String, _ body: String? = nil) throws -> Int {
      try server.http.ask(body == nil ? "GET" : "POST", target, headers: ["Cookie: user=\(user)"], body: body).status
    }
    let stream = try EventStreamClient(port: server.port, "/sse?room=a", headers: ["Cookie: user=ann"])
    #expect(try stream.expect("welcome").json.string("user") == "ann")
    _ = try stream.expect("joined")
    #expect(backend.asked.filter { $0.contains("ask_join") }.count == 1)
    #expect(try status("/sse?room=a", "nobody") == 401)
    #expect(try status("/sse?room=x", "ann") == 403)
    #expect(try status("/sse?room=no:1", "ann") == 403)
    #expect(try status("/sse?room=a500", "ann") == 503)
    #expect(try status("/sse?room=a&room=no:1", "ann") == 403)
    #expect(try status("/poll?room=a", "ann") == 200 && status("/poll?room=a", "nobody") == 401)
    #expect(try status("/poll?room=no:1", "ann") == 403 && status("/poll?room=a500", "ann") == 503)
    #expect(try status("/send", "ann", #"{"type":"history","room":"no:1"}"#) == 403)
    let message = #"{"type":"message","room":"a","n":1}"#
    #expect(try status("/send", "ann", message) == 200 && status("/send", "nobody", message) == 401)
    #expect(try stream.expect("message").json.int("n") == 1)
    let connects = backend.asked.filter { $0.contains("ask_connect") }
    #expect(connects[0].contains(#""transport": "sse""#) && !connects[0].contains(#""connection":"#), "\(connects[0])")
    // A request opens no connection.
    let last = try #require(connects.last)
    #expect(!last.contains(#""transport":"#) && !last.contains(#""connection":"#), "\(last)")
    backend.stop()
    #expect(try status("/sse?room=a", "ann") == 503 && status("/send", "ann", message) == 503)
    let socket = try WebSocketClient(port: server.port, target: "/ws")
    #expect(code(try socket.expect("error")) == "unavailable")
    #expect(try socket.expectClose() == 1013)
  }

  @Test("a page of another site cannot use the cookie that the backend knows its visitor by")
  func crossSite() throws {
    let backend = try DecidingBackend()
    let server = try RoostProcess(["--auth", "webhook", "--webhook-headers", "Cookie"] + backend.flags(nil))
    let (origin, cookie) = ("Origin: https://evil.example", "Cookie: user=ann")
    for headers in [[origin, cookie], [origin, "cookie: x=1"]] {
      #expect(try server.http.get("/sse?room=a", headers: headers).status == 403)
    }
    #expect(backend.asked.isEmpty)
    let own = try WebSocketClient(port: server.port, target: "/ws", headers: ["Origin: http://127.0.0.1", cookie])
    #expect(try own.expect("auth_success").string("user") == "ann")
    let listed = try RoostProcess(
      ["--auth", "webhook", "--webhook-headers", "Cookie", "--origins", "https://a.example"] + backend.flags(nil))
    let page = try WebSocketClient(port: listed.port, target: "/ws", headers: ["Origin: https://a.example", cookie])
    #expect(try page.expect("auth_success").string("user") == "ann")
  }

  @Test("a name that is believed may be refused, and what is sent meanwhile waits")
  func believed() throws {
    let backend = try DecidingBackend()
    let server = try RoostProcess(backend.flags("connect"))
    let ann = try WebSocketClient(port: server.port, target: "/ws?user=ann")
    try ann.send(#"{"type":"broadcast","id":"b"}"#)
    #expect(try ann.expect("welcome").string("user") == nil)
    #expect(try ann.expect("auth_success").string("user") == "ann")
    try ann.expect("ack") { $0.string("id") == "b" }
    let nobody = try WebSocketClient(port: server.port, target: "/ws?user=nobody")
    #expect(try nobody.expectClose() == 4401)
  }

  @Test("answers requests that nothing in the node answers; a dead backend is left alone for five seconds")
  func requests() throws {
    let backend = try DecidingBackend()
    let server = try RoostProcess(backend.flags("join"))
    let ann = try server.connect("ann")
    func request(_ action: String, _ payload: String = "[1,2]") throws -> String {
      try ann.ask(#""type":"request","action":"\#(action)","payload":\#(payload)"#).text
    }
    #expect(try request("sum").contains(#""ok":true,"payload":3"#))
    #expect(try request("time").contains(#""payload":{"ts":"#))
    #expect(try request("not").contains(#""ok":false,"error":{"code": "odd", "message": "not that"}"#))
    #expect(try request("other").contains(#""ok":true,"payload":null"#))
    for action in ["a500", "a404", "garbage", "huge"] {
      #expect(try request(action).contains(#""ok":false,"error":{"code":"unavailable""#), "\(action)")
    }
    backend.stop()
    func circuit(_ kind: String) throws -> Double { try server.metric(#"roost_webhook_circuit_open{kind="\#(kind)"}"#) }
    var attempts = 0
    while try !request("sum").contains("at present") {
      attempts += 1
      try #require(attempts <= 10)
    }
    #expect(try circuit("request") == 1 && circuit("ask") == 0)
    _ = try server.process.line(with: "has failed too often in a row")
    try backend.start()
    // Questions have a breaker of their own.
    try ann.join("a")
    try eventually("it is asked again", within: 20) { try request("sum").contains(#""payload":3"#) }
    #expect(try circuit("request") == 0)
    _ = try server.process.line(with: "the backend answers again")
  }
}
