import TestSupport

/// A master, its replica and three sentinels: whichever is the replica takes the other's place.
final class SentinelStore: Store {
  private let trio: SentinelTrio
  /// The ports of those that were killed or stopped.
  private var away: Set<UInt16> = []

  init() throws { trio = try SentinelTrio() }

  var url: String { trio.url }
  var servers: [RedisProcess] { [trio.master, trio.replica] }
  var masters: [RedisProcess] { master.map { [$0] } ?? [] }

  /// Where the sentinels see the master, if it answers.
  private var master: RedisProcess? {
    let port = try? trio.masterPort()
    return servers.first { $0.port == port && !away.contains($0.port) }
  }

  func act(_ fault: Fault) throws -> (() throws -> Void)? {
    // Without a replica in step there is nothing to fail over to.
    guard let old = master, try old.command("INFO replication").contains("state=online") else { return nil }
    switch fault {
    case .failOver(_, let isSettled): return try failOver(from: old, isSettled: isSettled)
    case .killMaster:
      away.insert(old.port)
      old.kill()
      return { [self] in
        try old.restart()
        // Sentinels take ten seconds to notice a master that is none any more.
        try follow(old)
        away.remove(old.port)
      }
    case .stopMaster:
      away.insert(old.port)
      old.pause()
      return { [self] in
        old.resume()
        away.remove(old.port)
      }
    default: return nil
    }
  }

  /// In step: no write is taken any more until the replica, which by then has them all, has taken over.
  private func failOver(from old: RedisProcess, isSettled: Bool) throws -> (() throws -> Void)? {
    if isSettled { _ = try old.command("CLIENT PAUSE 20000 WRITE") }
    guard try RedisProcess.command("SENTINEL FAILOVER main", port: trio.ports[0]).hasPrefix("+") else {
      _ = try old.command("CLIENT UNPAUSE")
      return nil
    }
    return { [self] in
      guard isSettled else { return }
      try follow(old)
      for kind in ["normal", "pubsub"] { _ = try old.command("CLIENT KILL TYPE \(kind) USER default SKIPME yes") }
      _ = try old.command("CLIENT UNPAUSE")
    }
  }

  /// Makes a server follow the master that there is now, or be it.
  private func follow(_ server: RedisProcess) throws {
    let port = try trio.masterPort()
    let place = port == server.port || port == nil ? "NO ONE" : "127.0.0.1 \(port ?? 0)"
    _ = try server.command("REPLICAOF \(place)")
  }
}
