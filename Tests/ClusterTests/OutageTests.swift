import JSONCore
import TestSupport
import Testing

@Suite("Cluster, Redis away and back", .serialized)
struct OutageTests {
  @Test("says degraded and restored, refuses publishes meanwhile, and works after a restart of Redis")
  func restart() throws {
    let cluster = try Cluster(2)
    let clients = try cluster.members(of: "r")
    try clients[0].publish("r", #""n":1"#)
    try clients[1].expect("message")
    cluster.redis.kill()
    for client in clients { try client.expect("degraded") }
    let refused = try clients[0].ask(#""type":"message","room":"r","n":2"#)
    #expect(refused.string("code") == "unavailable")
    #expect(try clients[0].ask(#""type":"ping""#).type == "pong")
    for node in cluster.nodes {
      try eventually("not ready", within: 10) { try node.http.get("/readyz").status == 503 }
      #expect(try node.http.get("/healthz").status == 200)
      #expect(try node.metric("roost_redis_up") == 0)
      #expect(try node.admin("POST", "publish", body: #"{"room":"r","data":{}}"#).status == 503)
    }
    try cluster.redis.restart()
    for client in clients { try client.expect("restored", within: 15) }
    for node in cluster.nodes { try node.awaitReady() }
    // Everything in Redis was lost: the members learn the new epoch without having asked.
    for client in clients {
      let joined = try client.expect("joined")
      #expect(joined["recovered"]?.asBool == false)
    }
    try clients[0].publish("r", #""n":3"#)
    try clients[1].expect("message") { $0.int("n") == 3 }
    for node in cluster.nodes {
      try eventually("presence is asserted again") {
        try node.inspect("presence/r")["members"]?.asArray?.compactMap { $0["user"]?.asString }.sorted() == [
          "u1", "u2",
        ]
      }
      #expect(try node.metric("roost_redis_reconnects_total") >= 1)
    }
    #expect(try clients[0].ask(#""type":"direct","to":"u2","n":4"#).int("delivered") == 1)
    #expect(try clients[1].expect("direct").int("n") == 4)
  }

  @Test("loses nothing and repeats nothing when a node's links are cut while others publish")
  func cutLinks() throws {
    let cluster = try Cluster(2)
    let clients = try cluster.members(of: "r")
    let listener = try cluster.nodes[1].connect("listener")
    try listener.join("r")
    for n in 1...50 {
      // While its own link is down a node refuses: the sender repeats with the same id.
      try eventually("message \(n) is taken") {
        try clients[0].send(#"{"type":"message","room":"r","id":"m\#(n)","n":\#(n)}"#)
        let answer = try clients[0].take("an answer to m\(n)") { "\($0)".contains(#""id":"m\#(n)""#) }
        return "\(answer)".contains(#""type":"ack""#)
      }
      if n % 10 == 0 {
        _ = try cluster.redis.command("CLIENT KILL TYPE pubsub")
        _ = try cluster.redis.command("CLIENT KILL TYPE normal SKIPME yes")
      }
    }
    for node in cluster.nodes { try node.awaitReady() }
    try eventually("the last message is taken") {
      try clients[0].ask(#""type":"message","room":"r","end":"cut""#).type == "ack"
    }
    let seen = try listener.messages(until: "cut")
    #expect(seen.compactMap { $0.int("n") } == Array(1...50))
    #expect(seen.compactMap { $0.int("offset") } == Array(1...50))
    #expect(try cluster.nodes[1].metric(#"roost_gap_messages_total{outcome="lost"}"#) == 0)
  }

  @Test("notices within 5 s a Redis that is stopped and says nothing, and comes back when it goes on")
  func paused() throws {
    let cluster = try Cluster(1)
    let client = try cluster.members(of: "r")[0]
    cluster.redis.pause()
    defer { cluster.redis.resume() }
    try eventually("not ready", within: 10) { try cluster.nodes[0].http.get("/readyz").status == 503 }
    try client.expect("degraded")
    cluster.redis.resume()
    try client.expect("restored", within: 15)
    try eventually("a message is taken") {
      try client.ask(#""type":"message","room":"r","n":1"#).type == "ack"
    }
    #expect(try cluster.nodes[0].inspect("presence/r")["count"]?.asInt == 1)
  }

  @Test("is alive and not ready before Redis was reached for the first time")
  func startsWithoutRedis() throws {
    let redis = try RedisProcess()
    redis.kill()
    let node = try Cluster.node("n1", on: redis)
    #expect(try node.http.get("/healthz").status == 200)
    #expect(try node.http.get("/readyz").status == 503)
    let client = try WebSocketClient(port: node.port, target: "/ws?user=ann")
    try client.expect("welcome")
    #expect(try client.ask(#""type":"join","room":"r""#).string("code") == "unavailable")
    try redis.restart()
    try node.awaitReady(within: 15)
    try eventually("a join is taken") { try client.ask(#""type":"join","room":"r""#).type == "joined" }
    #expect(try client.publish("r", #""n":1"#) == 1)
  }

  @Test("costs Redis the same whether nobody or 500 idle connections are there")
  func idleCost() throws {
    let cluster = try Cluster(1)
    /// Commands in so many seconds of silence, this count's own among them.
    func commands(in seconds: Double) throws -> Int {
      let start = try cluster.redis.info("total_commands_processed")
      let end = Deadline(within: seconds)
      try eventually("\(seconds) s have passed", within: seconds + 5) { end.millisecondsLeft == 0 }
      return try cluster.redis.info("total_commands_processed") - start
    }
    let empty = try commands(in: 4)
    let clients = try (0..<500).map { n in
      let client = try cluster.nodes[0].connect("idle\(n)")
      try client.join("room\(n % 50)")
      return client
    }
    #expect(try cluster.nodes[0].inspect("rooms?limit=1000")["rooms"]?.asArray?.count == 50)
    let full = try commands(in: 4)
    #expect(clients.count == 500)
    // A renewal more or less may fall into the window; one command for each connection or room would be 50 or 500.
    #expect(abs(full - empty) <= 20, "\(empty) commands without connections, \(full) with 500")
  }
}
