/// A page of the list of rooms.
public struct RoomListing {
  /// Rooms with at least one member on a live node, ascending by name.
  public var rooms: [(name: [UInt8], userCount: Int)]
  /// The name to continue after, or nil at the end.
  public var next: [UInt8]?
  /// Whether no room was left out because what knows it is out of reach.
  public var isComplete: Bool

  public init(rooms: [(name: [UInt8], userCount: Int)], next: [UInt8]?, isComplete: Bool = true) {
    self.rooms = rooms
    self.next = next
    self.isComplete = isComplete
  }
}

/// A live node and the report that it renews its lease with.
public struct NodeEntry: Equatable, Sendable {
  public var id: [UInt8]
  /// A JSON object of counters, as `BrokerListener.nodeReport` made it.
  public var report: [UInt8]

  public init(id: [UInt8], report: [UInt8]) {
    self.id = id
    self.report = report
  }
}

/// What nodes know of each other: leases, rooms, revocations.
public protocol ClusterDirectory: AnyObject {
  /// Begins to work: connects, takes the node's lease, sweeps after dead nodes.
  func start()
  /// Ends in order: gives up the node's lease, so that no other node has to wait for it. Answers when that is done or failed.
  func stop(_ reply: @escaping () -> Void)
  /// Ends in order, and leaves the members that this node still has in their rooms for so many milliseconds: users who are
  /// back on another node by then have not left. Answers when that is done or failed.
  func handOver(forMilliseconds grace: Int, _ reply: @escaping () -> Void)
  /// Lists the live nodes, ascending by id.
  func nodes(_ reply: @escaping BrokerReply<[NodeEntry]>)
  /// Lists rooms whose name begins with `prefix`, after `cursor`, at most `limit`. Of several masters those in reach answer.
  func rooms(prefix: [UInt8], after cursor: [UInt8]?, limit: Int, _ reply: @escaping BrokerReply<RoomListing>)
  /// Keeps for every node, also beyond the end of this one, what is no longer to be accepted. Answers with the moment at
  /// which that ends, or nil when there are `Limits.revocationsMax` already.
  func revoke(_ subject: Revocation.Subject, forMilliseconds: UInt64, _ reply: @escaping BrokerReply<UInt64?>)
  /// Reads the revocations in force.
  func revocations(_ reply: @escaping BrokerReply<[Revocation]>)
}

extension ClusterDirectory {
  /// Stops: where there is no other node, members cannot be handed over.
  public func handOver(forMilliseconds grace: Int, _ reply: @escaping () -> Void) { stop(reply) }
}
