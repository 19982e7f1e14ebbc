import JSONCore
import TestSupport
import Testing

@Suite("Cluster, connections to Redis that work half", .serialized)
struct LinkFaultTests {
  /// Two nodes on one Redis, the first of them behind a proxy.
  private struct Bench {
    let redis: RedisProcess
    let proxy: TCPProxy
    let nodes: [RoostProcess]
    let clients: [WebSocketClient]

    init() throws {
      redis = try RedisProcess()
      proxy = try TCPProxy(to: redis.port)
      let first = try RoostProcess([
        "--node-id", "n1", "--redis", "redis://127.0.0.1:\(proxy.port)", "--workers", "1",
      ])
      nodes = [first, try Cluster.node("n2", on: redis)]
      for node in nodes { try node.awaitReady() }
      clients = try nodes.enumerated().map { try $1.connect("u\($0 + 1)") }
      for client in clients { try client.join("r") }
    }
  }

  @Test("is not ready while its subscription is deaf, and gives its clients what they missed once it hears again")
  func deafSubscription() throws {
    let bench = try Bench()
    bench.proxy.treat(.toClient, .swallowPieces(with: "\r\nmessage\r\n"), said: "n1-subscriber")
    for n in 1...5 { try bench.clients[1].publish("r", "\"n\":\(n)") }
    try eventually("not ready", within: 10) { try bench.nodes[0].http.get("/readyz").status == 503 }
    try bench.clients[0].expect("degraded")
    #expect(try bench.nodes[0].metric("roost_redis_up") == 0)
    #expect(try bench.nodes[0].metric("roost_redis_subscription_stalls_total") >= 1)
    #expect(try bench.nodes[1].http.get("/readyz").status == 200)
    // Its commands still work: what its clients publish reaches the others.
    let offset = try bench.clients[0].publish("r", #""from":"the deaf""#)
    #expect(offset == 6)
    try bench.clients[1].expect("message") { $0.string("from") == "the deaf" }
    bench.proxy.heal()
    try bench.clients[0].expect("restored", within: 15)
    try bench.nodes[0].awaitReady()
    try bench.clients[1].publish("r", #""end":"deaf""#)
    let seen = try bench.clients[0].messages(until: "deaf")
    #expect(seen.compactMap { $0.int("n") } == Array(1...5))
    #expect(try bench.nodes[0].metric(#"roost_gap_messages_total{outcome="lost"}"#) == 0)
  }

  @Test("acknowledges and publishes once what has an id, when the answer is lost with the connection")
  func lostAnswer() throws {
    let bench = try Bench()
    try bench.clients[0].publish("r", #""n":0"#)
    try bench.clients[1].expect("message")
    bench.proxy.treat(.toClient, .swallow, said: "n1-commands")
    try bench.clients[0].send(#"{"type":"message","room":"r","id":"sure","n":1}"#)
    try bench.clients[0].send(#"{"type":"message","room":"r","n":2}"#)
    // Both are in Redis: the other node has heard them.
    for n in 1...2 { try bench.clients[1].expect("message") { $0.int("n") == n } }
    // Not healed before it is cut: the proxy may not have read yet what Redis has answered.
    bench.proxy.refuse(true)
    bench.proxy.cut(said: "n1-commands")
    bench.proxy.heal()
    bench.proxy.refuse(false)
    let refusal = try bench.clients[0].expect("error")
    #expect(refusal.string("code") == "unavailable")
    #expect(refusal.string("message")?.contains("may have been published") == true)
    let ack = try bench.clients[0].expect("ack")
    #expect(ack.string("id") == "sure" && ack.int("offset") == 2, "\(ack)")
    try eventually("a message is taken") {
      try bench.clients[0].ask(#""type":"message","room":"r","end":"sure""#).type == "ack"
    }
    #expect(try bench.clients[1].messages(until: "sure").isEmpty)
  }

  @Test("answers within a bounded time while Redis takes everything and answers nothing, and serves when it goes on")
  func pausedClients() throws {
    let bench = try Bench()
    _ = try bench.redis.command("CLIENT PAUSE 9000 ALL")
    let first = try bench.clients[1].ask(#""type":"message","room":"r","n":1"#, within: 12)
    #expect(first.string("code") == "unavailable")
    // Known to be away: refused at once, whatever the pause still takes.
    let second = try bench.clients[1].ask(#""type":"message","room":"r","n":2"#)
    #expect(second.string("code") == "unavailable")
    try bench.clients[1].expect("degraded")
    try bench.clients[1].expect("restored", within: 25)
    try eventually("a message is taken") {
      try bench.clients[1].ask(#""type":"message","room":"r","n":3"#).type == "ack"
    }
    try bench.clients[0].expect("message", within: 20) { $0.int("n") == 3 }
  }
}
