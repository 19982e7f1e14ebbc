import Glibc

/// A Redis Cluster of three masters, each with a replica if asked for, that notices a dead master within about a second.
package final class RedisClusterProcesses {
  package let masters: [RedisProcess]
  package let replicas: [RedisProcess]
  /// The first and the last slot of each master, at the start.
  package static let slots = [0...5460, 5461...10922, 10923...16383]

  package init(replicated: Bool = false) throws {
    masters = try (0..<3).map { _ in try RedisClusterProcesses.node() }
    replicas = try (0..<(replicated ? 3 : 0)).map { _ in try RedisClusterProcesses.node() }
    for (index, master) in masters.enumerated() {
      let slots = RedisClusterProcesses.slots[index]
      try RedisClusterProcesses.order(master, "CLUSTER ADDSLOTSRANGE \(slots.lowerBound) \(slots.upperBound)")
      try RedisClusterProcesses.order(master, "CLUSTER SET-CONFIG-EPOCH \(index + 1)")
    }
    let count = masters.count + replicas.count
    try eventually("all know each other", within: 30) { [masters, replicas] in
      let isDone = try (masters + replicas).allSatisfy {
        try $0.command("CLUSTER INFO").contains("cluster_known_nodes:\(count)")
      }
      guard !isDone, try masters[0].command("CLUSTER INFO").contains("cluster_known_nodes:\(count)") == false else {
        return isDone
      }
      // On a loaded machine a meeting takes longer than the second after which it is given up: it is asked for again.
      for other in (masters + replicas).dropFirst() {
        // The bus port is the second one that each process was given.
        try RedisClusterProcesses.order(masters[0], "CLUSTER MEET 127.0.0.1 \(other.port) \(other.secondPort)")
      }
      usleep(100_000)
      return false
    }
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
    for process in masters + replicas { unlink("/tmp/roost-test-nodes-\(process.port).conf") }
  }

  /// For `--redis`.
  package var url: String { "redis+cluster://\(masters.map { "127.0.0.1:\($0.port)" }.joined(separator: ","))" }

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
    for n in 0..<200 where try master(of: "roost:{r:r\(n)}:ch") == index { return "r\(n)" }
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
        masters[source], "MIGRATE 127.0.0.1 \(masters[target].port) \"\(key)\" 0 5000")
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

  private static func node() throws -> RedisProcess {
    try RedisProcess([
      "--cluster-enabled", "yes", "--cluster-config-file", "roost-test-nodes-PORT.conf", "--cluster-port", "PORT2",
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
