import Realtime

/// What this node knows of the leases of other nodes, as of its last renewal.
final class NodeStates {
  /// Nodes whose lease has expired and that were not swept yet: what they left in Redis must not show.
  private var expired: Set<[UInt8]> = []
  /// Nodes that have ended and handed their members over.
  private var leaving: Set<[UInt8]> = []

  /// Takes the answer to a renewal.
  func update(expired: [[UInt8]], leaving: [[UInt8]]) {
    self.expired = Set(expired)
    self.leaving = Set(leaving)
  }

  /// Notes nodes without a lease that an orphan scan has found.
  func add(expired nodes: Set<[UInt8]>) { expired.formUnion(nodes) }

  /// Notes that a node was swept.
  func remove(_ node: [UInt8]) { expired.remove(node) }

  func isDead(_ node: [UInt8]) -> Bool { expired.contains(node) }

  func isLeaving(_ node: [UInt8]) -> Bool { leaving.contains(node) }

  /// Whether the node in a connection's name is known to be dead, or to have ended.
  func hasEnded(connection name: [UInt8]) -> Bool {
    RedisKeys.node(ofConnection: name).map { isDead($0) || isLeaving($0) } ?? true
  }

  /// Leaves out the handed-over members of users who are back elsewhere: they are there once. It sees one page: a user
  /// whose connections are on two pages may be there once on each.
  func withoutDuplicates(_ members: [Member]) -> [Member] {
    guard members.contains(where: { isLeaving($0.node) }) else { return members }
    let present = Set(members.lazy.filter { !self.isLeaving($0.node) }.map(\.user))
    return members.filter { !isLeaving($0.node) || !present.contains($0.user) }
  }
}

@available(*, unavailable)
extension NodeStates: Sendable {}
