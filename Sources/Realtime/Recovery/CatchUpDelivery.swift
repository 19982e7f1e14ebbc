import ClientProtocol
import JSONCore

/// Serves members who are not where their room is: they resume, or could not take a backlog.
///
/// Each of them is given in order what it has not got, from the recovery cache where the node has it, otherwise from
/// history, page by page, as fast as its connection takes it. It enters the roster at the end of a tick, once it is where
/// the room is.
/// Confined to the loop that created its hub.
final class CatchUpDelivery {
  private let context: HubContext
  private let reads: SessionReads
  private let caches: RecoveryCaches
  private let batches: BatchQueue
  private let slowConsumers: SlowConsumers
  /// Asks the broker where a room stands, after a page of another epoch. Set before the first session.
  var verify: (Room) -> Void = { _ in }
  /// Where the next session begins to go through its rooms, so that none of them is always the last.
  private var catchUpRound = 0
  /// Members who wait for history that the broker could not give.
  private var stalledCatchUps: [CatchUp] = []

  init(
    _ context: HubContext, reads: SessionReads, caches: RecoveryCaches, batches: BatchQueue,
    slowConsumers: SlowConsumers
  ) {
    self.context = context
    self.reads = reads
    self.caches = caches
    self.batches = batches
    self.slowConsumers = slowConsumers
  }

  /// Begins to give a member of a room everything after an offset, in the room's epoch.
  func resume(_ session: UInt32, _ index: Int, since offset: UInt64, began: UInt64, firstPage page: HistoryPage?) {
    let room = context.sessions[session].subscriptions[index].room
    let member = beginCatchUp(session, index, from: offset)
    member.began = began
    if let page, room.recoveryCache?.messages(after: offset) == nil { take(page, for: member) } else { advance(member) }
  }

  /// Takes a member out of the roster or of the lagging members, and has it begin after an offset.
  private func beginCatchUp(_ session: UInt32, _ index: Int, from offset: UInt64) -> CatchUp {
    endCatchUp(session, index)
    let subscription = context.sessions[session].subscriptions[index]
    let room = subscription.room
    if let place = subscription.place {
      if subscription.isLagging {
        slowConsumers.removeFromLag(room, place: place)
      } else {
        context.removeFromRoster(room, format: context.sessions[session].format, place: place)
      }
    }
    let member = CatchUp(session: context.sessions.id(at: session), room: room, offset: offset)
    context.sessions[session].subscriptions[index].place = nil
    context.sessions[session].subscriptions[index].isLagging = false
    context.sessions[session].subscriptions[index].isCatchingUp = true
    room.catchUps.add(member)
    caches.keep(for: room)
    return member
  }

  /// What a session still has to get in one of its rooms, or nil.
  private func catchUp(_ session: UInt32, _ index: Int) -> CatchUp? {
    guard context.sessions[session].subscriptions[index].isCatchingUp else { return nil }
    return context.sessions[session].subscriptions[index].room.catchUps[session: context.sessions.id(at: session)]
  }

  func endCatchUp(_ session: UInt32, _ index: Int) {
    guard let member = catchUp(session, index) else { return }
    member.room.catchUps.remove(member)
    context.sessions[session].subscriptions[index].isCatchingUp = false
  }

  /// Lets a member that joins again without `since` begin where the room is: it gets a `gap` for what it misses.
  func skipCatchUp(_ session: UInt32, _ index: Int) {
    guard let member = catchUp(session, index), let stream = member.room.stream else { return }
    if stream.position.offset > member.offset, member.transition == nil {
      tellGap((member.offset + 1)...stream.position.offset, member)
    }
    endCatchUp(session, index)
  }

  /// Whether the object is what its session has in its room.
  private func index(of member: CatchUp) -> Int? {
    guard context.sessions.contains(member.session),
      let index = context.sessions[member.session.index].subscriptionIndex(member.room),
      catchUp(member.session.index, index) === member
    else { return nil }
    return index
  }

  /// Whether a batch brings what is not live any more: the node, its link or the broker stood still.
  func isBacklog(_ batch: RoomBatch, of room: Room) -> Bool {
    guard batch.firstAcceptedAt > 0, !room.rule.sparesSlowReaders else { return false }
    return room.isRecovering || context.clock() > batch.firstAcceptedAt &+ Limits.backlogMilliseconds
  }

  /// Takes the members out of the roster who could not take more of a backlog: they read it from history, if there is any.
  func shed(_ batch: RoomBatch, of room: Room) {
    guard historySize(of: room) > 0 else { return }
    batch.isBacklog = true
    // The batch itself announces the epoch to those who stay.
    guard !batch.beginsEpoch else { return }
    let offset = room.rosterOffset
    for format in WireFormat.allCases {
      var place = room.rosters[format: format].count
      while place > 0 {
        place -= 1
        let entry = room.rosters[format: format][place]
        guard context.transports[format]?.isNearLimit(entry.connection) == true,
          let index = context.sessions[entry.session].subscriptionIndex(room)
        else {
          continue
        }
        _ = beginCatchUp(entry.session, index, from: offset)
        batches.markDirty(room)
      }
    }
  }

  private func historySize(of room: Room) -> Int {
    room.rule.retention?.messagesMax ?? context.configuration.historySize
  }

  /// Gives the notices of a batch, which no history has, to those who are not in the roster.
  func forwardNotices(of batch: RoomBatch, in room: Room) {
    var start = 0
    let bytes = batch.bytes
    for entry in batch.entries {
      let payload = bytes.span.extracting(start..<entry.end)
      start = entry.end
      guard !entry.isOfStream else { continue }
      for member in room.catchUps.all where context.sessions.contains(member.session) && entry.origin != member.session
      {
        context.transport(of: member.session.index)?.send(
          payload, entry.kind, to: context.sessions[member.session.index].connection)
      }
    }
  }

  /// Notes that the room continues in another epoch after `offset`. Members that are not there yet learn it when they are.
  ///
  /// - Parameters:
  ///   - isWhole: whether nothing is missing between the two.
  ///   - isShared: whether both have the same messages up to `offset`.
  func beginCatchUpEpoch(_ room: Room, at offset: UInt64, isWhole: Bool, isShared: Bool) {
    for member in room.catchUps.all {
      guard isShared, member.offset <= offset else {
        // What it has is of another stream, or beyond the new epoch's beginning.
        member.offset = offset
        member.transition = CatchUp.Transition(offset: offset, isWhole: false)
        continue
      }
      let next = CatchUp.Transition(offset: offset, isWhole: isWhole)
      member.transition = member.transition?.followed(by: next) ?? next
    }
  }

  private func tellEpoch(_ transition: CatchUp.Transition, _ member: CatchUp) {
    guard let stream = member.room.stream else { return }
    member.transition = nil
    member.offset = transition.offset
    let position = Position(epoch: stream.position.epoch, offset: transition.offset)
    context.answer(
      member.session,
      .joined(
        roomJSON: member.room.nameJSON, position, userCount: context.userCount(of: member.room),
        recovered: transition.isWhole), in: member.room.name)
  }

  private func tellGap(_ lost: ClosedRange<UInt64>, _ member: CatchUp) {
    context.counters.gapLost += UInt64(lost.count)
    member.offset = lost.upperBound
    context.answer(member.session, .gap(roomJSON: member.room.nameJSON, lost: lost))
  }

  func advanceCatchUps(of room: Room) { for member in room.catchUps.all { advance(member) } }

  /// Gives a member what it can take now.
  private func advance(_ member: CatchUp) {
    guard let index = index(of: member), member.room.isLive, let stream = member.room.stream,
      let transport = context.transport(of: member.session.index)
    else { return }
    let (room, session) = (member.room, member.session.index)
    let connection = context.sessions[session].connection
    while true {
      if let transition = member.transition, member.offset >= transition.offset { tellEpoch(transition, member) }
      if member.offset >= stream.position.offset { return enterRoster(member, session, index) }
      guard transport.hasRoom(connection) else { return transport.awaitRoom(connection) }
      guard let messages = room.recoveryCache?.messages(after: member.offset), !messages.isEmpty else {
        return readOn(member)
      }
      give(messages, to: member, connection, through: min(stream.position.offset, member.transition?.offset ?? .max))
    }
  }

  /// Gives messages up to an offset, as long as the connection has room.
  private func give(
    _ messages: ArraySlice<RecoveryCache.Message>, to member: CatchUp, _ connection: UInt32, through last: UInt64
  ) {
    guard let transport = context.transport(of: member.session.index) else { return }
    var bytes = 0
    for message in messages {
      guard message.offset <= last, transport.hasRoom(connection) else { break }
      member.offset = message.offset
      if message.origin == member.session { continue }
      transport.answer(message.payload.span, message.kind, at: member.position, in: member.room.name, to: connection)
      bytes += message.payload.count
    }
    reads.chargeRead(member.session, bytes: bytes)
  }

  /// The end of a tick is where the room's batch is delivered: only then a place in the roster goes on without a hole.
  private func enterRoster(_ member: CatchUp, _ session: UInt32, _ index: Int) {
    guard member.room.batch == nil else { return batches.markDirty(member.room) }
    guard member.transition == nil, member.offset == member.room.stream?.position.offset else { return }
    endCatchUp(session, index)
    if let began = member.began { context.counters.recoveries.observe(milliseconds: began, to: context.steady()) }
    context.sessions[session].subscriptions[index].place = context.addToRoster(member.room, session)
    if context.sessions[session].isUnwritable { slowConsumers.beginLagging(session, index) }
  }

  private func readOn(_ member: CatchUp) {
    guard !member.isReading, !member.isStalled else { return }
    member.isReading = true
    let room = member.room
    caches.keep(for: room)
    let request = ReadScheduler.Request(
      key: { [weak self] in
        guard let self, index(of: member) != nil else { return nil }
        guard !room.isLive || room.recoveryCache?.messages(after: member.offset)?.isEmpty ?? true else {
          // Another's read has brought it.
          member.isReading = false
          advance(member)
          return nil
        }
        return .history(
          room: room.name, CatchUpDelivery.missedQuery(member.offset), bytesMax: Limits.historyPageBytesMax)
      },
      finish: { [weak self] result in
        guard let self, let result, index(of: member) != nil else { return }
        member.isReading = false
        guard case .success(.page(let page)) = result else { return stall(member) }
        take(page, for: member)
      })
    reads.add(request, for: .session(member.session))
  }

  /// Gives a member what a page has for it.
  private func take(_ page: HistoryPage, for member: CatchUp) {
    let room = member.room
    // A room that recovers continues with its members when it is done.
    guard room.isLive, let position = room.stream?.position else { return }
    guard page.position.epoch == position.epoch else {
      self.verify(room)
      return stall(member)
    }
    learn(from: page, in: room)
    guard room.recoveryCache?.messages(after: member.offset)?.isEmpty ?? true else { return advance(member) }
    let before = (member.offset, member.transition)
    let news = page.entries.lazy.filter { $0.offset > before.0 }.compactMap { self.message($0, in: room) }
    give(page: news, through: min(page.position.offset, position.offset), hasMore: page.hasMore, to: member)
    if before == (member.offset, member.transition) { stall(member) } else { advance(member) }
  }

  private func give(
    page messages: some Sequence<RecoveryCache.Message>, through last: UInt64, hasMore: Bool, to member: CatchUp
  ) {
    let connection = context.sessions[member.session.index].connection
    var bytes = 0
    for message in messages where message.offset > member.offset && message.offset <= last {
      pass(to: message.offset - 1, member)
      // An epoch that begins here takes the member back to its beginning.
      member.offset = message.offset
      if message.origin == member.session { continue }
      context.transport(of: member.session.index)?.answer(
        message.payload.span, message.kind, at: member.position, in: member.room.name, to: connection)
      bytes += message.payload.count
    }
    if !hasMore { pass(to: last, member) }
    reads.chargeRead(member.session, bytes: bytes)
  }

  /// Moves a member forward over what history no longer holds, and sends it a `gap`.
  private func pass(to offset: UInt64, _ member: CatchUp) {
    if let transition = member.transition, transition.offset <= offset {
      if member.offset < transition.offset { tellGap((member.offset + 1)...transition.offset, member) }
      tellEpoch(transition, member)
    }
    if member.offset < offset { tellGap((member.offset + 1)...offset, member) }
  }

  /// Keeps what a page of the room's epoch holds: the epochs before it, and the messages before those that are kept.
  func learn(from page: HistoryPage, in room: Room) {
    room.lineage = page.lineage
    guard let cache = room.recoveryCache, let last = page.entries.last, last.offset >= cache.after else { return }
    let earlier = page.entries.prefix { $0.offset <= cache.after }
    guard !earlier.isEmpty else { return }
    let messages = earlier.compactMap { message($0, in: room) }
    caches.change(of: room) { $0.prepend(messages) }
  }

  /// What a history entry is for a member.
  private func message(_ entry: HistoryPage.Entry, in room: Room) -> RecoveryCache.Message? {
    guard let envelope = Envelope(entry.envelope.span) else { return nil }
    var payload: [UInt8] = []
    MessageEncoder.message(envelope, in: entry.envelope.span, offset: entry.offset, room: room, to: &payload)
    var origin: SlabID?
    if envelope.origin.count > 1 {
      origin = context.localSession(named: entry.envelope.span.extracting(envelope.origin))
    }
    return RecoveryCache.Message(
      offset: entry.offset, kind: envelope.kind == .binary ? .binaryMessage : .message, payload: payload, origin: origin
    )
  }

  /// The broker could not help a member on: it is asked again within a second.
  private func stall(_ member: CatchUp) {
    guard !member.isStalled else { return }
    member.isStalled = true
    stalledCatchUps.append(member)
  }

  /// Asks again for those whom the broker could not help on. Called by `expire`.
  func retryStalledCatchUps() {
    guard !stalledCatchUps.isEmpty, context.broker.isAvailable else { return }
    var members: [CatchUp] = []
    swap(&members, &stalledCatchUps)
    for member in members {
      member.isStalled = false
      if index(of: member) != nil { batches.markDirty(member.room) }
    }
  }

  static func missedQuery(_ offset: UInt64) -> HistoryQuery { .after(offset, limit: Limits.historyReadMax) }

  /// Continues with the rooms of a session whose connection has room again.
  func advance(session id: SlabID) {
    let subscriptions = context.sessions[id.index].subscriptions
    catchUpRound &+= 1
    let first = subscriptions.isEmpty ? 0 : catchUpRound % subscriptions.count
    for index in subscriptions.indices {
      let subscription = subscriptions[(first + index) % subscriptions.count]
      if subscription.isCatchingUp, let member = subscription.room.catchUps[session: id] { advance(member) }
    }
  }
}
