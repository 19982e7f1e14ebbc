import Glibc

/// A Redis Cluster of three masters, each with a replica if asked for, that notices a dead master within about a second.
package final class RedisClusterProcesses {
  /// Those at the start, and behind them those that have joined.
  package private(set) var masters: [RedisProcess]
  package let replicas: [RedisProcess]
  /// The first and the last slot of each master, at the start.
  package static let slots = [0...5460, 5461...10922, 10923...16383]
  private let security: RedisSecurity?

  /// - Parameter security: nil: everything is plain, and open to everybody.
  package init(replicated: Bool = false, _ security: RedisSecurity? = nil) throws {
    self.security = security
    masters = try (0..<3).map { _ in try RedisClusterProcesses.node(security) }
    replicas = try (0..<(replicated ? 3 : 0)).map { _ in try RedisClusterProcesses.node(security) }
    for (index, master) in masters.enumerated() {
      let slots = RedisClusterProcesses.slots[index]
      try RedisClusterProcesses.order(master, "CLUSTER ADDSLOTSRANGE \(slots.lowerBound) \(slots.upperBound)")
      try RedisClusterProcesses.order(master, "CLUSTER SET-CONFIG-EPOCH \(index + 1)")
    }
    try meet((masters + replicas).dropFirst())
    for (replica, master) in zip(replicas, masters) {
      let id = try master.command("CLUSTER MYID").split(whereSeparator: \.isNewline)[1]
      try eventually("a replica knows its master") { try replica.command("CLUSTER REPLICATE \(id)").hasPrefix("+OK") }
    }
    try eventually("the cluster works", within: 15) { [masters, replicas] in
      try (masters + replicas).allSatisfy { try $0.command("CLUSTER INFO").contains("cluster_state:ok") }
        && replicas.allSatisfy { try $0.command("INFO replication").contains("master_link_status:up") }
    }
  }

  deinit {
    for process in masters + replicas {
      // One that lives would write its file again.
      process.kill()
      unlink("/tmp/\(RedisClusterProcesses.file("\(process.port)"))")
    }
  }

  /// What a process of the cluster remembers of it. Other runs of the tests, also those that were killed, have others.
  private static func file(_ port: String) -> String { "roost-test-nodes-\(getpid())-\(port).conf" }

  /// For `--redis`.
  package var url: String {
    RedisSecurity.prefix("cluster", security) + masters.map { "127.0.0.1:\(port(of: $0))" }.joined(separator: ",")
  }

  /// Has a fresh master without slots join. Returns its index.
  package func addMaster() throws -> Int {
    masters.append(try RedisClusterProcesses.node(security))
    try meet(masters.suffix(1))
    let fresh = masters[masters.count - 1]
    try eventually("the cluster works for it") { try fresh.command("CLUSTER INFO").contains("cluster_state:ok") }
    return masters.count - 1
  }

  /// Where clients reach a process.
  private func port(of process: RedisProcess) -> UInt16 { security == nil ? process.port : process.thirdPort }

  /// Introduces processes to the others, and waits until all know each other.
  private func meet(_ others: ArraySlice<RedisProcess>) throws {
    let count = masters.count + replicas.count
    func knowsAll(_ process: RedisProcess) throws -> Bool {
      try process.command("CLUSTER INFO").contains("cluster_known_nodes:\(count)")
    }
    try eventually("all know each other", within: 30) {
      if try knowsAll(masters[0]) { return try (masters + replicas).allSatisfy(knowsAll) }
      // On a loaded machine a meeting takes longer than the second after which it is given up: it is asked for again.
      for other in others {
        // The bus port is the second one that each process was given.
        try RedisClusterProcesses.order(masters[0], "CLUSTER MEET 127.0.0.1 \(port(of: other)) \(other.secondPort)")
      }
      usleep(100_000)
      return false
    }
  }

  /// The slot of a key.
  package func slot(of key: String) throws -> Int {
    let reply = try masters[2].command("CLUSTER KEYSLOT \(key)")
    guard let slot = Int(reply.dropFirst().prefix { $0.isNumber }) else { throw TestFailure("no slot: \(reply)") }
    return slot
  }

  /// Finds the index of the master that holds a key at the start.
  package func master(of key: String) throws -> Int {
    let slot = try slot(of: key)
    return RedisClusterProcesses.slots.firstIndex { $0.contains(slot) }!  // Safe because the ranges cover all slots.
  }

  /// Finds a name `r0`, `r1` … of a room that master `index` holds.
  package func room(on index: Int) throws -> String {
    for n in 0..<200 where try master(of: "roost:3:{r:r\(n)}:ch") == index { return "r\(n)" }
    throw TestFailure("no room on master \(index)")
  }

  /// Begins to move a slot, and moves the keys that are there.
  package func beginMigration(of slot: Int, from source: Int, to target: Int) throws {
    let (sourceID, targetID) = (try id(source), try id(target))
    try RedisClusterProcesses.order(masters[target], "CLUSTER SETSLOT \(slot) IMPORTING \(sourceID)")
    try RedisClusterProcesses.order(masters[source], "CLUSTER SETSLOT \(slot) MIGRATING \(targetID)")
    let keys = try masters[source].command("CLUSTER GETKEYSINSLOT \(slot) 1000").split(whereSeparator: \.isNewline)
      .filter { $0.hasPrefix("roost") }
    for key in keys {
      try RedisClusterProcesses.order(
        masters[source], "MIGRATE 127.0.0.1 \(port(of: masters[target])) \"\(key)\" 0 5000")
    }
  }

  /// Gives a slot to its new master.
  package func finishMigration(of slot: Int, to target: Int) throws {
    let targetID = try id(target)
    for index in [target] + masters.indices.filter({ $0 != target }) {
      try RedisClusterProcesses.order(masters[index], "CLUSTER SETSLOT \(slot) NODE \(targetID)")
    }
  }

  private func id(_ index: Int) throws -> String {
    String(try masters[index].command("CLUSTER MYID").split(whereSeparator: \.isNewline)[1])
  }

  private static func node(_ security: RedisSecurity?) throws -> RedisProcess {
    let secure = security.map { $0.arguments(["+cluster|slots", "+asking"]) + ["--tls-cluster", "yes"] } ?? []
    return try RedisProcess(
      secure + [
        "--cluster-enabled", "yes", "--cluster-config-file", file("PORT"), "--cluster-port", "PORT2",
        "--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor",
        "0",
        "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1",
      ])
  }

  private static func order(_ process: RedisProcess, _ command: String) throws {
    let reply = try process.command(command)
    guard reply.hasPrefix("+") else { throw TestFailure("\(command): \(reply)") }
  }
}
