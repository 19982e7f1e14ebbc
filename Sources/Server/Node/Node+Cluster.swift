import Realtime
import TimeCore

/// Notices which nodes come into a cluster and which go, from what is listed now and then. Pure.
struct NodeRoll {
  private var known: Set<[UInt8]>?

  /// Whether no list has come yet.
  var isEmpty: Bool { known == nil }

  /// Takes the ids of all living nodes. Returns those that came and went since the last call; of the first call, nothing.
  mutating func update(_ ids: [[UInt8]]) -> (came: [[UInt8]], gone: [[UInt8]]) {
    let now = Set(ids)
    defer { known = now }
    guard let known else { return ([], []) }
    func sorted(_ ids: Set<[UInt8]>) -> [[UInt8]] { ids.sorted { $0.lexicographicallyPrecedes($1) } }
    return (sorted(now.subtracting(known)), sorted(known.subtracting(now)))
  }
}

extension Node {
  /// The time between two looks at the list of nodes: about as long as a dead one stays in it.
  private static let rollInterval = Interval.seconds(5)
  /// The same until the first list has come: Redis is not reached yet.
  private static let firstRollInterval = Interval.milliseconds(200)

  /// Logs which nodes come into the cluster and go. Of several workers of one machine the first does it for all.
  func watchCluster() {
    guard !hasEnded, let redis, (workerPage?.index ?? 0) == 0, log.isWritten(.info) else { return }
    redis.nodes { [weak self] result in
      guard let self, case .success(let nodes) = result else { return }
      if nodeRoll.isEmpty { log.info("this node has joined the cluster", ("nodes", nodes.count)) }
      let (came, gone) = nodeRoll.update(nodes.map(\.id))
      for peer in came { log.info("a node has joined the cluster", ("peer", Log.text(peer)), ("nodes", nodes.count)) }
      for peer in gone { log.info("a node has left the cluster", ("peer", Log.text(peer)), ("nodes", nodes.count)) }
    }
    let delay = nodeRoll.isEmpty ? Node.firstRollInterval : Node.rollInterval
    loop.after(delay) { [weak self] in self?.watchCluster() }
  }
}

extension Node {
  /// Begins the drain that an operator ordered, after the answer to the order has left.
  func obeyDrain() {
    wasOrderedToDrain = true
    log.info("an operator ordered the drain of this node")
    loop.after(.milliseconds(1)) { [weak self] in self?.stop() }
  }
}
