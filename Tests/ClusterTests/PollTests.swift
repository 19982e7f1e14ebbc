import Glibc
import JSONCore
import TestSupport
import Testing

/// Connections that live by requests, which any node takes.
@Suite("Poll connections across nodes", .serialized)
struct PollTests {
  enum Topology: CaseIterable { case single, sentinel, cluster }

  /// Nodes on Redis of a kind, with what keeps it running.
  private func nodes(_ count: Int, _ topology: Topology, _ flags: [String] = []) throws -> ([RoostProcess], AnyObject) {
    switch topology {
    case .single:
      let redis = try RedisProcess()
      return (try Cluster.nodes(count, on: redis.url, flags), redis)
    case .sentinel:
      let trio = try SentinelTrio()
      return (try Cluster.nodes(count, on: trio.url, flags), trio)
    case .cluster:
      let cluster = try RedisClusterProcesses()
      return (try Cluster.nodes(count, on: cluster.url, flags), cluster)
    }
  }

  private func numbers(_ messages: [JSONValue]) -> [Int] {
    messages.filter { $0["type"]?.asString == "message" }.compactMap { $0["n"]?.asInt }
  }

  @Test(
    "gives each message once and in order, whichever node is polled, also when an answer is asked for again",
    arguments: Topology.allCases)
  func alternating(topology: Topology) throws {
    let (nodes, redis) = try nodes(3, topology)
    defer { withExtendedLifetime(redis) {} }
    let client = try PollClient(nodes[0], "ann")
    #expect(client.greeting.compactMap { $0["type"]?.asString } == ["welcome", "joined"])
    let publisher = try nodes[1].connect("bob")
    try publisher.join("r")
    var seen: [Int] = []
    for n in 1...30 {
      try publisher.insist(n, in: "r")
      let (node, other) = (nodes[n % 3], nodes[(n + 1) % 3])
      let path = client.path(wait: "10s")
      let answer = try node.http.ask("GET", path, within: 20)
      if n % 5 == 0 { #expect(try other.http.get(path).text == answer.text) }
      seen += numbers(try client.take(answer))
    }
    while seen.count < 30 { seen += numbers(try client.poll(nodes[2])) }
    #expect(seen == Array(1...30))
    let forwarded = try nodes.map { try $0.metric(#"roost_forwarded_requests_total{outcome="answered"}"#) }
    #expect(forwarded[0] == 0 && forwarded[1] > 0 && forwarded[2] > 0)
    #expect(try nodes.map { try $0.metric(#"roost_connections{transport="poll"}"#) } == [1, 0, 0])
    let member = try #require(try nodes[2].inspect("connections/\(client.name)")["transport"]?.asString)
    #expect(member == "poll")
    #expect(try client.end(nodes[1]) == 204)
    #expect(try client.end(nodes[2]) == 404)
    try publisher.expect("user_left") { $0.string("user") == "ann" }
  }

  @Test("answers a waiting poll on another node as soon as something comes; a newer poll ends it")
  func waiting() throws {
    let (nodes, redis) = try nodes(2, .single)
    defer { withExtendedLifetime(redis) {} }
    let client = try PollClient(nodes[0], "ann")
    let older = try client.begin(nodes[1])
    // Its answer says that the node has it: else the two might arrive in the other order.
    try eventually("the older poll waits") {
      try nodes[0].metric("roost_rooms") == 1 && nodes[1].metric("roost_redis_up") == 1
    }
    var newer = try client.begin(nodes[0])
    var ended = older
    var answer = try HTTPClient.readAnswer(older, within: 20)
    if try !(answer.json()["messages"]?.asArray ?? []).isEmpty { swap(&newer, &ended) }
    #expect(answer.status == 200 && answer.text == #"{"seq":\#(client.seq),"messages":[]}"#)
    #expect(
      try nodes[1].http.ask("POST", "/send?user=bob", body: #"{"type":"message","room":"r","n":1}"#).status == 200)
    answer = try HTTPClient.readAnswer(newer, within: 20)
    #expect(numbers(try client.take(answer)) == [1])
    // A client that goes away in the middle loses nothing.
    try client.begin(nodes[1]).reset()
    #expect(
      try nodes[0].http.ask("POST", "/send?user=bob", body: #"{"type":"message","room":"r","n":2}"#).status == 200)
    #expect(numbers(try client.poll(nodes[1])) == [2])
    #expect(try client.poll(nodes[1], wait: "300ms").isEmpty)
    #expect(try client.poll(nodes[1], wait: "0").isEmpty)
  }

  @Test("performs a batch for a connection of another node line by line, each answered in its place")
  func batch() throws {
    let (nodes, redis) = try nodes(2, .single)
    defer { withExtendedLifetime(redis) {} }
    let client = try PollClient(nodes[0], "ann")
    let lines = [
      #"{"type":"join","room":"q","id":"1"}"#, #"{"type":"message","room":"q","n":1,"id":"2","echo":true}"#, "nonsense",
      #"{"type":"history","room":"q","id":"3"}"#, #"{"type":"leave","room":"q","id":"4"}"#,
    ]
    let answer = try nodes[1].http.ask(
      "POST", "/send?user=ann&connection=\(client.name)", headers: ["Content-Type: application/x-ndjson"],
      body: lines.joined(separator: "\n"))
    #expect(answer.status == 200)
    let answers = try answer.text.split(separator: "\n").map { line in
      let bytes = Array(line.utf8)
      return try JSONValue.parse(bytes.span)
    }
    #expect(answers.map { $0["type"]?.asString } == ["joined", "ack", "error", "history", "left"])
    #expect(answers.map { $0["id"]?.asString } == ["1", "2", nil, "3", "4"])
    #expect(answers[3]["messages"]?.asArray?.count == 1)
    #expect(numbers(try client.poll(nodes[1])) == [1])
    let stranger = try nodes[1].http.ask(
      "POST", "/send?user=eve&connection=\(client.name)", headers: ["Content-Type: application/x-ndjson"],
      body: lines[0])
    #expect(stranger.status == 200 && stranger.text.contains(#""code":"forbidden""#))
  }

  @Test("loses and repeats nothing when the node of a connection is killed between two polls")
  func killedNode() throws {
    let (nodes, redis) = try nodes(2, .single)
    defer { withExtendedLifetime(redis) {} }
    let client = try PollClient(nodes[0], "ann", "room=r&room=q")
    func publish(_ n: Int) throws {
      let answer = try nodes[1].http.ask("POST", "/send?user=bob", body: #"{"type":"message","room":"r","n":\#(n)}"#)
      #expect(answer.status == 200)
    }
    for n in 1...3 { try publish(n) }
    var (seen, last): ([Int], String) = ([], "")
    func take(_ messages: [JSONValue]) {
      seen += numbers(messages)
      for message in messages where message["room"]?.asString == "r" {
        if let epoch = message["epoch"]?.asString { last = epoch + ":" }
        if let offset = message["offset"]?.asInt { last = last.prefix { $0 != ":" } + ":\(offset)" }
      }
    }
    take(client.greeting)
    while seen.count < 3 { take(try client.poll(nodes[1])) }
    let waiting = try client.begin(nodes[1], wait: "1s")
    nodes[0].process.kill()
    for n in 4...6 { try publish(n) }
    try eventually("the connection is gone") { try nodes[1].http.get(client.path(wait: "0")).status == 404 }
    let next = try PollClient(nodes[1], "ann", "room=r&since=\(last)&room=q")
    take(next.greeting)
    while seen.count < 6 { take(try next.poll(nodes[1])) }
    #expect(seen == Array(1...6))
    // The poll that was on its way ends too: at once if its node had ended before, by its deadline if not.
    #expect([404, 503].contains(try HTTPClient.readAnswer(waiting, within: 15).status))
  }

  @Test("ends the polls that wait for a node as soon as it is known to have ended")
  func endedNode() throws {
    let (nodes, redis) = try nodes(2, .single)
    defer { withExtendedLifetime(redis) {} }
    let client = try PollClient(nodes[0], "ann")
    let waiting = try client.begin(nodes[1], wait: "55s")
    try eventually("the poll has come to its node") {
      try nodes[1].metric(#"roost_redis_commands_total"#) > 0 && nodes[0].metric("roost_rooms") == 1
    }
    // Its answer proves that what was asked before it has arrived.
    #expect(try client.send(nodes[1], #"{"type":"ping"}"#).status == 200)
    nodes[0].process.signal(SIGKILL)
    // Far sooner than its wait is over.
    let answer = try HTTPClient.readAnswer(waiting, within: 40)
    #expect(answer.status == 404 && answer.text.contains("the node of this connection has ended"), "\(answer)")
    try eventually("it is counted") {
      try nodes[1].http.get("/metrics").text.contains(#"roost_forwarded_requests_total{outcome="not_found"} 1"#)
    }
  }

  @Test("lets a token open the connections that were opened with its own grants, and no others of its user")
  func rights() throws {
    let redis = try RedisProcess()
    let nodes = try Cluster.nodes(2, on: redis.url, MintedToken.flags)
    func bearer(_ rooms: String, _ rest: String = "") throws -> [String] {
      ["Authorization: Bearer \(try MintedToken.make(#""sub":"ann","rooms":[\#(rooms)]\#(rest)"#))"]
    }
    let wide = try bearer(#""a","b""#)
    let again = try bearer(#""b","a","a""#, #","exp":4102444700,"jti":"x""#)
    let narrow = [
      try bearer(#""r:a""#), try bearer(#""a","r:b""#), try bearer(#""a""#),
      try bearer(#""a","b""#, #","permissions":["broadcast"]"#),
    ]
    let opened = try nodes[0].http.get("/poll?connection=new&room=b", headers: wide).json()
    let name = try #require(opened["connection"]?.asString)
    let stream = try EventStreamClient(
      port: nodes[0].port, "/sse?room=b&token=\(wide[0].dropFirst("Authorization: Bearer ".count))")
    let streamName = try #require(try stream.expect("welcome").json.string("connection"))
    let publish = #"{"type":"message","room":"b","n":1}"#
    for node in nodes {
      for token in narrow {
        for each in [name, streamName] {
          let answer = try node.http.ask("POST", "/send?connection=\(each)", headers: token, body: publish)
          #expect(answer.status == 403 && answer.text.contains("grants the same"), "\(answer)")
        }
        let batch = token + ["Content-Type: application/x-ndjson"]
        #expect(
          try node.http.ask("POST", "/send?connection=\(name)", headers: batch, body: publish).text
            .contains(#""code":"forbidden""#))
        #expect(try node.http.get("/poll?connection=\(name)&seq=1&wait=0", headers: token).status == 403)
        #expect(try node.http.ask("DELETE", "/poll?connection=\(name)", headers: token).status == 403)
      }
      for token in [wide, again] {
        #expect(
          try node.http.ask("POST", "/send?connection=\(name)", headers: token, body: #"{"type":"ping"}"#).status == 200
        )
        #expect(try node.http.get("/poll?connection=\(name)&seq=1&wait=0", headers: token).status == 200)
      }
    }
    // A new token takes the place of the old one, and from then on opens the connection.
    let other = try MintedToken.make(#""sub":"ann","rooms":["a"]"#)
    let operation = #"{"type":"auth","token":"\#(other)"}"#
    #expect(
      try nodes[1].http.ask("POST", "/send?connection=\(name)", headers: wide, body: operation).status == 200)
    #expect(try nodes[1].http.get("/poll?connection=\(name)&seq=1&wait=0", headers: narrow[2]).status == 200)
    #expect(try nodes[1].http.get("/poll?connection=\(name)&seq=1&wait=0", headers: wide).status == 403)
  }

  @Test(
    "does operations as a connection's own, from any node, and answers the request", arguments: ["ws", "sse", "poll"])
  func operations(kind: String) throws {
    let (nodes, redis) = try nodes(2, .single)
    defer { withExtendedLifetime(redis) {} }
    var socket: WebSocketClient?
    var stream: EventStreamClient?
    var poller: PollClient?
    let name: String
    switch kind {
    case "ws":
      let client = try WebSocketClient(port: nodes[0].port, target: "/ws?user=ann")
      name = try #require(try client.expect("welcome").string("connection"))
      socket = client
    case "sse":
      let client = try EventStreamClient(port: nodes[0].port, "/sse?room=first&user=ann")
      name = try #require(try client.expect("welcome").json.string("connection"))
      stream = client
    default:
      let client = try PollClient(nodes[0], "ann", "room=first")
      name = client.name
      poller = client
    }
    func send(_ operation: String, user: String = "ann", _ node: Int = 1) throws -> HTTPAnswer {
      try nodes[node].http.ask("POST", "/send?connection=\(name)&user=\(user)", body: operation)
    }
    for node in [0, 1] {
      let room = "r\(node)"
      let joined = try send(#"{"type":"join","id":"j","room":"\#(room)"}"#, node).json()
      #expect(joined["type"]?.asString == "joined" && joined["id"]?.asString == "j")
      #expect(
        try send(#"{"type":"message","id":"\#(node)a","room":"\#(room)","n":1}"#, node).json()["offset"]?.asInt == 1)
      #expect(try send(#"{"type":"message","id":"\#(node)b","echo":true,"room":"\#(room)","n":2}"#, node).status == 200)
      #expect(try send(#"{"type":"presence","room":"\#(room)"}"#, node).json()["count"]?.asInt == 1)
      #expect(try send(#"{"type":"history","room":"\#(room)"}"#, node).json()["messages"]?.asArray?.count == 2)
      #expect(try send(#"{"type":"request","id":"q","action":"rooms"}"#, node).text.contains(room))
      #expect(try send(#"{"type":"direct","to":"nobody","x":1}"#, node).json()["delivered"]?.asInt == 0)
      #expect(try send(#"{"type":"leave","room":"\#(room)"}"#, node).json()["type"]?.asString == "left")
      let refused = try send(#"{"type":"ping"}"#, user: "eve", node)
      #expect(refused.status == 403 && refused.text.contains(#""type":"error""#))
      #expect(try send("nonsense", node).status == 400)
      // What changed what it gets came down the connection too, and of its own messages the one with echo.
      let expected = ["joined", "message 2", "left"]
      switch kind {
      case "ws":
        #expect(try socket?.expect("joined").string("room") == room)
        #expect(try socket?.expect("message").int("n") == 2)
        try socket?.expect("left")
      case "sse":
        try eventually("the stream has it all") {
          stream?.read(within: 0.2) { false }
          return stream?.all(of: room) == expected
        }
      default:
        var got: [JSONValue] = []
        try eventually("the poll has it all") {
          got += try poller?.poll(nodes[node], wait: "0") ?? []
          return got.filter { $0["room"]?.asString == room }.map {
            ($0["type"]?.asString ?? "") + ($0["n"].flatMap(\.asInt).map { " \($0)" } ?? "")
          } == expected
        }
      }
    }
    for garbage in ["n1-zzzz", "n1-", "-", "n9-1", "%00-1", String(repeating: "x", count: 3000) + "-1", "new"] {
      let answer = try nodes[1].http.ask("POST", "/send?connection=\(garbage)&user=ann", body: #"{"type":"ping"}"#)
      #expect(answer.status == 404 && answer.text.contains("not_found"), "\(garbage): \(answer)")
    }
  }

  @Test("asks the connection to come back elsewhere before a drain closes it, then says so")
  func drain() throws {
    let (nodes, redis) = try nodes(2, .single, ["--drain", "3s"])
    defer { withExtendedLifetime(redis) {} }
    let client = try PollClient(nodes[0], "ann")
    nodes[0].process.signal(SIGTERM)
    #expect(try client.poll(nodes[1]).contains { $0["type"]?.asString == "reconnect" })
    var last = ""
    try eventually("it is closed") {
      let answer = try nodes[1].http.get(client.path(wait: "2s"))
      last = answer.text
      return answer.status == 404
    }
    #expect(last.contains("1012") || last.contains("has ended"))
    let next = try PollClient(nodes[1], "ann")
    #expect(try next.end(nodes[1]) == 204)
  }
}
