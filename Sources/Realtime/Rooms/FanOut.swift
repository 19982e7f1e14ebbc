import ClientProtocol
import JSONCore

/// Gathers what a tick brings for a room, and delivers it at the end of the tick to the room's members and to the members of
/// the wildcards that match it.
/// Confined to the loop that created its hub.
final class FanOut {
  private let context: HubContext
  private let wildcards: WildcardTable
  private let batches: BatchQueue
  private let slowConsumers: SlowConsumers
  private let catchUps: CatchUpDelivery
  /// Notes that a batch of a room that is polled was delivered. Set before the first session.
  var polledRoomMoved: (Room) -> Void = { _ in }
  /// Which sessions a batch has reached already; all false between deliveries. Grows to the number of sessions.
  private var isReached: [Bool] = []

  init(
    _ context: HubContext, wildcards: WildcardTable, batches: BatchQueue, slowConsumers: SlowConsumers,
    catchUps: CatchUpDelivery
  ) {
    self.context = context
    self.wildcards = wildcards
    self.batches = batches
    self.slowConsumers = slowConsumers
    self.catchUps = catchUps
  }

  /// The batch to append to, taken from the spare ones.
  ///
  /// - Parameter membersOnly: whether what follows is not for members of wildcards. A batch is for
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
    let batch = batches.takeSpare()
    batch.isForMembersOnly = membersOnly
    batch.epoch = room.stream?.position.epoch
    batch.openedAt = room.stream?.position.offset ?? 0
    room.batch = batch
    batches.markDirty(room)
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
    if catchUps.isBacklog(batch, of: room) { catchUps.shed(batch, of: room) }
    room.batch = nil
    if room.rule.conflatesFlushes { conflate(batch, of: room) }
    if let lag = room.lag { slowConsumers.keepForLag(batch, lag, room.rule) }
    batch.isForWildcards = !room.wildcards.isEmpty && room.rule.mayJoin && !batch.isForMembersOnly
    deliver(batch, of: room, to: room.rosters, sparing: room.rule.sparesSlowReaders)
    if !room.catchUps.isEmpty { catchUps.forwardNotices(of: batch, in: room) }
    batch.isBacklog = false
    if batch.isForWildcards { deliverToWildcards(batch, of: room) }
    if !batch.traces.isEmpty {
      context.recordDelivery(of: batch, in: room.name, connections: receiverCount(of: batch, room))
    }
    batches.recycle(batch)
    if room.isPolled { polledRoomMoved(room) }
  }

  func deliver(_ batch: RoomBatch, of room: Room, to rosters: Rosters, sparing: Bool = false) {
    for format in WireFormat.allCases {
      let roster = rosters[format: format]
      if !roster.isEmpty {
        context.transports[format]?.deliver(batch, of: room.name, to: roster, format: format, sparing: sparing)
      }
    }
  }

  /// Delivers it to the members in the order of the room's channel.
  func deliver(ephemeral bytes: Span<UInt8>, in room: Room) {
    guard let envelope = Envelope(bytes) else { return }
    let origin = envelope.origin.count > 1 ? context.localSession(named: bytes.extracting(envelope.origin)) : nil
    let batch = openBatch(of: room, membersOnly: !wildcards(of: room).isEmpty)
    batch.append(.message, offset: 0, origin: origin, acceptedAt: 0, isEphemeral: true) {
      MessageEncoder.ephemeral(envelope, in: bytes, room: room, to: &$0)
    }
    if !envelope.trace.isEmpty { context.note(envelope.traceContext(in: bytes), in: batch) }
    capBatch(of: room)
  }

  /// Holds a room's next flush back until its interval has passed. Joins in that time wait with it, because a
  /// place in the stream can be given only where a flush ends.
  func pace(_ room: Room) {
    guard receiverCount(room) > 0 || !wildcards(of: room).isEmpty else { return }
    room.isPaced = true
    context.after(room.rule.throttleMilliseconds) { [weak self] in
      room.isPaced = false
      self?.batches.listAfterInterval(room)
    }
  }

  /// Reduces a batch to the newest message of each key.
  private func conflate(_ batch: RoomBatch, of room: Room) {
    context.counters.slowConflated += UInt64(batch.conflate(by: room.rule.key) * receiverCount(room))
  }

  private func receiverCount(_ room: Room) -> Int { FanOut.count(room.rosters) }

  /// The connections that a batch goes to; members of several wildcards count several times.
  private func receiverCount(of batch: RoomBatch, _ room: Room) -> Int {
    let wildcards = batch.isForWildcards ? room.wildcards : []
    return wildcards.reduce(receiverCount(room)) { $0 + FanOut.count($1.rosters) }
  }

  private static func count(_ rosters: Rosters) -> Int {
    WireFormat.allCases.reduce(0) { $0 + rosters[format: $1].count }
  }

  /// The wildcards that match a room's name. They are looked for once after each change of the node's wildcards.
  func wildcards(of room: Room) -> [Wildcard] {
    if room.wildcardsRevision != wildcards.revision { findWildcards(of: room) }
    return room.wildcards
  }

  private func findWildcards(of room: Room) {
    let name = room.name
    let matching = wildcards.matching(name.span)
    // What the room has gathered is for the wildcards of that time, and may hold notices for its members only.
    if room.batch != nil, !matching.elementsEqual(room.wildcards, by: ===) { deliverBatch(of: room) }
    room.wildcards = matching
    room.wildcardsRevision = wildcards.revision
  }

  /// Gives a room's batch to the members of its wildcards: to each once, however many of them it is in, and to none that
  /// has it as the room's own member.
  private func deliverToWildcards(_ batch: RoomBatch, of room: Room) {
    let isOverlapping = room.wildcards.count > 1 || !room.rosters.isEmpty || room.lag != nil || !room.catchUps.isEmpty
    guard isOverlapping else {
      if let wildcard = room.wildcards.first { deliver(batch, of: room, to: wildcard.rosters) }
      return
    }
    let missing = Int(context.sessions.end) - isReached.count
    if missing > 0 { isReached.append(contentsOf: repeatElement(false, count: missing)) }
    mark(room.rosters, true)
    markLagging(in: room, true)
    for wildcard in room.wildcards {
      var rest = Rosters()
      for format in WireFormat.allCases {
        rest[format: format] = wildcard.rosters[format: format].filter { !isReached[Int($0.session)] }
      }
      mark(rest, true)
      deliver(batch, of: room, to: rest)
    }
    mark(room.rosters, false)
    markLagging(in: room, false)
    for wildcard in room.wildcards { mark(wildcard.rosters, false) }
  }

  /// The room keeps its messages for lagging members; a member that catches up reads them.
  private func markLagging(in room: Room, _ value: Bool) {
    for member in room.lag?.members ?? [] { isReached[Int(member.session)] = value }
    for member in room.catchUps.all { isReached[Int(member.session.index)] = value }
  }

  private func mark(_ rosters: Rosters, _ value: Bool) {
    for format in WireFormat.allCases {
      for entry in rosters[format: format] { isReached[Int(entry.session)] = value }
    }
  }
}
