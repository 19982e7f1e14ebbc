import ClientProtocol
import JSONCore

/// What arrives from the broker in rooms, in order, and how gaps are filled.
///
/// One path for a live message, a message read from history, and the resumption of a client.
/// Confined to the loop that created its hub.
final class RoomStreams {
  private let context: HubContext
  private let reads: SessionReads
  private let caches: RecoveryCaches
  private let batches: BatchQueue
  private let slowConsumers: SlowConsumers
  private let catchUps: CatchUpDelivery
  private let fanOut: FanOut
  /// Whether the broker was lost and `degraded` was sent.
  private(set) var isDegraded = false
  /// Whether `restored` waits for the end of the tick.
  private(set) var isRestorationDue = false
  /// Rounds of comparing positions under way, and rooms that recover: at zero the outage is over.
  private var reconciling = 0
  private var recoveringRooms = 0
  /// Rooms that may miss something because the broker refused to answer.
  private var refusedRooms: [ObjectIdentifier: Room] = [:]

  init(
    _ context: HubContext, reads: SessionReads, caches: RecoveryCaches, batches: BatchQueue,
    slowConsumers: SlowConsumers, catchUps: CatchUpDelivery, fanOut: FanOut
  ) {
    self.context = context
    self.reads = reads
    self.caches = caches
    self.batches = batches
    self.slowConsumers = slowConsumers
    self.catchUps = catchUps
    self.fanOut = fanOut
  }

  func receive(_ room: Room, _ position: Position, _ envelope: Span<UInt8>) {
    if !room.isLive { beginStream(of: room, with: position) }
    guard case .live(var stream) = room.phase else { return room.hold(position, envelope) }
    let verdict = stream.receive(position)
    if verdict == .next { room.phase = .live(stream) }
    switch verdict {
    case .next: append(envelope, at: position.offset, to: room)
    case .repeated: break
    case .skipped, .newEpoch:
      room.hold(position, envelope)
      recover(room)
    }
  }

  /// Appends a message that is next in the room's stream to its batch, and to what resuming clients are given.
  private func append(_ envelope: Span<UInt8>, at offset: UInt64, to room: Room) {
    guard let parsed = Envelope(envelope) else { return }
    let batch = fanOut.openBatch(of: room)
    if batch.epoch == nil { batch.epoch = room.stream?.position.epoch }
    let origin = parsed.origin.count > 1 ? context.localSession(named: envelope.extracting(parsed.origin)) : nil
    let kind: EventKind = parsed.kind == .binary ? .binaryMessage : .message
    let start = batch.bytes.count
    room.lastTimestamp = JSONNumber.unsigned(envelope.extracting(parsed.timestamp)) ?? 0
    batch.append(
      kind, offset: offset, origin: origin, acceptedAt: room.lastTimestamp
    ) { MessageEncoder.message(parsed, in: envelope, offset: offset, room: room, to: &$0) }
    if !parsed.trace.isEmpty { context.note(parsed.traceContext(in: envelope), in: batch) }
    if room.recoveryCache != nil {
      let payload = Array(batch.bytes[start...])
      caches.change(of: room) {
        $0.append(RecoveryCache.Message(offset: offset, kind: kind, payload: payload, origin: origin))
      }
    }
    fanOut.capBatch(of: room)
  }

  func startStream(of room: Room, at position: Position) {
    switch room.phase {
    case .entering:
      room.phase = .live(RoomStream(at: position))
      for held in room.takeHeld() { receive(room, held.position, held.envelope.span) }
      if room.mustCompare { recover(room) }
      room.mustCompare = false
    case .live(let stream): if stream.position.epoch != position.epoch { recover(room) }
    case .subscribing, .recovering: break
    }
  }

  /// Begins the stream of a room with a message that came before anyone here had entered it, if wildcards match the room:
  /// their members must get this message, whatever position the room is entered at.
  private func beginStream(of room: Room, with position: Position) {
    guard !room.isRecovering, !fanOut.wildcards(of: room).isEmpty else { return }
    room.phase = .live(RoomStream(at: Position(epoch: position.epoch, offset: max(position.offset, 1) - 1)))
    room.mustCompare = false
    for held in room.takeHeld() { receive(room, held.position, held.envelope.span) }
  }

  /// Reads what is missing and delivers it in order to all local members. Nobody is disconnected.
  /// A second call starts again: only the last call's answers count.
  func recover(_ room: Room) {
    hold(room)
    room.recoveries &+= 1
    let round = room.recoveries
    let request = ReadScheduler.Request(
      isShared: false,
      key: { [weak self] in
        guard let self, context.isKnown(room), room.recoveries == round, let stream = room.stream else { return nil }
        let query = HistoryQuery.after(stream.position.offset, limit: Limits.historyReadMax)
        return .history(room: room.name, query, bytesMax: Limits.historyPageBytesMax)
      },
      finish: { [weak self] result in
        guard let self, let result, context.isKnown(room), room.recoveries == round else { return }
        guard case .success(.page(let page)) = result else { return noteRefusal(in: room) }
        mend(room, with: page)
      })
    reads.add(request, for: .room(ObjectIdentifier(room)))
  }

  /// Holds what comes next in a room, whose stream must be known.
  private func hold(_ room: Room) {
    guard case .live(let stream) = room.phase else { return }
    room.phase = .recovering(stream)
    recoveringRooms += 1
  }

  /// The broker did not answer what a room needs to continue. An unreachable one is asked again when it is back, by
  /// `brokerRestored`; one that is reachable and refuses, because it is busy for example, by `recoverRefused`.
  private func noteRefusal(in room: Room) { refusedRooms[ObjectIdentifier(room)] = room }

  /// Asks again about the rooms for which the broker refused to answer. Called by `expire`.
  func recoverRefused() {
    guard !refusedRooms.isEmpty, context.broker.isWhole else { return }
    let refused = refusedRooms.values
    refusedRooms = [:]
    for room in refused where context.isKnown(room) && room.stream != nil {
      recover(room)
    }
  }

  private func mend(_ room: Room, with page: HistoryPage) {
    guard let stream = room.stream else { return }
    guard page.position.epoch == stream.position.epoch else { return follow(page, from: stream.position, in: room) }
    room.lineage = page.lineage
    deliver(page, to: room)
    if page.hasMore { return recover(room) }
    lose(through: page.position.offset, in: room)
    resume(room)
  }

  /// Delivers what a page has of the room's stream, up to an offset.
  func deliver(_ page: HistoryPage, upTo last: UInt64 = .max, to room: Room) {
    guard let start = room.stream?.position else { return }
    for entry in page.entries where entry.offset > start.offset && entry.offset <= last {
      lose(through: entry.offset - 1, in: room)
      guard room.receive(start.at(entry.offset)) == .next else { continue }
      context.counters.gapRecovered += 1
      append(entry.envelope.span, at: entry.offset, to: room)
    }
  }

  /// Sends the members a `gap` for messages that history no longer holds.
  private func lose(through offset: UInt64, in room: Room) {
    guard let lost = room.skip(to: offset) else { return }
    context.counters.gapLost += UInt64(lost.count)
    room.lastTimestamp = 0
    caches.drop(of: room)
    fanOut.openBatch(of: room).append(gap: lost, roomJSON: room.nameJSON)
  }

  /// Another master has begun another epoch, or the counter was lost. What it has of this epoch is delivered first.
  private func follow(_ page: HistoryPage, from known: Position, in room: Room) {
    if page.position.offset == 0, page.lineage.isEmpty { return beginAnew(room) }
    let shared = page.shared(with: known, lineage: room.lineage ?? [])
    guard let epochEnd = page.lineage.first(where: { $0.position.epoch == known.epoch }),
      known.offset <= epochEnd.position.offset
    else {
      // Without a common lineage, what stands before the newest epoch may have been delivered. A former master that comes back
      // has what its successor lacked, and the members were given it then.
      let start = max(shared ?? page.lineage.first?.position.offset ?? 0, page.given(room.former) ?? 0)
      return begin(
        Position(epoch: page.position.epoch, offset: start), of: page, isWhole: false, isShared: shared == start,
        in: room)
    }
    let isWhole = room.isWhole(in: page)
    let end = epochEnd.position.offset
    deliver(page, upTo: end, to: room)
    if page.hasMore, let stream = room.stream, stream.position.offset < end { return recover(room) }
    lose(through: end, in: room)
    begin(Position(epoch: page.position.epoch, offset: end), of: page, isWhole: isWhole, in: room)
  }

  /// The broker knows nothing of a room that has members here, and reading it gives it no epoch that lasts: it gets one.
  private func beginAnew(_ room: Room) {
    let round = room.recoveries
    context.broker.begin(room: room.name) { [weak self] result in
      guard let self, self.context.isKnown(room), room.recoveries == round else { return }
      guard case .success(let position) = result else { return self.noteRefusal(in: room) }
      let page = HistoryPage(position: position, entries: [])
      self.begin(Position(epoch: position.epoch, offset: 0), of: page, isWhole: false, in: room)
    }
  }

  /// Begins another epoch. The members learn it by an unasked `joined`, then what history has of it. The stream moves on
  /// only when all that is known, so that a recovery which overtakes this one finds the room as it was.
  ///
  /// - Parameters:
  ///   - isWhole: whether nothing was missed.
  ///   - isShared: whether the two epochs have the same messages up to `start`.
  private func begin(_ start: Position, of page: HistoryPage, isWhole: Bool, isShared: Bool = true, in room: Room) {
    // As announced to the members, not as the broker knows: it may not know everybody again yet.
    let userCount = context.userCount(of: room)
    // The old epoch's batch must not carry the new one's positions.
    fanOut.deliverBatch(of: room)
    room.begin(at: start, lineage: page.lineage)
    slowConsumers.beginLagEpoch(room, at: start.offset, isWhole: isWhole)
    if !isWhole { caches.drop(of: room) }
    catchUps.beginCatchUpEpoch(room, at: start.offset, isWhole: isWhole, isShared: isShared)
    fanOut.openBatch(of: room).append(
      epoch: .joined(roomJSON: room.nameJSON, start, userCount: userCount, recovered: isWhole))
    recover(room)
  }

  /// Returns to live delivery with what was held meanwhile.
  private func resume(_ room: Room) {
    guard case .recovering(let stream) = room.phase else { return }
    recoveringRooms -= 1
    room.phase = .live(stream)
    var isForeign = false
    for held in room.takeHeld() {
      if held.position.epoch == room.stream?.position.epoch {
        receive(room, held.position, held.envelope.span)
      } else {
        isForeign = true
      }
    }
    batches.markDirty(room)
    announceRestored()
    if isForeign { verify(room) }
  }

  /// What was held is of another epoch than history: a late message of the one before, or the first of a new
  /// one. Recovering for each would never end; the broker's word on where the room stands decides.
  func verify(_ room: Room) {
    context.broker.position(room: room.name) { [weak self] result in
      guard let self, self.context.isKnown(room), room.isLive else { return }
      guard case .success(let position) = result else { return self.noteRefusal(in: room) }
      self.recoverIfBehind(room, position)
    }
  }

  private func recoverIfBehind(_ room: Room, _ position: Position) {
    guard let current = room.stream?.position else { return }
    if position.epoch != current.epoch || position.offset > current.offset {
      recover(room)
    } else if room.isRecovering {
      // An answer to an earlier recovery that is still to come is ignored.
      room.recoveries &+= 1
      resume(room)
    }
  }

  func brokerLost() {
    guard !isDegraded else { return }
    isDegraded = true
    context.sendToEverySession(.degraded)
  }

  /// What comes next in these rooms is held: after a failover it may be another stream than the one known here.
  func subscriptionsLost(where isAffected: RoomFilter?) {
    context.rooms.forEach { room in
      if isAffected?(room.name) ?? true { hold(room) }
    }
  }

  func brokerRestored(where isAffected: RoomFilter?) {
    reconciling += 1
    reconcile(isAffected) { [weak self] in
      self?.reconciling -= 1
      self?.announceRestored()
    }
  }

  /// Once every room was compared and those that lagged have recovered, `restored` is sent: at the end of
  /// the tick, after the messages that they recovered.
  private func announceRestored() {
    isRestorationDue = isDegraded && context.broker.isWhole && reconciling == 0 && recoveringRooms == 0
  }

  /// Sends `restored` if it still holds.
  func sayRestored() {
    announceRestored()
    guard isRestorationDue else { return }
    isRestorationDue = false
    isDegraded = false
    context.sendToEverySession(.restored)
  }

  /// Compares the positions of rooms in one pipelined round; those that lag recover.
  func reconcile(_ isAffected: RoomFilter?, _ done: @escaping () -> Void) {
    var awaited = 1
    let finish = {
      awaited -= 1
      if awaited == 0 { done() }
    }
    context.rooms.forEach { room in
      guard isAffected?(room.name) ?? true else { return }
      if room.isEntering { room.mustCompare = true }
      guard let stream = room.stream else { return }
      // What was held may be missing where the room is compared with. Whatever is there is read again.
      if room.isRecovering { _ = room.takeHeld() }
      awaited += 1
      context.broker.compare(room: room.name, with: room.end(of: stream)) { [weak self] result in
        defer { finish() }
        guard let self, self.context.isKnown(room) else { return }
        guard case .success(let position) = result else { return self.noteRefusal(in: room) }
        self.recoverIfBehind(room, position)
      }
    }
    finish()
  }

  /// Forgets a room that has ended.
  func forget(_ room: Room) { if room.isRecovering { recoveringRooms -= 1 } }
}
