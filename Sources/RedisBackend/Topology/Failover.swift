/// What a node does about one master that may not know all that was acknowledged: after a new connection, a new map, a lost
/// canary key. Decisions and the little that they depend on; pure.
struct Failover {
  /// How the master is found.
  enum Mode { case single, sentinels, cluster }

  /// What a master returns about itself.
  struct Identity: Equatable {
    /// The process; nil: not known.
    var run: [UInt8]?
    /// Behind sentinels the replication id of its data; nil: not known.
    var replicationID: [UInt8]?
  }

  /// What is to be done.
  struct Actions: OptionSet {
    let rawValue: UInt8

    /// Forget the epochs of rooms, and ask for the leader epoch.
    static let forgetEpochs = Actions(rawValue: 1)
    /// Publish nothing for a moment, in which every node compares.
    static let freezePublishes = Actions(rawValue: 2)
    /// Compare what was delivered with what the master has.
    static let compareRooms = Actions(rawValue: 4)
    /// Assert this node's presence again.
    static let reassertPresence = Actions(rawValue: 8)
    /// Remove what the master has of this node that is not here.
    static let reconcilePresence = Actions(rawValue: 16)
    /// Scan for members of nodes without a lease.
    static let scanOrphans = Actions(rawValue: 32)
    /// Give up all connections.
    static let reconnect = Actions(rawValue: 64)
  }

  let mode: Mode
  /// Whether nothing is published for now.
  private(set) var isPublishFrozen = false
  /// Whether something may have been missed since its rooms were compared.
  private(set) var isComparisonDue: Bool
  /// Whether it may hold members of this node that have left.
  private(set) var isReconciliationDue = false
  /// What marks in a cluster the process that a message was sent to; empty when that is not known.
  private(set) var masterTag: [UInt8] = []
  /// Whether another master held its slots before, which may have acknowledged more than it passed on.
  private var hasTakenOver: Bool
  /// Whether publishes freeze with the next connection.
  private var mustFreeze = false
  /// The process that served last; nil: not known, or none.
  private var servingRun: [UInt8]?
  /// Whether it served before, at whatever address.
  private var hasServed = false

  /// - Parameter hasTakenOver: whether it was added by a later map of the cluster than the first.
  init(_ mode: Mode, hasTakenOver: Bool = false) {
    self.mode = mode
    self.hasTakenOver = hasTakenOver
    isComparisonDue = mode == .cluster
  }

  // MARK: Events

  /// The connection for commands is open, and the scripts are loaded.
  mutating func connected(_ identity: Identity) -> Actions {
    // A master that does not return its process cannot be known to be the same.
    let isOther = hasServed && (identity.run == nil || identity.run != servingRun)
    var actions: Actions = []
    if hasTakenOver || isOther { actions.formUnion(dataLost()) }
    if mode == .sentinels { actions.insert(.forgetEpochs) }
    // In a leader epoch of its own no message gets the position of another one.
    let hasLeaderEpoch = mode == .sentinels && identity.run != nil && identity.replicationID != nil
    if isOther, !hasLeaderEpoch { mustFreeze = true }
    (servingRun, hasServed, hasTakenOver) = (identity.run, true, false)
    masterTag = mode == .cluster ? MasterTag.of(run: identity.run) : []
    if mustFreeze { actions.formUnion(freeze()) }
    return actions
  }

  /// The connection for commands was lost.
  mutating func disconnected() {
    isPublishFrozen = false
    isComparisonDue = true
  }

  /// The subscribed connection was lost.
  mutating func subscriptionsLost() { isComparisonDue = true }

  /// A new map of the cluster gave it all slots of another master, or some of one that is away.
  mutating func mapChanged(isServing: Bool) -> Actions {
    mustFreeze = true
    return isServing ? freeze() : []
  }

  /// The key that this node left there is gone: FLUSHALL closes no connection.
  mutating func canaryMissing() -> Actions { dataLost() }

  /// The time in which nothing is published has passed.
  mutating func freezeEnded() { isPublishFrozen = false }

  private mutating func dataLost() -> Actions {
    isReconciliationDue = true
    // With one master a lost lease is what starts the scan.
    return mode == .cluster
      ? [.reassertPresence, .reconcilePresence, .scanOrphans] : [.reassertPresence, .reconcilePresence]
  }

  private mutating func freeze() -> Actions {
    mustFreeze = false
    isPublishFrozen = true
    return [.freezePublishes, .compareRooms]
  }

  // MARK: Work that waits

  /// Has the presence of this node reconciled there.
  mutating func requireReconciliation() { isReconciliationDue = true }

  /// Whether presence is to be reconciled; counts it as done.
  mutating func takeReconciliation() -> Bool {
    defer { isReconciliationDue = false }
    return isReconciliationDue
  }

  /// Whether rooms are to be compared; counts it as done.
  mutating func takeComparison() -> Bool {
    defer { isComparisonDue = false }
    return isComparisonDue
  }

  // MARK: The node

  /// What follows from how the lease stood at a renewal.
  static func renewed(_ status: LeaseRenewer.Status) -> Actions {
    switch status {
    case .held, .taken: []
    case .forgotten: [.reassertPresence, .scanOrphans]
    case .swept: .reassertPresence
    }
  }

  /// What follows from a pause of this process: what its connections hold may come from masters that were replaced since.
  static var processWasPaused: Actions { .reconnect }
}
