import ClientProtocol
import JSONCore

/// How a connection comes into a room and out of it.
///
/// A join is: subscribe (first local member only), enter the room's presence, wait until the stream has come as far as the
/// client may know, then take a place in the roster at the end of a tick, so that the answer's offset is exactly where the
/// live messages begin.
/// Confined to the loop that created its hub.
final class RoomJoins {
  private let context: HubContext
  /// The context's, held here too: reached through the context it is retained for every call.
  private let broker: any Broker
  private let wildcards: WildcardTable
  private let access: RoomAccess
  private let backPressure: BackPressure
  private let pending: PendingOperations
  private let limiters: RateLimiters
  private let reads: SessionReads
  private let caches: RecoveryCaches
  private let batches: BatchQueue
  private let slowConsumers: SlowConsumers
  private let catchUps: CatchUpDelivery
  private let graces: LeaveGraces
  private let announcements: RoomAnnouncements
  private let streams: RoomStreams
  private let lifetimes: RoomLifetimes
  /// What a client asked with its join, and when, in milliseconds of the clock that no one can set.
  private struct Request {
    let since: Position?
    let answerID: [UInt8]?
    let began: UInt64
  }

  /// Rooms in which a join waits for the stream to come further: looked at by `expire`.
  private var waitingRooms: [Room] = []

  init(
    _ context: HubContext, wildcards: WildcardTable, access: RoomAccess, backPressure: BackPressure,
    pending: PendingOperations, limiters: RateLimiters, reads: SessionReads, caches: RecoveryCaches,
    batches: BatchQueue, slowConsumers: SlowConsumers, catchUps: CatchUpDelivery, graces: LeaveGraces,
    announcements: RoomAnnouncements, streams: RoomStreams, lifetimes: RoomLifetimes
  ) {
    self.context = context
    broker = context.broker
    self.wildcards = wildcards
    self.access = access
    self.backPressure = backPressure
    self.pending = pending
    self.limiters = limiters
    self.reads = reads
    self.caches = caches
    self.batches = batches
    self.slowConsumers = slowConsumers
    self.catchUps = catchUps
    self.graces = graces
    self.announcements = announcements
    self.streams = streams
    self.lifetimes = lifetimes
  }

  /// Begins a join, or repeats one: a client that has joined is answered again.
  ///
  /// - Parameter isOrdered: whether an operator ordered it: then neither token nor rule nor rate forbids it.
  func join(
    _ id: SlabID, roomName: Span<UInt8>, since: Position?, answerID: [UInt8]?, isOrdered: Bool = false
  ) {
    guard isOrdered || access.mayJoin(id.index, roomName) || access.isInByOrder(id.index, roomName) else {
      return context.refuse(id, .forbidden, Refusal.roomForbidden, answerID)
    }
    let room: Room
    if let known = context.rooms.find(roomName), let index = context.sessions[id.index].subscriptionIndex(known) {
      room = known
      if isOrdered { context.sessions[id.index].subscriptions[index].isOrdered = true }
    } else {
      guard
        context.sessions[id.index].subscriptions.count + wildcards.count(of: id.index)
          < context.configuration.roomsPerConnectionMax
      else {
        let limit = context.configuration.roomsPerConnectionMax
        context.counters.refusals.add(.rooms)
        return context.refuse(id, .tooManyRooms, "a connection is in at most \(limit) rooms: leave one first", answerID)
      }
      guard
        isOrdered
          || access.ruleLetsIn(.session(id), roomName, answerID)
            && access.isAuthorised(.read(room: [UInt8](copying: roomName)), .session(id), answerID)
      else { return }
      if let known = context.rooms.find(roomName) {
        room = known
      } else {
        guard isOrdered || limiters.chargeNewRoom(.session(id), answerID) else { return }
        room = lifetimes.makeRoom(roomName)
      }
      room.subscriberCount += 1
      context.sessions[id.index].subscriptions.append(
        Session.Subscription(
          room: room, since: context.clock(), mayPublish: access.mayPublish(id.index, roomName), isOrdered: isOrdered))
    }
    let request = Request(since: since, answerID: answerID, began: context.steady())
    whenSubscribed(room) { [weak self] in self?.enter(id, room, request) }
  }

  /// Calls `body` once this node is subscribed to a room, or could not be: then the room is not marked as subscribed.
  func whenSubscribed(_ room: Room, _ body: @escaping () -> Void) {
    guard !room.isSubscribed else { return body() }
    room.joinsWaiting.append(body)
    if room.joinsWaiting.count == 1 { subscribe(room) }
  }

  /// Ends a connection's stay in a room. Leaving a room it is not in does nothing.
  func leave(_ id: SlabID, roomName: Span<UInt8>) {
    guard let room = context.rooms.find(roomName), let index = context.sessions[id.index].subscriptionIndex(room) else {
      return
    }
    let subscription = context.sessions[id.index].subscriptions.remove(at: index)
    depart(id.index, from: subscription)
  }

  /// Takes a session out of a room's roster, its presence, and, when it was the last one here, out of the room's life.
  ///
  /// - Parameter staysPresent: whether presence keeps it: the broker will hand it over.
  func depart(_ session: UInt32, from subscription: Session.Subscription, staysPresent: Bool = false) {
    let room = subscription.room
    if subscription.isCatchingUp, let member = room.catchUps[session: context.sessions.id(at: session)] {
      room.catchUps.remove(member)
    }
    if let place = subscription.place {
      if subscription.isLagging {
        slowConsumers.removeFromLag(room, place: place)
      } else {
        context.removeFromRoster(room, format: context.sessions[session].format, place: place)
      }
    }
    if !staysPresent, room.rule.hasPresence, let member = context.member(session) {
      reads.seal(room: room.name)
      let grace = graces.grace(of: room)
      // A user whose grace runs keeps its state: it is forgotten with `userLeft`.
      if grace > 0 {
        graces.graceBegins(in: room.name, grace)
      } else if let user = context.sessions[session].user {
        announcements.forgetOwnState(of: user, in: room)
      }
      broker.leave(room: room.name, member, graceMilliseconds: grace)
    }
    room.subscriberCount -= 1
    if room.subscriberCount == 0 {
      lifetimes.linger(room)
    }
  }

  private func subscribe(_ room: Room) {
    broker.subscribe(room: room.name) { [weak self] result in
      guard let self, self.context.isKnown(room) else { return }
      if case .success = result {
        room.isSubscribed = true
        if case .subscribing = room.phase { room.phase = .entering }
      }
      var waiting: [() -> Void] = []
      swap(&waiting, &room.joinsWaiting)
      // After a failure each of them asks the broker, is refused, and refuses its client.
      for join in waiting { join() }
    }
  }

  private func enter(_ id: SlabID, _ room: Room, _ request: Request) {
    let answerID = request.answerID
    guard context.sessions.contains(id) else { return }
    guard let index = context.sessions[id.index].subscriptionIndex(room) else { return refuseRevised(id, answerID) }
    guard let member = context.member(id.index, since: context.sessions[id.index].subscriptions[index].since)
    else { return }
    guard room.isSubscribed else { return abandonJoin(id, room, answerID) }
    backPressure.operationBegins(id, bytes: room.name.count)
    enterBroker(room, member) { [weak self] result in
      self?.entered(id, room, request, result)
    }
    readUsers(of: room)
  }

  private func entered(
    _ id: SlabID, _ room: Room, _ request: Request, _ result: Result<Position, BrokerError>
  ) {
    let answerID = request.answerID
    backPressure.operationEnds(id, bytes: room.name.count)
    guard context.sessions.contains(id) else { return }
    guard context.sessions[id.index].subscriptionIndex(room) != nil else { return refuseRevised(id, answerID) }
    guard case .success(let position) = result else { return abandonJoin(id, room, answerID, result.fault) }
    streams.startStream(of: room, at: position)
    // Perhaps not received yet: should another master lack it, the join must not wait for it for ever.
    room.note(acknowledged: position)
    room.arrivals.append(
      Room.Arrival(session: id, id: answerID, entered: position, since: request.since, began: request.began))
    batches.markDirty(room)
    // A read that failed while this one was entering has abandoned only those who had entered.
    readUsers(of: room)
  }

  /// Reads who is in the room, if that is to be known before a join is answered.
  private func readUsers(of room: Room) {
    guard announcements.needsUsers(of: room) else { return }
    announcements.readUsers(of: room) { [weak self] in self?.abandonArrivals(in: room) }
  }

  /// Enters the room's presence, or where the rule keeps none, asks where the room is.
  private func enterBroker(_ room: Room, _ member: Member, _ reply: @escaping BrokerReply<Position>) {
    reads.seal(room: room.name)
    if room.rule.hasPresence { return broker.enter(room: room.name, member, reply) }
    broker.begin(room: room.name, reply)
  }

  /// Answers `unavailable` and forgets the join, unless the client was in the room before it asked again.
  private func abandonJoin(_ id: SlabID, _ room: Room, _ answerID: [UInt8]?, _ error: BrokerError = .unavailable) {
    if let index = context.sessions[id.index].subscriptionIndex(room),
      !context.sessions[id.index].subscriptions[index].isJoined
    {
      depart(id.index, from: context.sessions[id.index].subscriptions.remove(at: index))
    }
    context.refuse(id, failure: error, "Redis is out of reach: join again in a moment", answerID)
    pending.settle(id)
  }

  /// Answers a join whose room was forbidden by a new token before the join came to its end.
  private func refuseRevised(_ id: SlabID, _ answerID: [UInt8]?) {
    context.refuse(id, .forbidden, Refusal.roomForbidden, answerID)
    pending.settle(id)
  }

  /// Answers the joins that have waited long enough. Called at the end of a tick, right after the room's batch.
  func admitArrivals(to room: Room) {
    guard room.isLive, let position = room.stream?.position else { return }
    guard announcements.knowsUsers(of: room) else { return }
    let userCount = context.userCount(of: room)
    var waiting: [Room.Arrival] = []
    swap(&waiting, &room.arrivals)
    for arrival in waiting where context.sessions.contains(arrival.session) {
      let session = arrival.session.index
      let index = context.sessions[session].subscriptionIndex(room)
      switch admission(of: arrival, isWanted: index != nil, to: room, at: position).decide() {
      case .wait: room.arrivals.append(arrival)
      case .refuse: refuseRevised(arrival.session, arrival.id)
      case .readHistory: readMissed(for: arrival, room)
      case .enter(let recovered):
        guard let index else { continue }
        if recovered == true { context.counters.recoveries.observe(milliseconds: arrival.began, to: context.steady()) }
        answerJoined(arrival, index, recovered: recovered, room, position, userCount)
        // What had waited for the join may have left other rooms, or this one.
        guard let index = joinedIndex(arrival.session, room) else { continue }
        enterRoster(session, index, of: room)
      case .resume(let offset):
        guard let index else { continue }
        answerJoined(arrival, index, recovered: true, room, position, userCount)
        guard let index = joinedIndex(arrival.session, room) else { continue }
        catchUps.resume(session, index, since: offset, began: arrival.began, firstPage: arrival.page)
      }
    }
    if !room.arrivals.isEmpty { waitingRooms.append(room) }
  }

  /// Where a session has a room among its subscriptions now; nil: it has left it, or has ended.
  private func joinedIndex(_ id: SlabID, _ room: Room) -> Int? {
    context.sessions.contains(id) ? context.sessions[id.index].subscriptionIndex(room) : nil
  }

  private func admission(
    of arrival: Room.Arrival, isWanted: Bool, to room: Room, at position: Position
  ) -> Admission {
    var admission = Admission(isWanted: isWanted, entered: arrival.entered, position: position, since: arrival.since)
    guard let since = arrival.since else { return admission }
    admission.lineage = room.lineage
    admission.isCached = room.recoveryCache?.messages(after: since.offset) != nil
    if arrival.hasRead { admission.history = .read(reaches: arrival.page?.reaches(since.offset) == true) }
    return admission
  }

  private func answerJoined(
    _ arrival: Room.Arrival, _ index: Int, recovered: Bool?, _ room: Room, _ position: Position, _ userCount: Int
  ) {
    let session = arrival.session.index
    context.counters.joins.observe(milliseconds: arrival.began, to: context.steady())
    if recovered != true { catchUps.skipCatchUp(session, index) }
    slowConsumers.skipLag(session, index, isResuming: recovered == true)
    context.answer(
      arrival.session, .joined(roomJSON: room.nameJSON, position, userCount: userCount, recovered: recovered),
      id: arrival.id, in: room.name)
    pending.settle(arrival.session)
  }

  private func enterRoster(_ session: UInt32, _ index: Int, of room: Room) {
    catchUps.endCatchUp(session, index)
    if context.sessions[session].subscriptions[index].place == nil {
      context.sessions[session].subscriptions[index].place = context.addToRoster(room, session)
    }
    if context.sessions[session].isUnwritable { slowConsumers.beginLagging(session, index) }
  }

  /// Reads the beginning of what a client missed, and has it wait for that.
  private func readMissed(for arrival: Room.Arrival, _ room: Room) {
    guard let since = arrival.since else { return }
    caches.keep(for: room)
    var arrival = arrival
    arrival.hasRead = true
    let isEarly =
      limiters.limiter(of: arrival.session)?.isEarlyResumption(among: context.configuration.roomsPerConnectionMax)
      ?? true
    // Until it is answered the client's next ones count with it: who asks on without an end is read no further.
    let size = room.name.count
    backPressure.operationBegins(arrival.session, bytes: size)
    let request = ReadScheduler.Request(
      isDelayedByDebt: !isEarly,
      key: { [weak self] in
        // Another's read may have brought it.
        guard room.recoveryCache?.messages(after: since.offset) == nil else {
          self?.backPressure.operationEnds(arrival.session, bytes: size)
          self?.waitAgain(arrival, in: room)
          return nil
        }
        return .history(
          room: room.name, CatchUpDelivery.missedQuery(since.offset), bytesMax: Limits.historyPageBytesMax)
      },
      finish: { [weak self] result in
        self?.backPressure.operationEnds(arrival.session, bytes: size)
        guard let self, let result, context.sessions.contains(arrival.session), context.isKnown(room) else { return }
        guard case .success(.page(let page)) = result else {
          // Without history it is not known what was missed: the client asks again when the broker is back.
          return abandonJoin(arrival.session, room, arrival.id)
        }
        if page.position.epoch == room.stream?.position.epoch {
          arrival.page = page
          catchUps.learn(from: page, in: room)
        }
        waitAgain(arrival, in: room)
      })
    reads.add(request, for: .session(arrival.session))
  }

  /// Has a join wait for the end of a tick again, with those who came meanwhile.
  private func waitAgain(_ arrival: Room.Arrival, in room: Room) {
    guard context.sessions.contains(arrival.session), context.isKnown(room) else { return }
    room.arrivals.append(arrival)
    batches.markDirty(room)
    readUsers(of: room)
  }

  /// Without the room's users no join can be answered: the clients ask again.
  private func abandonArrivals(in room: Room) {
    _ = room.presence?.takeHeld()
    var arrivals: [Room.Arrival] = []
    swap(&arrivals, &room.arrivals)
    for arrival in arrivals where context.sessions.contains(arrival.session) {
      abandonJoin(arrival.session, room, arrival.id)
    }
  }

  /// Recovers the rooms in which a join has waited for a second: it waits for a message that the subscription did not bring.
  func recoverWaiting() {
    guard !waitingRooms.isEmpty else { return }
    var waiting: [Room] = []
    swap(&waiting, &waitingRooms)
    for room in waiting where room.isLive && !room.arrivals.isEmpty { streams.recover(room) }
  }
}
