import JSONCore
import TestSupport
import Testing

/// Poll connections on one node without Redis.
@Suite("Poll connections", .serialized)
struct PollNodeTests {
  @Test("refuses what is wrong, with a status before anything is opened")
  func refusals() throws {
    let node = try RoostProcess(["--max-connections", "2"])
    func status(_ method: String, _ query: String) throws -> Int {
      let answer = try node.http.ask(method, "/poll" + query)
      #expect(try answer.json()["error"]?["message"]?.asString?.isEmpty == false, "\(answer)")
      return answer.status
    }
    for query in [
      "?connection=new&since=1:2", "?connection=new&room=r&since=x", "?connection=new&room=r&since=1:1&since=1:2",
      "?connection=new&room=%00", "?connection=new&user=%00", "?connection=x-1", "?connection=x-1&seq=-1",
      "?connection=x-1&seq=1&wait=1h", "?connection=x-1&seq=1&wait=soon",
    ] { #expect(try status("GET", query) == 400, "\(query)") }
    #expect(try status("GET", "?connection=x-1&seq=1") == 404 && status("GET", "?connection=&seq=1") == 404)
    #expect(try status("POST", "?connection=new") == 405 && status("DELETE", "?connection=new") == 404)
    let client = try PollClient(node, "ann", "room=r&room=s*")
    #expect(client.greeting.count == 3)
    #expect(try status("GET", "?connection=\(client.name)&user=eve&seq=1") == 403)
    #expect(try status("DELETE", "?connection=\(client.name)&user=eve") == 403)
    #expect(try status("GET", "?connection=\(client.name)&user=ann&seq=7") == 400)
    let other = try PollClient(node, "bob")
    #expect(try status("GET", "?connection=new&room=r") == 503)
    #expect(try other.end(node) == 204)
    let socket = try WebSocketClient(port: node.port, target: "/ws?user=ann")
    let name = try #require(try socket.expect("welcome").string("connection"))
    #expect(try status("GET", "?connection=\(name)&user=ann&seq=1") == 400)
  }

  @Test("ends a connection that polls too slowly, and one that does not poll at all, as a socket that closes")
  func ends() throws {
    let node = try RoostProcess(["--max-queue", "32k", "--max-message", "16k"])
    let witness = try node.connect("witness")
    try witness.join("r")
    let idle = try PollClient(node, "idle")
    let slow = try PollClient(node, "slow", "room=r&room=big")
    let body = #"{"type":"message","room":"big","x":"\#(String(repeating: "x", count: 15_000))"}"#
    for _ in 0..<3 { #expect(try node.http.ask("POST", "/send?user=bob", body: body).status == 200) }
    try witness.expect("user_left") { $0.string("user") == "slow" }
    let gone = try node.http.get(slow.path(wait: "0"))
    #expect(gone.status == 404 && gone.text.contains("4408"))
    #expect(try node.metric("roost_slow_consumers_total") == 1)
    try witness.expect("user_left", within: 20) { $0.string("user") == "idle" }
    #expect(try node.http.get(idle.path(wait: "0")).status == 404)
    #expect(try node.metric(#"roost_connections{transport="poll"}"#) == 0)
    // What has ended leaves nothing that counts.
    for i in 0..<300 { #expect(try PollClient(node, "u\(i)").end(node) == 204) }
    #expect(try node.metric("roost_queue_bytes") == 0)
    #expect(try node.inspect("presence/r")["users"]?.asInt == 1)
  }

  @Test("says with every request why a connection has ended: polls, operations, its end", arguments: [0, 1])
  func reasons(order: Int) throws {
    let node = try RoostProcess()
    let client = try PollClient(node, "ann")
    #expect(try node.admin("POST", "disconnect", body: #"{"user":"ann"}"#).status == 200)
    func check(_ answer: HTTPAnswer) { #expect(answer.status == 404 && answer.text.contains("4409"), "\(answer)") }
    try eventually("it has ended") { try node.metric(#"roost_connections{transport="poll"}"#) == 0 }
    check(try client.send(node, #"{"type":"ping"}"#))
    #expect(
      try node.http.ask("POST", "/send?connection=\(client.name)&user=eve", body: #"{"type":"ping"}"#).status == 403)
    if order == 0 { check(try node.http.get(client.path(wait: "0"))) }
    let end = "/poll?connection=\(client.name)&user=ann"
    #expect(try node.http.ask("DELETE", "/poll?connection=\(client.name)&user=eve").status == 403)
    check(try node.http.ask("DELETE", end))
    #expect(try node.http.ask("DELETE", end).status == 404)
  }

  @Test("ends the connections of a user who is revoked where no tokens are asked for, and tells when to come again")
  func revoked() throws {
    let node = try RoostProcess(["--max-connections-per-user", "1"])
    let client = try PollClient(node, "ann")
    let other = try node.http.get("/poll?connection=new&user=ann")
    #expect(other.status == 429 && other.header("retry-after") == "10", "\(other)")
    let waiting = try client.begin(node)
    #expect(try node.admin("POST", "revoke", body: #"{"user":"ann"}"#).status == 200)
    let answer = try HTTPClient.readAnswer(waiting, within: 15)
    #expect(answer.text.contains("auth_failed") || answer.text.contains("4401"), "\(answer)")
    try eventually("it has ended") {
      let last = try node.http.get(client.path(wait: "0"))
      if last.status == 200 { _ = try client.take(last) }
      return last.text.contains("4401") || last.status == 401
    }
    #expect(try node.metric(#"roost_connections{transport="poll"}"#) == 0)
  }

  @Test("keeps nothing of ten thousand connections that were opened and ended, and little of those that are open")
  func memory() throws {
    let node = try RoostProcess()
    let connection = try TCPConnection(port: node.port)
    func ask(_ method: String, _ path: String) throws -> HTTPAnswer {
      try connection.send(HTTPClient.request(method, path))
      return try HTTPClient.readAnswer(connection, within: 10)
    }
    func open(_ user: String) throws -> String {
      try #require(try ask("GET", "/poll?connection=new&user=\(user)&room=r-\(user)").json()["connection"]?.asString)
    }
    func cycle(_ count: Int) throws {
      for _ in 0..<count {
        let name = try open("ann")
        #expect(try ask("DELETE", "/poll?connection=\(name)&user=ann").status == 204)
      }
    }
    func resident() throws -> Double { try node.metric("process_resident_memory_bytes") }
    try cycle(2000)
    let before = try resident()
    try cycle(10_000)
    // A hundred bytes of each would be a megabyte.
    #expect(try resident() - before < 1_000_000)
    #expect(try node.metric(#"roost_connections{transport="poll"}"#) == 0 && node.metric("roost_queue_bytes") == 0)
    let empty = try resident()
    for n in 0..<2000 { _ = try open("u\(n)") }
    // Some 1,500 bytes each, and a room and a user; pages and tables grow in steps.
    #expect(try (resident() - empty) / 2000 < 6000)
  }

  @Test("HEAD opens and confirms nothing: 405, with the methods that the path has")
  func heads() throws {
    let node = try RoostProcess()
    let paths = [("/poll?room=r", "GET, DELETE"), ("/poll?connection=new", "GET, DELETE"), ("/sse?room=r", "GET")]
    for (path, allowed) in paths {
      let answer = try node.http.ask("HEAD", path)
      #expect(answer.status == 405 && answer.header("allow") == allowed, "\(path): \(answer)")
    }
    #expect(try node.metric(#"roost_connections{transport="poll"}"#) == 0)
  }

  @Test("gives answers and a large history piece by piece, each once, to a client with a small queue")
  func largeReads() throws {
    let node = try RoostProcess(["--max-queue", "32k", "--max-message", "16k"])
    let text = String(repeating: "x", count: 10_000)
    for n in 1...60 {
      let body = #"{"type":"message","room":"r","n":\#(n),"x":"\#(text)"}"#
      #expect(try node.http.ask("POST", "/send?user=bob", body: body).status == 200)
    }
    let first = try PollClient(node, "ann")
    let epoch = try #require(first.greeting.last?["epoch"]?.asString)
    let client = try PollClient(node, "ann", "room=r&since=\(epoch):0")
    var seen = client.greeting.compactMap { $0["n"]?.asInt }
    while seen.count < 60 { seen += try client.poll(node).compactMap { $0["n"]?.asInt } }
    #expect(seen == Array(1...60))
    #expect(try client.send(node, #"{"type":"history","room":"r"}"#).json()["messages"]?.asArray?.count == 60)
  }

  @Test("answers every line of a batch whose connection ends while it is performed")
  func batchOfEndedConnection() throws {
    let server = try RoostProcess(["--rate", "20"])
    let client = try PollClient(server, "ann")
    // More than the connection may send: it is closed with 4429 on the way.
    let lines = [String](repeating: #"{"type":"ping","id":"1"}"#, count: 900).joined(separator: "\n")
    var codes: Set<String> = []
    for _ in 0..<3 {
      let answer = try server.http.ask(
        "POST", "/send?connection=\(client.name)&user=ann", headers: ["Content-Type: application/x-ndjson"],
        body: lines)
      let answers = answer.text.split(separator: "\n")
      #expect(answer.status == 200 && answers.count == 900)
      for code in ["pong", "rate_limited", "not_found"] where answers.contains(where: { $0.contains(code) }) {
        codes.insert(code)
      }
    }
    #expect(codes == ["pong", "rate_limited", "not_found"])
    #expect(try server.metric(#"roost_connections{transport="poll"}"#) == 0)
  }

}
