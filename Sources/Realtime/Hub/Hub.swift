import JSONCore

/// What operators may change about a hub.
public struct HubConfiguration: Sendable {
  /// This node's id, part of every connection's name.
  public var nodeID: [UInt8]
  /// Rooms a connection may be in.
  public var roomsPerConnectionMax = 256
  /// Client operations a second a connection may send.
  public var operationsPerSecond: Ceiling = 0
  /// Bytes of operations a second a connection may send.
  public var bytesPerSecond: Ceiling = 0
  /// Messages a second that clients may publish in a room by way of this node.
  public var roomPublishesPerSecond: Ceiling = 0
  /// Connections of one user on this node.
  public var connectionsPerUser: Ceiling = 0
  /// Bytes of one operation; however low the rate, one of them passes.
  public var messageBytesMax = 64 * 1024
  /// Milliseconds between protocol pings, announced in `welcome`.
  public var pingIntervalMilliseconds = 25_000
  /// Messages that a room keeps.
  public var historySize = 100

  public init(nodeID: [UInt8]) { self.nodeID = nodeID }
}

/// Counts for `/metrics` and for the node's report.
public struct HubCounters: Sendable {
  /// Messages taken from clients.
  public var messagesReceived: UInt64 = 0
  /// Messages known to be missing: read again from history, or lost for good.
  public var gapRecovered: UInt64 = 0
  public var gapLost: UInt64 = 0
  public var rooms = 0
  public var refusals = LimitRefusals()
}

/// The meeting point of a node: sessions, rooms, and what the broker brings.
///
/// One road for every message: a client's operation goes to the broker, and everyone, the sender's own node included,
/// hears it from there. The hub touches no socket and no clock; time comes in, bytes go out through `Delivery`.
/// Confined to the loop that created it.
public final class Hub {
  public let configuration: HubConfiguration
  let broker: any Broker
  /// Where bytes go. Set once, before the first session; not owned.
  public weak var delivery: (any Delivery)?
  /// Milliseconds since 1970. A closure so that tests own time.
  let clock: () -> UInt64

  /// Generations begin at random: a node that is started again under its old id must not repeat connections' names.
  var sessions = Slab<Session>(firstGeneration: .random(in: 0..<1 << 31))
  var rooms = NameTable<Room>()
  var users = NameTable<LocalUser>()
  var dirtyRooms: [Room] = []
  /// Operations of sessions that are still joining, and the sessions whose join has ended one way or the other.
  var postponed: [SlabID: [Postponed]] = [:]
  var settled: [SlabID] = []
  /// Rooms without local members, in the order in which their time is up.
  var lingering: [(deadline: UInt64, room: Room)] = []
  /// Whether the broker was lost and the clients were told.
  var isDegraded = false
  /// Rounds of comparing positions under way, and rooms that are being mended: at zero the outage is over.
  var reconciling = 0
  /// Rooms in which somebody waits for the stream to come further, and rooms that keep a recall: looked at by `expire`.
  var waitingRooms: [Room] = []
  var recallingRooms: [Room] = []
  var recoveringRooms = 0
  var spareBatches: [RoomBatch] = []
  /// Reused by every answer, so that an answer costs one copy and no allocation.
  var scratch: [UInt8] = []
  /// Whether the batch being delivered is the only one of this tick: then a member's next bytes are surely this batch,
  /// and it can be sent at once instead of being queued for the end of the tick.
  public private(set) var isDeliveringAlone = true
  public internal(set) var counters = HubCounters()
  /// Makes the node's report for its lease; the node sets it.
  public var makeReport: () -> [UInt8] = { Array("{}".utf8) }

  public init(_ configuration: HubConfiguration, broker: any Broker, clock: @escaping () -> UInt64) {
    self.configuration = configuration
    self.broker = broker
    self.clock = clock
    broker.listener = self
  }
}

// MARK: Fan-out

extension Hub {
  /// Delivers what the tick has gathered and lets arrivals in. The node calls it once at the end of each tick.
  public func flush() {
    // Delivering may dirty a room again only through a broker's answer, which then waits for the next call.
    var due: [Room] = []
    swap(&due, &dirtyRooms)
    isDeliveringAlone = due.count == 1
    defer { isDeliveringAlone = true }
    for room in due {
      room.isDirty = false
      deliverBatch(of: room)
      if !room.arrivals.isEmpty { admitArrivals(to: room) }
    }
    due.removeAll(keepingCapacity: true)
    if dirtyRooms.isEmpty { swap(&due, &dirtyRooms) }
    if !settled.isEmpty { settle() }
  }

  private func settle() {
    var ids: [SlabID] = []
    swap(&ids, &settled)
    performPostponed(of: ids)
  }

  /// Whether `flush` has anything to do.
  public var hasWork: Bool { !dirtyRooms.isEmpty || !settled.isEmpty }

  /// Whether a room is still the one of its name: a broker may answer after the room has ended.
  func isKnown(_ room: Room) -> Bool {
    let name = room.name
    return rooms.find(name.span) === room
  }

  func markDirty(_ room: Room) {
    guard !room.isDirty else { return }
    room.isDirty = true
    dirtyRooms.append(room)
  }

  /// The batch to append to, taken from the spare ones.
  func openBatch(of room: Room) -> RoomBatch {
    if let batch = room.batch { return batch }
    let batch = spareBatches.popLast() ?? RoomBatch()
    batch.epoch = room.stream?.position.epoch
    room.batch = batch
    markDirty(room)
    return batch
  }

  /// Delivers early when the batch has grown to its limit.
  func capBatch(of room: Room) {
    if let batch = room.batch, batch.bytes.count >= Limits.batchBytesMax { deliverBatch(of: room) }
  }

  func deliverBatch(of room: Room) {
    guard let batch = room.batch else { return }
    room.batch = nil
    for form in DeliveryForm.allCases {
      let roster = room.rosters[form: form]
      if !roster.isEmpty { delivery?.deliver(batch, of: room.name, to: roster, form: form) }
    }
    batch.removeAll()
    if spareBatches.count < 64 { spareBatches.append(batch) }
  }

  /// Gives memory back after a crowd has left.
  public func shrink() {
    sessions.shrink()
    rooms.shrink()
    users.shrink()
    rooms.forEach { $0.rosters.shrink() }
  }

  /// Does what is due by time: rooms that nobody came back to, recent messages that nobody asks for any more.
  /// The node calls it about once a second.
  public func expire() {
    let now = clock()
    var ended = 0
    while ended < lingering.count, lingering[ended].deadline <= now {
      let room = lingering[ended].room
      ended += 1
      guard room.subscriberCount == 0, isKnown(room) else { continue }
      rooms.remove(room.name)
      if room.phase == .recovering { recoveringRooms -= 1 }
      broker.unsubscribe(room: room.name)
    }
    lingering.removeFirst(ended)
    counters.rooms = rooms.count
    recallingRooms.removeAll { room in
      if let recall = room.recall, recall.expiresAt <= now { room.recall = nil }
      return room.recall == nil
    }
    // Whoever has waited for a second waits for a message that the subscription did not bring.
    var waiting: [Room] = []
    swap(&waiting, &waitingRooms)
    for room in waiting where room.phase == .live && !room.arrivals.isEmpty { recover(room) }
  }
}
