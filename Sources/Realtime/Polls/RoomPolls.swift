import ClientProtocol
import JSONCore

/// Polls of rooms by clients without a session: each brings where it is in a room, and gets what came after that.
///
/// A room that is polled is kept on this node as if it had a member, so that polls are answered from memory and a message
/// wakes those who wait. Those who wait at one place get one answer, encoded once.
/// Confined to the loop that created its hub.
final class RoomPolls {
  private let context: HubContext
  private let access: RoomAccess
  private let limiters: RateLimiters
  private let reads: SessionReads
  private let caches: RecoveryCaches
  private let streams: RoomStreams
  private let lifetimes: RoomLifetimes
  private let joins: RoomJoins
  private let revocations: Revocations
  private var polledRooms: [[UInt8]: PolledRoom] = [:]

  init(
    _ context: HubContext, access: RoomAccess, limiters: RateLimiters, reads: SessionReads, caches: RecoveryCaches,
    streams: RoomStreams, lifetimes: RoomLifetimes, joins: RoomJoins, revocations: Revocations
  ) {
    self.context = context
    self.access = access
    self.limiters = limiters
    self.reads = reads
    self.caches = caches
    self.streams = streams
    self.lifetimes = lifetimes
    self.joins = joins
    self.revocations = revocations
    revocations.endOthers = { [weak self] in self?.endRevoked() }
  }

  // MARK: A poll

  func poll(_ waiter: PollWaiter) {
    let (caller, name) = (waiter.caller, waiter.room)
    if RoomName.isWildcard(name.span) { return refuse(waiter, .badRoom, RoomName.wildcardRule) }
    if !waiter.isOfOperator {
      if let problem = access.refusal(ofJoining: name.span, user: caller.user, caller.identity) {
        return refuse(waiter, problem.code, problem.message)
      }
      if let refusal = limiters.refusal(ofReadBy: caller) { return refuse(waiter, .rateLimited, refusal) }
    }
    let known = context.rooms.find(name.span)
    // A poll that waits for nothing leaves nothing here: history has what it asks for. Only where the room is must stay
    // true for the next poll, also in a room without a message.
    if waiter.position != nil, !waiter.waits, polledRooms[waiter.room] == nil, known?.isLive != true {
      return read(for: [waiter])
    }
    guard let polled = polledRooms[waiter.room] ?? begin(for: waiter, known) else { return }
    polled.polledAt = context.steady()
    waiter.polled = polled
    caches.keep(for: polled.room)
    // A room that is known by way of a wildcard only would be lost with it.
    let isKnown = polled.room.isSubscribed && polled.room.stream != nil
    if isKnown, polled.opening.isEmpty, waiter.position != nil { return settle(waiter) }
    polled.opening.append(waiter)
    if polled.opening.count == 1 { open(polled) }
  }

  /// Begins to keep a room for those who poll it.
  private func begin(for waiter: PollWaiter, _ known: Room?) -> PolledRoom? {
    if known == nil, !waiter.isOfOperator, let refusal = limiters.refusal(ofNewRoomFor: waiter.caller) {
      refuse(waiter, .rateLimited, refusal)
      return nil
    }
    let name = waiter.room
    let room = known ?? lifetimes.makeRoom(name.span)
    room.subscriberCount += 1
    room.isPolled = true
    let polled = PolledRoom(room, polledAt: context.steady())
    polledRooms[room.name] = polled
    return polled
  }

  /// Subscribes to the room and asks where it is, for all that wait for that.
  private func open(_ polled: PolledRoom) {
    joins.whenSubscribed(polled.room) { [weak self] in
      guard let self else { return }
      guard polled.room.isSubscribed else { return conclude(polled, with: .failure(.unavailable)) }
      context.broker.begin(room: polled.room.name) { [weak self] in self?.conclude(polled, with: $0) }
    }
  }

  private func conclude(_ polled: PolledRoom, with result: Result<Position, BrokerError>) {
    var waiting: [PollWaiter] = []
    swap(&waiting, &polled.opening)
    guard case .success(let position) = result else {
      for waiter in waiting { refuse(waiter, failure: result.fault) }
      return
    }
    streams.startStream(of: polled.room, at: position)
    note(position, in: polled)
    caches.keep(for: polled.room)
    for waiter in waiting where !waiter.isDone {
      if waiter.position == nil {
        // Where the room is by the broker's word, which may be ahead of what has come here.
        let answer = polled.answer(since: position, at: position) { PollAnswer(room: polled.room.name, at: position) }
        if let answer { finish(waiter, answer) }
      } else {
        settle(waiter)
      }
    }
  }

  /// Answers a poll from the room as this node has it, has it wait, or reads what it needs.
  private func settle(_ waiter: PollWaiter) {
    guard !waiter.isDone, let since = waiter.position else { return }
    guard let polled = waiter.polled, let current = polled.room.stream?.position else { return read(for: [waiter]) }
    if since.epoch == current.epoch, since.offset >= current.offset {
      // One that is ahead of this node waits until the node has come there, when the broker says that the room was: another
      // master may lack what the client has, and give its offsets to other messages.
      if waiter.waits, since == current || waiter.readCount > 0 { return polled.add(waiter) }
      if since == current { return finishEmpty(waiter, at: since) }
    } else if let answer = answer(since: since, at: current, in: polled) {
      return finish(waiter, answer)
    }
    read(for: [waiter])
  }

  /// The answer from the room's recent messages; nil: they are not all here.
  private func answer(since: Position, at current: Position, in polled: PolledRoom) -> PollAnswer? {
    guard since.epoch == current.epoch else { return nil }
    return polled.answer(since: since, at: current) {
      // The JSON of a binary message has more than its payload: history makes it.
      guard let messages = polled.room.recoveryCache?.messages(after: since.offset), !messages.isEmpty,
        !messages.contains(where: { $0.kind == .binaryMessage })
      else { return nil }
      let page = RoomPolls.page(messages.lazy.map { ($0.offset, $0.payload) })
      return PollAnswer(
        room: polled.room.name, at: page.hasMore ? current.at(page.last) : current, messages: page.messages,
        hasMore: page.hasMore)
    }
  }

  /// As many messages as an answer holds, and one at least.
  private static func page(
    _ messages: some Sequence<(offset: UInt64, text: [UInt8])>
  ) -> (messages: [[UInt8]], last: UInt64, hasMore: Bool) {
    var (page, last, bytes): ([[UInt8]], UInt64, Int) = ([], 0, 0)
    for message in messages {
      if !page.isEmpty, bytes + message.text.count > Limits.historyAnswerBytesMax { return (page, last, true) }
      bytes += message.text.count
      last = message.offset
      page.append(message.text)
    }
    return (page, last, false)
  }

  // MARK: History

  /// Reads what came after a position, for polls that are all there.
  private func read(for waiters: [PollWaiter]) {
    guard let first = waiters.first, let since = first.position else { return }
    for waiter in waiters { waiter.readCount += 1 }
    let key = ReadKey.history(
      room: first.room, .after(since.offset, limit: Limits.historyReadMax), bytesMax: Limits.historyAnswerBytesMax)
    let request = ReadScheduler.Request(
      key: { waiters.contains { !$0.isDone } ? key : nil },
      finish: { [weak self] result in
        guard let self, let result else { return }
        guard case .success(.page(let page)) = result else {
          for waiter in waiters { refuse(waiter, failure: result.fault) }
          return
        }
        take(page, for: waiters, since)
      })
    reads.add(request, for: .request(ObjectIdentifier(first)))
  }

  private func take(_ page: HistoryPage, for waiters: [PollWaiter], _ since: Position) {
    guard let room = waiters.first?.room else { return }
    if let polled = waiters.first?.polled { note(page.position, in: polled) }
    guard since.isContinued(by: page.position, page.lineage), since.offset <= page.position.offset,
      page.reaches(since.offset)
    else {
      let answer = PollAnswer(room: room, at: page.position, isRecovered: false)
      for waiter in waiters { finish(waiter, answer) }
      return
    }
    let known = Room(name: room)
    let messages = RoomPolls.page(
      page.entries.lazy.filter { $0.offset > since.offset }.compactMap { entry in
        guard let envelope = Envelope(entry.envelope.span) else { return nil }
        var text: [UInt8] = []
        MessageEncoder.text(envelope, in: entry.envelope.span, offset: entry.offset, room: known, to: &text)
        return (entry.offset, text)
      })
    guard messages.messages.isEmpty else {
      let hasMore = messages.hasMore || page.hasMore
      let last = messages.hasMore ? messages.last : page.entries.last?.offset ?? messages.last
      let answer = PollAnswer(
        room: room, at: hasMore ? page.position.at(last) : page.position, messages: messages.messages,
        hasMore: hasMore)
      for waiter in waiters { finish(waiter, answer) }
      return
    }
    for waiter in waiters where !waiter.isDone {
      waiter.position = page.position
      wait(waiter, at: page.position)
    }
  }

  /// Has a poll wait that is where the room's history ends.
  private func wait(_ waiter: PollWaiter, at position: Position) {
    guard waiter.waits, let polled = waiter.polled, polledRooms[waiter.room] === polled else {
      return finishEmpty(waiter, at: position)
    }
    let isElsewhere = polled.room.stream.map { $0.position.epoch != position.epoch } ?? false
    // This node may not have noticed yet that the room continues in another epoch, or have more than the broker, which lost
    // it. Asking on would not end.
    guard isElsewhere || waiter.readCount >= Limits.pollReadsMax else { return settle(waiter) }
    polled.add(waiter)
    if isElsewhere { streams.verify(polled.room) }
  }

  /// Notes where a client of a room will be that was not received here yet: should another master lack it, it must not give
  /// the offset to another message.
  private func note(_ position: Position, in polled: PolledRoom) {
    if polled.room.stream != nil { polled.room.note(acknowledged: position) }
  }

  // MARK: What comes in rooms

  /// Answers those who wait for what has come in a room.
  func roomMoved(_ room: Room) {
    guard let polled = polledRooms[room.name], polled.room === room, let current = room.stream?.position else { return }
    let due = polled.takeWaiters { waiter in
      waiter.position.map { $0.epoch != current.epoch || $0.offset < current.offset } ?? false
    }
    // Nearly always all of them are at one place.
    var rest = due[...]
    while let first = rest.first, let since = first.position {
      let alike = rest.prefix { $0.position == since }
      rest = rest.dropFirst(alike.count)
      if let answer = answer(since: since, at: current, in: polled) {
        for waiter in alike { finish(waiter, answer) }
      } else {
        read(for: Array(alike))
      }
    }
  }

  // MARK: The end

  /// Ends the wait of a poll: it gets an empty answer, or what is being read for it.
  func endWait(_ waiter: PollWaiter) {
    waiter.waits = false
    guard waiter.place != nil, let position = waiter.position else { return }
    waiter.polled?.remove(waiter)
    finishEmpty(waiter, at: position)
  }

  /// Forgets a poll whose client has gone.
  func cancel(_ waiter: PollWaiter) {
    _ = waiter.takeReply()
    waiter.polled?.remove(waiter)
    waiter.polled?.opening.removeAll { $0 === waiter }
    waiter.polled = nil
  }

  private func finishEmpty(_ waiter: PollWaiter, at position: Position) {
    let make = { PollAnswer(room: waiter.room, at: position) }
    guard let polled = waiter.polled, let current = polled.room.stream?.position else { return finish(waiter, make()) }
    finish(waiter, polled.answer(since: position, at: current, make) ?? make())
  }

  private func finish(_ waiter: PollWaiter, _ answer: PollAnswer) {
    // A token may have ended, or been revoked, while its poll waited.
    guard !waiter.isOfOperator else { return end(waiter, .answer(answer)) }
    if let reason = endReason(of: waiter.caller) { return refuse(waiter, .unauthenticated, reason) }
    limiters.chargeRead(of: waiter.caller, bytes: answer.json.count)
    end(waiter, .answer(answer))
  }

  /// Why a caller may not be answered any more, or nil.
  private func endReason(of caller: RequestCaller) -> String? {
    if revocations.isRevoked(caller.identity ?? Identity(user: caller.user)) { return Refusal.revoked }
    guard let end = caller.identity?.expiresAt, end <= context.clock() else { return nil }
    return Refusal.tokenOver
  }

  /// Ends the polls that wait under what was revoked.
  func endRevoked() {
    for polled in polledRooms.values where !polled.waiters.isEmpty {
      for waiter in polled.takeWaiters(where: { !$0.isOfOperator && endReason(of: $0.caller) != nil }) {
        refuse(waiter, .unauthenticated, endReason(of: waiter.caller) ?? Refusal.revoked)
      }
    }
  }

  private func refuse(_ waiter: PollWaiter, _ code: ErrorCode, _ message: String) {
    end(waiter, .refused(code, message))
  }

  private func refuse(_ waiter: PollWaiter, failure error: BrokerError) {
    if error == .refused { return refuse(waiter, .internal, Refusal.damaged) }
    refuse(waiter, .unavailable, Refusal.saying(context.broker.refusal, in: Refusal.cannotRead))
  }

  private func end(_ waiter: PollWaiter, _ outcome: PollWaiter.Outcome) {
    waiter.polled = nil
    waiter.takeReply()?(outcome)
  }

  /// Lets go the rooms that nobody has polled for a while.
  func expire(at now: UInt64) {
    guard !polledRooms.isEmpty else { return }
    let due = polledRooms.values.filter { $0.isIdle && $0.polledAt + Limits.polledRoomMilliseconds <= now }
    for polled in due {
      polledRooms[polled.room.name] = nil
      polled.room.isPolled = false
      polled.room.subscriberCount -= 1
      if polled.room.subscriberCount == 0 { lifetimes.linger(polled.room) }
    }
  }

  /// Polls that wait for a message.
  var waitingCount: Int { polledRooms.values.reduce(0) { $0 + $1.waiters.count } }
}
