import JSONCore
import TestSupport
import Testing

/// Node processes on a Redis that speaks TLS, wants a certificate, and gives them no right more than they need, behind
/// sentinels and in a cluster.
@Suite("TLS and access with several Redises", .serialized)
struct SecureRedisTests {
  /// Uses everything that a node does, in a room of its own and across two nodes.
  private func useAll(_ nodes: [RoostProcess], _ ann: WebSocketClient, _ bob: WebSocketClient, room: String) throws {
    for client in [ann, bob] { try client.join(room) }
    for n in 1...10 { try ann.insist(n, in: room) }
    for n in 1...10 { try bob.expect("message") { $0.string("room") == room && $0.int("n") == n } }
    #expect(try bob.ask(#""type":"direct","to":"ann","n":2"#).int("delivered") == 1)
    try ann.expect("direct")
    #expect(try ann.ask(#""type":"history","room":"\#(room)","limit":3"#)["messages"]?.asArray?.count == 3)
    // A question on the channel of one node, and its answer on that of the other.
    let poller = try PollClient(nodes[0], "eve", "room=polled")
    #expect(try poller.send(nodes[1], #"{"type":"ping"}"#).status == 200)
    #expect(try poller.end(nodes[1]) == 204)
    for node in nodes {
      #expect(try node.inspect("presence/\(room)")["users"]?.asInt == 2)
      #expect(try node.inspect("nodes")["nodes"]?.asArray?.count == 2)
      #expect(try node.inspect("rooms")["rooms"]?.asArray?.isEmpty == false)
    }
  }

  /// What every connection of the nodes says of itself to a process of Redis.
  private func expectUser(_ process: RedisProcess) throws {
    let lines = try process.command("CLIENT LIST").split(whereSeparator: \.isNewline)
      .filter { $0.contains("name=roost-n") }
    #expect(lines.count >= 4)
    for line in lines { #expect(line.contains("user=roost"), "\(line)") }
    try expectNoRefusal(process.port)
  }

  /// That nobody was refused, neither with a password nor with a command.
  private func expectNoRefusal(_ port: UInt16) throws {
    let refused = try RedisProcess.command("ACL LOG", port: port)
    #expect(refused.hasPrefix("*0"), "\(refused)")
  }

  @Test("behind sentinels: works over TLS as an ACL user, and goes on after a failover")
  func sentinel() throws {
    let security = try RedisSecurity()
    let trio = try SentinelTrio(security)
    let nodes = try Cluster.nodes(on: trio.url, security.flags)
    let (ann, bob) = (try nodes[0].connect("ann"), try nodes[1].connect("bob"))
    try useAll(nodes, ann, bob, room: "r")
    try expectUser(trio.master)
    trio.master.kill()
    for n in 11...20 { try ann.insist(n, in: "r") }
    let replica = SentinelTrio.port(of: trio.replica, security)
    try eventually("the sentinels name the replica") { try trio.masterPort() == replica }
    for client in [ann, bob] { try client.expect("restored", within: 20) }
    try useAll(nodes, ann, bob, room: "after")
    try expectUser(trio.replica)
    for port in trio.ports { try expectNoRefusal(port) }
    #expect(try nodes[0].inspect("presence/r")["users"]?.asInt == 2)
    #expect(try !ann.settle().contains { $0.type == "user_left" })
  }

  @Test("in a cluster: works over TLS as an ACL user, follows a slot that moves, and goes on after a master's death")
  func cluster() throws {
    let security = try RedisSecurity()
    let cluster = try RedisClusterProcesses(replicated: true, security)
    let nodes = try Cluster.nodes(on: cluster.url, security.flags)
    let (ann, bob) = (try nodes[0].connect("ann"), try nodes[1].connect("bob"))
    let rooms = try (0..<3).map { try cluster.room(on: $0) }
    for room in rooms { try useAll(nodes, ann, bob, room: room) }
    for master in cluster.masters { try expectUser(master) }
    let slot = try cluster.slot(of: "roost:3:{r:\(rooms[0])}:ch")
    try cluster.beginMigration(of: slot, from: 0, to: 1)
    try ann.send(#"{"type":"message","room":"\#(rooms[0])","id":"moving","n":11}"#)
    try cluster.finishMigration(of: slot, to: 1)
    _ = try ann.take("an answer") { "\($0)".contains(#""id":"moving""#) && "\($0)".contains("ack") }
    try bob.expect("message") { $0.string("room") == rooms[0] && $0.int("n") == 11 }
    cluster.masters[2].kill()
    for n in 11...20 { try ann.insist(n, in: rooms[2]) }
    for client in [ann, bob] { try client.expect("restored", within: 25) }
    for room in rooms {
      for n in 21...25 { try bob.insist(n, in: room) }
      try ann.expect("message") { $0.string("room") == room && $0.int("n") == 25 }
      for node in nodes { #expect(try node.inspect("presence/\(room)")["users"]?.asInt == 2) }
    }
    try expectUser(cluster.replicas[2])
    #expect(try !ann.settle().contains { $0.type == "user_left" })
  }

  @Test("says what is wrong when sentinels or a cluster's nodes want a certificate that it does not show")
  func withoutCertificate() throws {
    let security = try RedisSecurity()
    let trio = try SentinelTrio(security)
    let node = try RoostProcess([
      "--redis", trio.url, "--workers", "1", "--redis-ca", security.certificates.authority,
    ])
    _ = try node.process.line(with: "--redis-cert")
    #expect(try node.http.get("/readyz").status == 503)
    #expect(!node.process.output.contains("s3cret"))
  }

  @Test("logs in to sentinels with a user and a password of their own, and follows a failover")
  func sentinelUser() throws {
    let trio = try SentinelTrio()
    let rights =
      "on >sentinel-secret &+switch-master +sentinel|get-master-addr-by-name +subscribe +ping +client|setname"
    for port in trio.ports {
      #expect(try RedisProcess.command("ACL SETUSER watcher \(rights)", port: port).hasPrefix("+OK"))
      let less = "ACL SETUSER default -sentinel|get-master-addr-by-name -subscribe"
      #expect(try RedisProcess.command(less, port: port).hasPrefix("+OK"))
    }
    let stranger = try RoostProcess(["--redis", trio.url, "--workers", "1"])
    _ = try stranger.process.line(with: "no sentinel knows the master")
    let wrong = try RoostProcess(["--redis", trio.url, "--workers", "1", "--redis-sentinel-password", "wrong"])
    _ = try wrong.process.line(with: "check --redis-sentinel-user and --redis-sentinel-password")
    let nodes = try Cluster.nodes(
      on: trio.url, ["--redis-sentinel-user", "watcher", "--redis-sentinel-password", "sentinel-secret"])
    let (ann, bob) = (try nodes[0].connect("ann"), try nodes[1].connect("bob"))
    try useAll(nodes, ann, bob, room: "r")
    trio.master.kill()
    for n in 11...20 { try ann.insist(n, in: "r") }
    for node in [stranger, wrong] { #expect(try node.http.get("/readyz").status == 503) }
    for node in nodes + [wrong] { #expect(!node.process.output.contains("sentinel-secret")) }
  }

  @Test("logs in to sentinels that have a password, and says which setting is missing")
  func sentinelPassword() throws {
    let trio = try SentinelTrio()
    for port in trio.ports {
      #expect(try RedisProcess.command("ACL SETUSER default resetpass >sentinel-secret", port: port).hasPrefix("+OK"))
    }
    let stranger = try RoostProcess(["--redis", trio.url, "--workers", "1"])
    _ = try stranger.process.line(with: "--redis-sentinel-password")
    let node = try Cluster.nodes(1, on: trio.url, ["--redis-sentinel-password", "sentinel-secret"])[0]
    #expect(try node.connect("ann").ask(#""type":"join","room":"r""#).type == "joined")
  }

  @Test("names redis+cluster:// when redis:// leads to a node of a cluster")
  func clusterByWrongName() throws {
    let cluster = try RedisClusterProcesses()
    for database in ["", "/1"] {
      let url = "redis://127.0.0.1:\(cluster.masters[0].port)\(database)"
      let node = try RoostProcess(["--redis", url, "--workers", "1"])
      _ = try node.process.line(with: "redis+cluster://")
      #expect(try node.http.get("/readyz").status == 503)
    }
  }
}
