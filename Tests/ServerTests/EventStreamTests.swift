import TestSupport
import Testing

@Suite("One node, event streams")
struct EventStreamTests {
  private func open(
    _ server: RoostProcess, _ room: String = "r", user: String = "eve", headers: [String] = []
  ) throws -> EventStreamClient {
    try EventStreamClient(port: server.port, "/sse?room=\(room)&user=\(user)", headers: headers)
  }

  @Test("brings what a socket in the room gets, messages without an event name, and stands in presence")
  func events() throws {
    let server = try RoostProcess()
    let stream = try open(server)
    #expect(stream.status == 200)
    for line in ["Content-Type: text/event-stream", "X-Accel-Buffering: no", "Cache-Control: no-store"] {
      #expect(stream.head.contains(line))
    }
    #expect(try stream.expect("welcome").json.string("user") == "eve")
    #expect((1000...5000).contains(try #require(stream.retryMilliseconds)))
    let joined = try stream.expect("joined")
    let epoch = try #require(joined.json.string("epoch"))
    #expect(joined.id == "\(epoch):0" && joined.data.contains(#""members":1"#))
    let ann = try server.connect("ann")
    try ann.join("r")
    #expect(try stream.expect("user_joined").json.string("user") == "ann")
    try ann.publish("r", #""text":"a\nb""#)
    let message = try stream.expect("message")
    #expect(message.id == "\(epoch):1" && message.data.hasSuffix(#""text":"a\nb"}"#))
    try ann.send(binary: [1, 1] + Array("r".utf8) + [0xFF, 0x00])
    let binary = try stream.expect("message")
    #expect(binary.id == "\(epoch):2" && binary.data.hasSuffix(#""binary":"/wA="}"#), "\(binary)")
    #expect(binary.data.contains(#""user":"ann","offset":2,"ts":1"#))
    _ = try ann.ask(#""type":"direct","to":"eve","n":1"#)
    #expect(try stream.expect("message").json.type == "direct")
    _ = try ann.ask(#""type":"broadcast","n":2"#)
    #expect(try stream.expect("message").json.type == "broadcast")
    let members = try ann.ask(#""type":"presence","room":"r""#)
    #expect(members.text.contains(#""user":"eve","connections":1"#))
    #expect(try server.admin("GET", "presence/r").text.contains(#""transport":"sse""#))
    #expect(try server.metric(#"roost_connections{transport="sse"}"#) == 1)
    stream.connection.closeNow()
    #expect(try ann.expect("user_left").string("user") == "eve")
  }

  @Test("resumes behind the last id, by header or query, and says when history does not reach back")
  func resume() throws {
    let server = try RoostProcess(["--history-size", "3"])
    let stream = try open(server)
    let ann = try server.connect("ann")
    try ann.join("r")
    try ann.publish("r", #""n":1"#)
    _ = try stream.expect("message")
    let last = try #require(stream.lastEventID)
    stream.connection.closeNow()
    for n in 2...3 { try ann.publish("r", "\"n\":\(n)") }
    for (target, headers) in [
      ("/sse?room=r", ["Last-Event-ID: \(last)"]), ("/sse?room=r&last-event-id=\(last)", []),
      ("/sse?room=r&last-event-id=ff:0", ["last-event-id: \(last)"]),
    ] {
      let again = try EventStreamClient(port: server.port, target, headers: headers)
      let joined = try again.expect("joined")
      // Until the messages have come, the browser would resume where it was.
      #expect(joined.id == nil && joined.data.contains(#""recovered":true"#), "\(joined)")
      #expect(try [again.expect("message"), again.expect("message")].map { try $0.json.int("n") } == [2, 3])
      #expect(again.lastEventID?.hasSuffix(":3") == true)
    }
    // In a room whose recent messages nobody has asked for, only what history holds can be had.
    try ann.join("q")
    let first = try server.admin("POST", "publish", body: #"{"room":"q","data":{"n":1}}"#).json()
    let epoch = try #require(first["epoch"]?.asString)
    for n in 2...6 { try ann.publish("q", "\"n\":\(n)") }
    for id in ["\(epoch):1", "what", "0:0", "ff:7"] {
      let lost = try open(server, "q", headers: ["Last-Event-ID: \(id)"])
      let joined = try lost.expect("joined")
      #expect(joined.id?.hasSuffix(":6") == true && joined.data.contains(#""recovered":false"#), "\(id): \(joined)")
    }
  }

  @Test("is refused with a status before it begins")
  func refused() throws {
    let server = try RoostProcess(["--auth", "jwt", "--jwt-secret", "a secret of 32 bytes, for testing"])
    let token = try RoostProcess.run([
      "token", "--user", "ann", "--rooms", "chat:*", "--jwt-secret", "a secret of 32 bytes, for testing",
    ]).output.dropLast()
    for (target, status) in [
      ("/sse?room=chat:1", 401), ("/sse?room=chat:1&token=x", 401), ("/sse?room=other&token=\(token)", 403),
      ("/sse?room=&token=\(token)", 400), ("/sse?room=chat:1&room=other&token=\(token)", 403),
      ("/sse?room=chat:1&room=c*&token=\(token)", 403), ("/sse?room=*&token=\(token)", 400),
    ] {
      #expect(try server.http.get(target).status == status, "\(target)")
    }
    #expect(try server.http.ask("POST", "/sse?room=chat:1&token=\(token)", body: "").status == 405)
    let stream = try EventStreamClient(port: server.port, "/sse?room=chat:1&token=\(token)")
    #expect(try stream.expect("welcome").json.string("user") == "ann")
  }

  @Test("ends with the event close, of an admin, a drain and a reader that is too slow")
  func closes() throws {
    let server = try RoostProcess(["--drain", "1s", "--max-queue", "128k"])
    let stream = try open(server)
    _ = try stream.expect("joined")
    _ = try server.admin("POST", "disconnect", body: #"{"user":"eve"}"#)
    let ending = try stream.readToEnd().last
    #expect(ending?.name == "close" && ending?.data == #"{"code":4409,"reason":"closed by an admin"}"#)
    let slow = try EventStreamClient(port: server.port, "/sse?room=r&user=slow", receiveBytes: 4096)
    let ann = try server.connect("ann")
    try ann.join("r")
    let text = String(repeating: "x", count: 30_000)
    for _ in 0..<400 where try server.metric("roost_slow_consumers_total") == 0 {
      for _ in 0..<10 { try ann.publish("r", "\"text\":\"\(text)\"") }
    }
    #expect(try server.metric("roost_slow_consumers_total") == 1)
    #expect(try slow.readToEnd(within: 20).last?.data.contains("4408") == true)
    let guest = try open(server)
    _ = try guest.expect("joined")
    server.process.signal(15)
    #expect(try guest.expect("reconnect").json.int("after") ?? -1 >= 0)
    #expect(try guest.readToEnd().last?.data.contains("1012") == true)
  }

  @Test("a comment keeps a quiet stream, and one that acknowledges it stays")
  func heartbeat() throws {
    let server = try RoostProcess(["--ping-interval", "1s", "--ping-timeout", "1s"])
    let stream = try open(server)
    _ = try stream.expect("joined")
    stream.read(within: 15) { stream.commentCount >= 3 }
    #expect(stream.commentCount >= 3 && !stream.hasEnded)
    try stream.connection.send("GET / HTTP/1.1\r\n\r\n")
    let ann = try server.connect("ann")
    try ann.join("r")
    try ann.publish("r", #""n":1"#)
    #expect(try stream.expect("message").json.int("n") == 1)
  }
}

@Suite("One node, POST /send")
struct SendTests {
  private func send(_ server: RoostProcess, _ body: String, target: String = "/send?user=bob", headers: [String] = [])
    throws -> (status: Int, text: String)
  {
    let answer = try server.http.ask("POST", target, headers: headers, body: body)
    return (answer.status, answer.text)
  }

  @Test("publishes into a room that the caller has not joined, once for each id, and answers as a socket would")
  func message() throws {
    let server = try RoostProcess()
    let ann = try server.connect("ann")
    try ann.join("r")
    let first = try send(server, #"{"type":"message","room":"r","id":"1","text":"hi","user":"eve"}"#)
    #expect(first.status == 200 && first.text.hasPrefix(#"{"type":"ack","id":"1","room":"r","epoch":""#))
    #expect(try send(server, #"{"type":"message","room":"r","id":"1","text":"hi"}"#) == first)
    let message = try ann.expect("message")
    #expect(message.string("user") == "bob" && message.text.hasSuffix(#""text":"hi"}"#))
    #expect(try ann.settle().isEmpty)
    #expect(
      try send(server, #"{"type":"direct","to":"ann","id":"2"}"#).text == #"{"type":"ack","id":"2","delivered":1}"#)
    #expect(try send(server, #"{"type":"ping"}"#).text.hasPrefix(#"{"type":"pong","ts":"#))
  }

  @Test("answers what is wrong with the socket's error and its status")
  func refused() throws {
    let server = try RoostProcess(["--max-message", "1k", "--rate", "0"])
    for (body, status, code) in [
      ("{", 400, "bad_request"), ("[]", 400, "bad_request"), ("", 400, "bad_request"),
      (#"{"type":"what"}"#, 400, "unknown_type"), (#"{"type":"join","room":"r"}"#, 400, "bad_request"),
      (#"{"type":"message","room":"a*"}"#, 400, "bad_room"), (#"{"type":"message","room":""}"#, 400, "bad_room"),
      (#"{"type":"message","room":"r","text":"\#(String(repeating: "x", count: 1024))"}"#, 413, "too_large"),
    ] {
      let answer = try send(server, body)
      #expect(answer.status == status && answer.text.hasPrefix(#"{"type":"error","#), "\(body): \(answer)")
      #expect(answer.text.contains("\"code\":\"\(code)\""), "\(body): \(answer)")
    }
    #expect(try server.http.get("/send").status == 405)
    #expect(try send(server, #"{"type":"ping"}"#, target: "/send?user=%01").status == 400)
  }

  @Test("asks for a token where tokens are asked for, and keeps to its grants")
  func tokens() throws {
    let secret = "a secret of 32 bytes, for testing"
    let server = try RoostProcess(["--auth", "jwt", "--jwt-secret", secret])
    let token = try RoostProcess.run([
      "token", "--user", "ann", "--rooms", "chat:*,r:news", "--jwt-secret", secret,
    ]).output.dropLast()
    let bearer = ["Authorization: Bearer \(token)"]
    let message = #"{"type":"message","room":"chat:1","n":1}"#
    #expect(try send(server, message).status == 401)
    #expect(try send(server, message, headers: ["Authorization: Bearer x"]).status == 401)
    #expect(try send(server, message, target: "/send", headers: bearer).status == 200)
    #expect(try send(server, message, target: "/send?token=\(token)").status == 200)
    for room in ["news", "other"] {
      let answer = try send(server, #"{"type":"message","room":"\#(room)"}"#, target: "/send", headers: bearer)
      #expect(answer.status == 403, "\(answer)")
    }
    #expect(try send(server, #"{"type":"broadcast"}"#, target: "/send", headers: bearer).status == 403)
    _ = try server.admin("POST", "revoke", body: #"{"user":"ann"}"#)
    #expect(try send(server, message, target: "/send", headers: bearer).status == 401)
  }

  @Test("requests of one address share one rate, and connecting again does not renew it")
  func rate() throws {
    let server = try RoostProcess(["--rate", "5"])
    let statuses = try (0..<12).map { _ in try send(server, #"{"type":"ping"}"#).status }
    #expect(statuses.prefix(5).allSatisfy { $0 == 200 } && statuses.contains(429))
  }
}
