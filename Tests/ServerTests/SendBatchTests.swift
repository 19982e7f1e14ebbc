import JSONCore
import TestSupport
import Testing

@Suite("One node, operations without a connection")
struct SendBatchTests {
  private func send(_ server: RoostProcess, _ body: String, type: String = "application/x-ndjson") throws -> HTTPAnswer
  {
    try server.http.ask("POST", "/send?user=bob", headers: ["Content-Type: \(type)"], body: body)
  }

  private func lines(_ answer: HTTPAnswer) throws -> [Received] {
    try answer.text.split(separator: "\n").map { try Received(String($0)) }
  }

  @Test("names the content type that several operations need, and only then")
  func untold() throws {
    let server = try RoostProcess()
    let line = #"{"type":"message","room":"r"}"#
    for several in [line + "\n" + line + "\n", line + line, "\n " + line + " \r\n" + line] {
      let answer = try send(server, several, type: "application/json")
      #expect(answer.status == 400 && answer.text.contains("application/x-ndjson"), "\(answer)")
    }
    let client = try PollClient(server, "ann", "room=r")
    let bound = try client.send(server, line + "\n" + line)
    #expect(bound.status == 400 && bound.text.contains("application/x-ndjson"), "\(bound)")
    for one in [line + " 7", "7 " + line, line + "}", "{", #"{"type":"nothing"}"#, "[]\n[]"] {
      let answer = try send(server, one, type: "application/json")
      #expect(answer.status == 400 && !answer.text.contains("ndjson"), "\(one): \(answer)")
    }
    #expect(try send(server, "\n" + line + "\n\n", type: "application/json").status == 200)
  }

  @Test("presence, history and requests are answered as a socket is")
  func reads() throws {
    let server = try RoostProcess()
    let ann = try server.connect("ann")
    try ann.join("r")
    try ann.publish("r", #""n":1"#)
    let ask = { (body: String) in try send(server, body, type: "application/json") }
    let presence = try ask(#"{"type":"presence","room":"r","id":"1"}"#)
    #expect(presence.status == 200 && presence.text.contains(#""user":"ann","connections":1"#))
    #expect(try ask(#"{"type":"history","room":"r"}"#).text.contains(#""offset":1,"#))
    let who = try ask(#"{"type":"request","action":"whoami","id":"2"}"#)
    #expect(who.text.contains(#""ok":true,"payload":{"user":"bob","#) && !who.text.contains("connection"))
    #expect(try ask(#"{"type":"request","action":"rooms","id":"2"}"#).text.contains(#""payload":{"rooms":[]}"#))
    #expect(try ask(#"{"type":"request","action":"what","id":"2"}"#).text.contains(#""ok":false"#))
    #expect(
      try ask(#"{"type":"message","room":"r","ephemeral":true,"id":"3"}"#).text
        == #"{"type":"ack","id":"3","room":"r"}"#)
    for operation in ["join", "leave", "state"] {
      let answer = try ask(#"{"type":"\#(operation)","room":"r","state":1}"#)
      #expect(answer.status == 400 && answer.text.contains("/sse") && answer.text.contains("/poll"), "\(answer)")
    }
    #expect(try ask(#"{"type":"auth","token":"x"}"#).text.contains("Authorization: Bearer"))
    for operation in ["presence", "history"] {
      #expect(try ask(#"{"type":"\#(operation)","room":"a*"}"#).text.contains("bad_room"))
    }
  }

  @Test("a batch is done and answered in order, one line each, and a bad line harms no other")
  func batch() throws {
    let server = try RoostProcess(["--max-message", "1k"])
    let ann = try server.connect("ann")
    try ann.join("r")
    let body = """
      {"type":"message","room":"r","id":"a","n":1}

      {"type":"message","room":
      {"type":"message","room":"r","n":2}\r
      {"type":"history","room":"r","id":"h"}
      \t
      {"type":"join","room":"r","id":"j"}
      {"type":"message","room":"r","text":"\(String(repeating: "x", count: 1024))"}
      {"type":"message","room":"r","id":"a","n":1}
      {"type":"presence","room":"r","id":"p"}
      {"type":"direct","to":"ann","id":"d"}
      """
    let answer = try send(server, body)
    #expect(answer.status == 200 && answer.header("content-type") == "application/x-ndjson")
    let answers = try lines(answer)
    #expect(
      answers.map(\.type) == ["ack", "error", "ack", "history", "error", "error", "ack", "presence", "ack"])
    #expect(answers.map { $0.int("offset") } == [1, nil, 2, 2, nil, nil, 1, nil, nil])
    #expect(answers[3].text.contains(#""n":2"#) && answers[5].text.contains("too_large"))
    #expect(answers[4].string("id") == "j" && answers[8].int("delivered") == 1)
    #expect(try ann.settle().filter { $0.type == "message" }.map { $0.int("n") } == [1, 2])
    // The type may have parameters and any case; an empty batch is a mistake, as it is for backends.
    let ping = try send(server, "\n" + #"{"type":"ping"}"#, type: "Application/X-NDJSON; charset=utf-8")
    #expect(try lines(ping).map(\.type) == ["pong"])
    let empty = try send(server, "\n\n")
    #expect(empty.status == 400 && empty.text.hasPrefix(#"{"type":"error","code":"bad_request""#))
  }

  @Test("a batch is bounded in lines, in bytes, in answers and by rates")
  func bounds() throws {
    let server = try RoostProcess(["--rate", "50"])
    let line = #"{"type":"ping"}"#
    let many = try send(server, Array(repeating: line, count: 1001).joined(separator: "\n"))
    #expect(many.status == 413 && many.text.contains("1000") && many.text.contains("1001"))
    let large = try send(server, String(repeating: " ", count: 1_100_000))
    #expect(large.status == 413 && large.text.hasPrefix(#"{"type":"error","code":"too_large""#))
    #expect(large.text.contains("1100000 bytes") && large.text.contains("1048576"))
    let answers = try lines(send(server, Array(repeating: line, count: 1000).joined(separator: "\n")))
    #expect(answers.count == 1000 && answers.first?.type == "pong")
    #expect(answers.count { $0.text.contains("rate_limited") } > 900)
    let free = try RoostProcess()
    let ann = try free.connect("ann")
    try ann.join("r")
    for n in 1...20 { try ann.publish("r", #""n":\#(n),"text":"\#(String(repeating: "x", count: 60_000))""#) }
    let reads = Array(repeating: #"{"type":"history","room":"r"}"#, count: 10) + [#"{"type":"ping"}"#]
    let answer = try send(free, reads.joined(separator: "\n"))
    #expect(answer.body.count < 7_000_000)
    #expect(
      try lines(answer).map(\.type) == Array(repeating: "history", count: 5) + Array(repeating: "error", count: 5) + [
        "pong"
      ])
  }
}
