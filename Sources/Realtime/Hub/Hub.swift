import ClientProtocol
import JSONCore

/// What operators may change about a hub.
public struct HubConfiguration: Sendable {
  /// This node's id, part of every connection's name.
  public var nodeID: [UInt8]
  /// Rooms a connection may be in.
  public var roomsPerConnectionMax = 256
  /// Wildcards that the node hears at a time; 0: none.
  public var wildcardsMax = 64
  /// Client operations a second a connection may send.
  public var operationsPerSecond: Ceiling = 0
  /// Bytes of operations a second a connection may send.
  public var bytesPerSecond: Ceiling = 0
  /// Messages a second that clients may publish in a room by way of this node.
  public var roomPublishesPerSecond: Ceiling = 0
  /// Direct messages a second that clients may send to one user by way of this node.
  public var directsPerSecond: Ceiling = 0
  /// Who among clients may send them.
  public var clientDirects = DirectPolicy.everyone
  /// Rooms a second that nobody on this node is in, which a connection may join.
  public var newRoomsPerSecond: Ceiling = 0
  /// The same for all connections of the node together.
  public var nodeNewRoomsPerSecond: Ceiling = 0
  /// Connections of one user on this node.
  public var connectionsPerUser: Ceiling = 0
  /// Bytes of one operation; however low the rate, one of them passes.
  public var messageBytesMax = 64 * 1024
  /// Milliseconds between protocol pings, announced in `welcome`.
  public var pingIntervalMilliseconds = 25_000
  /// Messages that a room keeps.
  public var historySize = 100
  /// How rooms of some names behave.
  public var rules = RoomRules()
  /// Users in a room up to which each join and leave is announced; beyond it members receive summaries.
  public var presenceAnnounceMax = 500
  /// Milliseconds between two summaries.
  public var presenceIntervalMilliseconds = 1000
  /// Comings and goings in a room, of all users and of one user, that are announced one by one in that time.
  public var presenceNoticesMax = Limits.presenceNoticesMax
  public var presenceUserNoticesMax = Limits.presenceUserNoticesMax
  /// Milliseconds for which a user who has left a room is still there.
  public var leaveDebounceMilliseconds = 0
  /// Milliseconds within which a connection must have authenticated, when tokens are asked for.
  public var authTimeoutMilliseconds = 10_000

  public init(nodeID: [UInt8]) { self.nodeID = nodeID }
}

/// Counts for `/metrics` and for the node's report.
public struct HubCounters: Sendable {
  /// Messages taken from clients.
  public var messagesReceived: UInt64 = 0
  /// Messages known to be missing: read again from history, or lost for good.
  public var gapRecovered: UInt64 = 0
  public var gapLost: UInt64 = 0
  /// Messages that a slow reader did not get: dropped, and told by `gap` or `direct_dropped`; or replaced by a newer one of
  /// their key.
  public var slowDropped: UInt64 = 0
  public var slowConflated: UInt64 = 0
  /// How often a connection was read no further because the broker could not follow.
  public var readsPaused: UInt64 = 0
  /// Connections that were closed because their token was wrong, did not come, or has expired.
  public var authenticationFailures: UInt64 = 0
  public var rooms = 0
  public var refusals = LimitRefusals()
}

/// The meeting point of a node: sessions, rooms, and what the broker brings.
///
/// One road for every message: a client's operation goes to the broker, and everyone, the sender's own node included,
/// hears it from there. The hub touches no socket and no clock; time comes in, bytes go out through its transports.
/// Confined to the loop that created it.
public final class Hub {
  public let configuration: HubConfiguration
  let broker: any Broker
  /// Where bytes go, by wire format. Set once, before the first session; not owned.
  public var transports = Transports()
  /// Milliseconds since 1970. A closure so that tests own time.
  let clock: () -> UInt64
  let steady: () -> UInt64
  /// Runs something after so many milliseconds, followed by a `flush`. Set once, before the first session.
  public var after: (_ milliseconds: Int, _ action: @escaping () -> Void) -> Void = { _, _ in }

  /// Generations begin at random: a node that is started again under its old id must not repeat connections' names.
  var sessions = Slab<Session>(firstGeneration: .random(in: 0..<1 << 31))
  /// The session that was opened last, for the log.
  var newest: SlabID?
  var rooms = NameTable<Room>()
  var users = NameTable<LocalUser>()
  var wildcards = WildcardTable()
  var dirtyRooms: [Room] = []
  /// Operations of sessions that are still joining, and the sessions whose join has ended one way or the other.
  var postponed: [SlabID: [Postponed]] = [:]
  var settled: [SlabID] = []
  /// Sessions whose token is being judged, those that came without a user in the order in which their time is up, and the
  /// moments at which tokens expire.
  var authenticating = PendingAuthentications()
  var awaitingToken: [(deadline: UInt64, session: SlabID)] = []
  var deadlines = Deadlines()
  var revocations = RevocationList()
  var recentAllowances = RecentAllowances()
  var receiverRates = ReceiverRates()
  var droppedMessages = DroppedMessages()
  /// What all sessions together may still join of rooms that nobody is in; made with the first that counts.
  var newRooms: NewRoomAllowance?
  /// Rooms without local members, in the order in which their time is up.
  var lingering: [(deadline: UInt64, room: Room)] = []
  /// Whether the broker was lost and the clients were told.
  var isDegraded = false
  /// Whether `restored` waits for the end of the tick.
  var isRestorationDue = false
  /// Rounds of comparing positions under way, and rooms that are being mended: at zero the outage is over.
  var reconciling = 0
  /// Reads what may be large, a few at a time.
  let reads = ReadScheduler(flightsMax: Limits.readsMax, answeredAtOnceMax: Limits.readsAtOnceMax)
  /// Sessions whose connections have room again for what can wait.
  var roomy: [SlabID] = []
  /// Where the next session begins to go through its rooms, so that none of them is always the last.
  var catchUpRound = 0
  /// Members who wait for history that the broker could not give.
  var stalledCatchUps: [CatchUp] = []
  /// Bytes that rooms keep as recent messages.
  public internal(set) var recallBytes = 0
  /// Rooms in which somebody waits for the stream to come further, and rooms that keep a recall: looked at by `expire`.
  var waitingRooms: [Room] = []
  var recallingRooms: [Room] = []
  /// Rooms that may miss something because the broker refused to tell.
  var refusedRooms: [ObjectIdentifier: Room] = [:]
  var recoveringRooms = 0
  /// Rooms in which a grace runs, and the moment at which the broker is asked whether it is over.
  var graceChecks: [[UInt8]: UInt64] = [:]
  /// When presence is compared with the broker.
  var comparisons = ComparisonSchedule()
  var spareBatches: [RoomBatch] = []
  /// Bytes that rooms keep for members who are behind.
  public internal(set) var lagBytes = 0
  /// Bytes of operations that the broker has not answered, and whether they were too many and are not yet few again.
  var bytesInFlight = 0
  var isCongested = false
  /// Sessions whose connections are read no further for now.
  var paused: Set<SlabID> = []
  /// Reused by every answer, so that an answer costs one copy and no allocation.
  var scratch: [UInt8] = []
  /// Whether the batch being delivered is the only one of this tick: then a member's next bytes are surely this batch,
  /// and it can be sent at once instead of being queued for the end of the tick.
  public private(set) var isDeliveringAlone = true
  public internal(set) var counters = HubCounters()
  /// Whether sessions that end from now on stay in presence, for `Broker.handOver`: a drain ends them, and their users are
  /// on their way to another node. Who leaves a room leaves it all the same.
  public var isHandingOver = false
  /// Sessions that have ended so.
  public internal(set) var handedOver = 0
  /// Those who are informed of what happens here. Changed before the first session only.
  public var observers = Observers()
  /// Those who may forbid what clients do. Changed before the first session only.
  public var authorisers = Authorisers()
  /// Makes the node's report for its lease; the node sets it.
  public var makeReport: () -> [UInt8] = { Array("{}".utf8) }
  /// Judges tokens, at once or later; the node sets it. Nil: no tokens are asked for, names are believed.
  public var judgeToken: ((_ token: [UInt8], _ conclude: @escaping (TokenVerdict) -> Void) -> Void)?

  /// The actions that clients may request. Changed before the first session only.
  public var actions = ActionHandlers()

  /// - Parameters:
  ///   - clock: milliseconds since 1970, for time stamps and the expiry of tokens and revocations.
  ///   - steady: milliseconds that no one can set, for everything that lasts so long; nil: `clock`.
  public init(
    _ configuration: HubConfiguration, broker: any Broker, clock: @escaping () -> UInt64,
    steady: (() -> UInt64)? = nil
  ) {
    self.configuration = configuration
    self.broker = broker
    self.clock = clock
    self.steady = steady ?? clock
    broker.listener = self
    connectReads()
    registerBuiltInActions()
  }
}

// MARK: Fan-out

extension Hub {
  /// Delivers what the tick has gathered and lets arrivals in. The node calls it once at the end of each tick.
  public func flush() {
    reads.tickBegins()
    // Delivering may dirty a room again only through a broker's answer, which then waits for the next call.
    var due: [Room] = []
    swap(&due, &dirtyRooms)
    isDeliveringAlone = due.count == 1
    defer { isDeliveringAlone = true }
    for room in due {
      room.isDirty = false
      if room.rule.throttleMilliseconds > 0, room.batch != nil { pace(room) }
      if !room.arrivals.isEmpty { announceArrivals(to: room) }
      deliverBatch(of: room)
      if !room.arrivals.isEmpty { admitArrivals(to: room) }
      if !room.catchUps.isEmpty { advanceCatchUps(of: room) }
    }
    due.removeAll(keepingCapacity: true)
    if dirtyRooms.isEmpty { swap(&due, &dirtyRooms) }
    if !roomy.isEmpty { continueReads() }
    if isRestorationDue { sayRestored() }
    if !settled.isEmpty { settle() }
  }

  private func settle() {
    var ids: [SlabID] = []
    swap(&ids, &settled)
    performPostponed(of: ids)
  }

  /// Whether `flush` has anything to do.
  public var hasWork: Bool {
    isRestorationDue || !dirtyRooms.isEmpty || !settled.isEmpty || !roomy.isEmpty || reads.waitsForTick
  }

  /// Whether a room is still the one of its name: a broker may answer after the room has ended.
  func isKnown(_ room: Room) -> Bool {
    let name = room.name
    return rooms.find(name.span) === room
  }

  func markDirty(_ room: Room) {
    guard !room.isDirty else { return }
    room.isDirty = true
    // A paced room is listed when its interval ends.
    if !room.isPaced { dirtyRooms.append(room) }
  }

  /// The batch to append to, taken from the spare ones.
  ///
  /// - Parameter membersOnly: whether what follows is not for those who hear the room through a wildcard. A batch is for
  ///   one audience, so the one before is delivered when it was for the other.
  func openBatch(of room: Room, membersOnly: Bool = false) -> RoomBatch {
    if room.wildcardsRevision != wildcards.revision { _ = wildcards(of: room) }
    if let batch = room.batch {
      if batch.isForMembersOnly == membersOnly { return batch }
      if room.wildcards.isEmpty {
        batch.isForMembersOnly = false
        return batch
      }
      deliverBatch(of: room)
    }
    let batch = spareBatches.popLast() ?? RoomBatch()
    batch.isForMembersOnly = membersOnly
    batch.epoch = room.stream?.position.epoch
    room.batch = batch
    markDirty(room)
    return batch
  }

  /// Appends what has no offset to a room's batch, for its own members.
  func appendNotice(_ event: ServerEvent, to room: Room, except origin: SlabID? = nil) {
    openBatch(of: room, membersOnly: !wildcards(of: room).isEmpty).append(event, origin: origin)
    capBatch(of: room)
  }

  /// Delivers early when the batch has grown to its limit.
  func capBatch(of room: Room) {
    guard let batch = room.batch, batch.bytes.count >= Limits.batchBytesMax else { return }
    if room.rule.conflatesFlushes { conflate(batch, of: room) }
    // Half, so that a batch of many keys is not conflated again for every message.
    if batch.bytes.count >= Limits.batchBytesMax / 2 { deliverBatch(of: room) }
  }

  func deliverBatch(of room: Room) {
    guard let batch = room.batch else { return }
    if isBacklog(batch, of: room) { shed(batch, of: room) }
    room.batch = nil
    if room.rule.conflatesFlushes { conflate(batch, of: room) }
    if let lag = room.lag { keepForLag(batch, lag, room.rule) }
    batch.isForWildcards = !room.wildcards.isEmpty && room.rule.mayJoin && !batch.isForMembersOnly
    deliver(batch, of: room, to: room.rosters, sparing: room.rule.sparesSlowReaders)
    if !room.catchUps.isEmpty { forwardNotices(of: batch, in: room) }
    batch.isBacklog = false
    if batch.isForWildcards { deliverToWildcards(batch, of: room) }
    recycle(batch)
  }

  func recycle(_ batch: RoomBatch) {
    batch.removeAll()
    if spareBatches.count < 64 { spareBatches.append(batch) }
  }

  func deliver(_ batch: RoomBatch, of room: Room, to rosters: Rosters, sparing: Bool = false) {
    for form in DeliveryForm.allCases {
      let roster = rosters[form: form]
      if !roster.isEmpty { transports[form]?.deliver(batch, of: room.name, to: roster, form: form, sparing: sparing) }
    }
  }

  /// Ends a room's life on this node. What it has gathered is delivered first.
  func end(_ room: Room) {
    deliverBatch(of: room)
    rooms.remove(room.name)
    observers.report(.rooms, .roomEnded(room.name))
    if room.phase == .recovering { recoveringRooms -= 1 }
    broker.unsubscribe(room: room.name)
    room.isSubscribed = false
  }

  /// Gives memory back after a crowd has left.
  public func shrink() {
    sessions.shrink()
    deadlines.shrink()
    rooms.shrink()
    users.shrink()
    receiverRates.shrink(at: steady())
    spareBatches = []
    scratch = []
    rooms.forEach { $0.rosters.shrink() }
  }

  /// Does what is due by time: rooms that nobody came back to, recent messages that nobody asks for any more.
  /// The node calls it about once a second.
  public func expire() {
    let date = clock()
    endExpiredSessions(date)
    revocations.expire(at: date)
    let now = steady()
    endUnidentifiedSessions(now)
    recentAllowances.expire(at: now)
    var ended = 0
    while ended < lingering.count, lingering[ended].deadline <= now {
      let room = lingering[ended].room
      ended += 1
      guard room.subscriberCount == 0, isKnown(room) else { continue }
      if wildcards(of: room).isEmpty { end(room) } else { keepForWildcards(room) }
    }
    lingering.removeFirst(ended)
    expireWildcards(at: now)
    comparePresence(at: now)
    counters.rooms = rooms.count
    expireRecalls(at: now)
    retryStalledCatchUps()
    // Whoever has waited for a second waits for a message that the subscription did not bring.
    var waiting: [Room] = []
    swap(&waiting, &waitingRooms)
    for room in waiting where room.phase == .live && !room.arrivals.isEmpty { recover(room) }
    recoverRefused()
  }
}
