import JSONCore
import TestSupport
import Testing

/// Node processes whose master is replaced by one that does not know the last of who is there.
@Suite("Presence after a failover", .serialized)
struct PresenceTakeoverTests {
  /// The users of a room as a node's admin endpoint lists them; nil while it does not.
  private func users(_ node: RoostProcess, _ room: String) throws -> [String]? {
    // A node may need a moment more than another to be back.
    let answer = try node.admin("GET", "presence/\(room)")
    guard answer.status == 200 else { return nil }
    return try answer.json()["members"]?.asArray?.compactMap { $0["user"]?.asString } ?? []
  }

  /// How often a client was told of a user's coming and going, in order.
  private func notices(_ texts: [Received]) -> [String] {
    texts.compactMap { text in
      guard let type = text.type, ["user_joined", "user_left"].contains(type) else { return nil }
      return "\(type) \(text.string("user") ?? "")"
    }
  }

  /// Waits until the nodes have compared what they told with what is there, which comes last and must find nothing to
  /// say.
  ///
  /// - Parameters:
  ///   - process: one that nobody has joined a room on since it began, or was promoted.
  ///   - reads: one for each room of each node, and one before for each room in the list of each node.
  private func awaitComparison(on process: RedisProcess, reads: Int) throws {
    try eventually("what was told is compared", within: 20) {
      let line = try process.command("INFO commandstats").split(whereSeparator: \.isNewline)
        .first { $0.hasPrefix("cmdstat_hscan:calls=") }
      let calls = line?.dropFirst("cmdstat_hscan:calls=".count).prefix { $0.isNumber }
      return (calls.flatMap { Int($0) } ?? 0) >= reads
    }
  }

  @Test("behind sentinels: who left just before the master died is gone, who came is there, each told once")
  func sentinel() throws {
    let trio = try SentinelTrio()
    let nodes = try (1...2).map { try RoostProcess(["--node-id", "n\($0)", "--redis", trio.url, "--workers", "1"]) }
    for node in nodes { try node.awaitReady() }
    let listener = try nodes[1].connect("listener")
    let clients = try ["stays", "leaves", "closes"].map { try nodes[0].connect($0) }
    for client in [listener] + clients { try client.join("r") }
    try clients[1].join("alone")
    try eventually("the replica has them") { try trio.replica.command("HLEN roost:3:{r:r}:members").contains(":4") }
    _ = try listener.settle()
    trio.replica.pause()
    // Else the kernel would keep what the replica has not read yet.
    _ = try trio.master.command("CLIENT KILL TYPE replica")
    for room in ["r", "alone"] { try clients[1].ask(#""type":"leave","room":"\#(room)""#) }
    clients[2].connection.closeNow()
    let late = try nodes[0].connect("comes")
    try late.join("r")
    for (type, user) in [("user_left", "leaves"), ("user_left", "closes"), ("user_joined", "comes")] {
      try listener.expect(type) { $0.string("user") == user }
    }
    trio.master.kill()
    trio.replica.resume()
    try listener.expect("restored", within: 25)
    for node in nodes {
      try eventually("presence is right") { try users(node, "r") == ["comes", "listener", "stays"] }
      #expect(try users(node, "alone") == [])
      #expect(try node.inspect("users/closes")["count"]?.asInt == 0)
      #expect(try node.inspect("users/comes")["count"]?.asInt == 1)
    }
    #expect(try trio.replica.command("HKEYS roost:3:{r:r}:users").contains("leaves") == false)
    try awaitComparison(on: trio.replica, reads: 5)
    try late.ask(#""type":"leave","room":"r""#)
    try listener.expect("user_left") { $0.string("user") == "comes" }
    #expect(notices(try listener.settle()).isEmpty)
  }

  @Test("in a cluster: also when the node's own lists, on another master, forgot the room and the connection long ago")
  func cluster() throws {
    let cluster = try RedisClusterProcesses(replicated: true)
    let leases = try cluster.master(of: "roost:3:{nodes}:leases")
    let victim = (leases + 1) % 3
    func name(_ prefix: String, key: (String) -> String, where fits: (Int) -> Bool) throws -> String {
      try (0..<200).lazy.map { "\(prefix)\($0)" }.first { fits(try cluster.master(of: key($0))) } ?? prefix
    }
    let id = try name("n", key: { "roost:3:{n:\($0)}:rooms" }, where: { $0 != victim })
    let ghost = try name("u", key: { "roost:3:{u:\($0)}:connections" }, where: { $0 == victim })
    let room = try cluster.room(on: victim)
    let nodes = try [id, "other"].map { try RoostProcess(["--node-id", $0, "--redis", cluster.url, "--workers", "1"]) }
    for node in nodes { try node.awaitReady() }
    let listener = try nodes[1].connect("listener")
    try listener.join(room)
    let leaver = try nodes[0].connect(ghost)
    try leaver.join(room)
    try listener.expect("user_joined")
    let replica = cluster.replicas[victim]
    try eventually("the replica is in step") { try lag(of: replica, behind: cluster.masters[victim]) == 0 }
    replica.pause()
    _ = try cluster.masters[victim].command("CLIENT KILL TYPE replica")
    leaver.connection.closeNow()
    try listener.expect("user_left") { $0.string("user") == ghost }
    let list = try cluster.master(of: "roost:3:{n:\(id)}:rooms")
    try eventually("the node's lists are empty") {
      try cluster.masters[list].command("EXISTS roost:3:{n:\(id)}:rooms roost:3:{n:\(id)}:connections").contains(":0")
    }
    cluster.masters[victim].kill()
    replica.resume()
    try listener.expect("restored", within: 30)
    for node in nodes {
      try eventually("presence is right") { try users(node, room) == ["listener"] }
      try eventually("the connection is gone") { try node.inspect("users/\(ghost)")["count"]?.asInt == 0 }
    }
    try awaitComparison(on: replica, reads: 2)
    #expect(notices(try listener.settle()).isEmpty)
  }

  /// What a replica lacks of its master, in bytes.
  private func lag(of replica: RedisProcess, behind master: RedisProcess) throws -> Int {
    try master.info("master_repl_offset") - replica.info("slave_repl_offset")
  }

  @Test("in a cluster: members of a master that was restarted empty at its place are there again, and nobody has left")
  func restartedMaster() throws {
    let cluster = try RedisClusterProcesses()
    let victim = (try cluster.master(of: "roost:3:{nodes}:leases") + 1) % 3
    let (room, other) = (try cluster.room(on: victim), try cluster.room(on: (victim + 1) % 3))
    let nodes = try (1...2).map { try RoostProcess(["--node-id", "n\($0)", "--redis", cluster.url, "--workers", "1"]) }
    for node in nodes { try node.awaitReady() }
    let clients = try nodes.enumerated().map { try $1.connect("u\($0 + 1)") }
    for client in clients { for room in [room, other] { try client.join(room) } }
    for client in clients { _ = try client.settle() }
    try cluster.masters[victim].restart()
    for client in clients { try client.expect("restored", within: 20) }
    for node in nodes {
      try eventually("presence is right") { try users(node, room) == ["u1", "u2"] }
      #expect(try users(node, other) == ["u1", "u2"])
    }
    try awaitComparison(on: cluster.masters[victim], reads: 4)
    for client in clients {
      let texts = try client.settle()
      #expect(notices(texts).isEmpty)
      #expect(!texts.contains { $0.string("room") == other }, "\(texts)")
    }
  }
}
