import TestSupport

/// A Redis Cluster of three shards: a master and a replica each, which change places.
final class ClusterStore: Store {
  private let cluster: RedisClusterProcesses
  /// The ports of those that were killed or stopped.
  private var away: Set<UInt16> = []
  /// Which shard has the slot of which room.
  private var shards: [Int]
  private let slots: [Int]

  init(rooms: [String]) throws {
    let cluster = try RedisClusterProcesses(replicated: true)
    self.cluster = cluster
    slots = try rooms.map { try cluster.slot(of: "roost:3:{r:\($0)}:ch") }
    shards = try rooms.map { try cluster.master(of: "roost:3:{r:\($0)}:ch") }
  }

  var url: String { cluster.url }
  var servers: [RedisProcess] { cluster.masters + cluster.replicas }
  var masters: [RedisProcess] { cluster.masters.indices.compactMap { master(of: $0) } }

  private func members(of shard: Int) -> [RedisProcess] { [cluster.masters[shard], cluster.replicas[shard]] }

  private func master(of shard: Int) -> RedisProcess? {
    members(of: shard).first {
      !away.contains($0.port) && (try? $0.command("INFO replication"))?.contains("role:master") == true
    }
  }

  /// The other one, if it is in step.
  private func replica(of master: RedisProcess, in shard: Int) -> RedisProcess? {
    members(of: shard).first {
      $0 !== master && !away.contains($0.port)
        && (try? $0.command("INFO replication"))?.contains("master_link_status:up") == true
    }
  }

  func act(_ fault: Fault) throws -> (() throws -> Void)? {
    switch fault {
    case .failOver(let shard, _):
      guard let old = master(of: shard), let new = replica(of: old, in: shard) else { return nil }
      return try new.command("CLUSTER FAILOVER").hasPrefix("+") ? {} : nil
    case .killMaster(let shard, _):
      return leave(shard) {
        $0.kill()
      } comeBack: {
        try $0.restart()
      }
    case .stopMaster(let shard, _):
      return leave(shard) {
        $0.pause()
      } comeBack: {
        $0.resume()
      }
    case .moveSlot(let room, let by): return try moveSlot(of: room, to: (shards[room] + by) % 3)
    default: return nil
    }
  }

  private func leave(
    _ shard: Int, _ go: (RedisProcess) -> Void, comeBack: @escaping (RedisProcess) throws -> Void
  ) -> (() throws -> Void)? {
    guard let old = master(of: shard), replica(of: old, in: shard) != nil else { return nil }
    away.insert(old.port)
    go(old)
    return { [self] in
      try comeBack(old)
      away.remove(old.port)
    }
  }

  // MARK: Slots

  /// Moves a slot as `redis-cli --cluster reshard` does: half of its keys now, the rest in the end.
  private func moveSlot(of room: Int, to shard: Int) throws -> (() throws -> Void)? {
    let slot = slots[room]
    guard let source = master(of: shards[room]), let target = master(of: shard) else { return nil }
    let (sourceID, targetID) = (try id(of: source), try id(of: target))
    guard try target.command("CLUSTER SETSLOT \(slot) IMPORTING \(sourceID)").hasPrefix("+"),
      try source.command("CLUSTER SETSLOT \(slot) MIGRATING \(targetID)").hasPrefix("+")
    else { return nil }
    let keys = try keys(in: slot, of: source)
    for key in keys.prefix(keys.count / 2) { try move(key, from: source, to: target) }
    return { [self] in
      var left = try self.keys(in: slot, of: source)
      var rounds = 0
      while !left.isEmpty {
        for key in left { try move(key, from: source, to: target) }
        left = try self.keys(in: slot, of: source)
        rounds += 1
        if rounds > 100 { throw TestFailure("slot \(slot) is not empty: \(left)") }
      }
      for server in [target, source] + masters.filter({ $0 !== target && $0 !== source }) {
        _ = try server.command("CLUSTER SETSLOT \(slot) NODE \(targetID)")
      }
      shards[room] = shard
    }
  }

  private func id(of server: RedisProcess) throws -> String {
    String(try server.command("CLUSTER MYID").split(whereSeparator: \.isNewline)[1])
  }

  private func keys(in slot: Int, of server: RedisProcess) throws -> [String] {
    try server.command("CLUSTER GETKEYSINSLOT \(slot) 1000").split(whereSeparator: \.isNewline).map(String.init)
      .filter { $0.hasPrefix("roost") }
  }

  private func move(_ key: String, from source: RedisProcess, to target: RedisProcess) throws {
    let reply = try source.command("MIGRATE 127.0.0.1 \(target.port) \"\(key)\" 0 5000")
    // A key may have run out meanwhile: then there is nothing to move.
    guard reply.hasPrefix("+") else { throw TestFailure("\(key) cannot be moved: \(reply)") }
  }
}
