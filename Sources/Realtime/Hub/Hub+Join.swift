import ClientProtocol
import JSONCore

// How a connection comes into a room and out of it. A join is: subscribe (first local member only), enter the room's
// presence, wait until the stream has come as far as the client may know, then take a place in the roster at the end of
// a tick, so that the answer's offset is exactly where the live messages begin.

extension Hub {
  /// Begins a join, or repeats one: a client that has joined is answered again.
  func join(_ id: SlabID, roomName: Span<UInt8>, since: Position?, answerID: [UInt8]?) {
    guard mayJoin(id.index, roomName) else { return refuse(id, .forbidden, Hub.roomForbidden, answerID) }
    let room: Room
    if let known = rooms.find(roomName), sessions[id.index].subscriptionIndex(known) != nil {
      room = known
    } else {
      guard roomCount(of: id.index) < configuration.roomsPerConnectionMax else {
        let limit = configuration.roomsPerConnectionMax
        counters.refusals.add(.rooms)
        return refuse(id, .tooManyRooms, "a connection is in at most \(limit) rooms: leave one first", answerID)
      }
      guard ruleLetsIn(id, roomName, answerID),
        isAuthorised(.read(room: [UInt8](copying: roomName)), .session(id), answerID)
      else { return }
      if let known = rooms.find(roomName) {
        room = known
      } else {
        guard chargeNewRoom(id, answerID) else { return }
        room = makeRoom(roomName)
      }
      room.subscriberCount += 1
      sessions[id.index].subscriptions.append(
        Session.Subscription(room: room, since: clock(), place: nil, mayPublish: mayPublish(id.index, roomName)))
    }
    guard !room.isSubscribed else { return enter(id, room, since: since, answerID: answerID) }
    room.joinsWaiting.append { [weak self] in self?.enter(id, room, since: since, answerID: answerID) }
    if room.joinsWaiting.count == 1 { subscribe(room) }
  }

  /// Ends a connection's stay in a room. Leaving a room it is not in does nothing.
  func leave(_ id: SlabID, roomName: Span<UInt8>) {
    guard let room = rooms.find(roomName), let index = sessions[id.index].subscriptionIndex(room) else { return }
    let subscription = sessions[id.index].subscriptions.remove(at: index)
    depart(id.index, from: subscription)
  }

  /// Takes a session out of a room's roster, its presence, and, when it was the last one here, out of the room's life.
  ///
  /// - Parameter staysPresent: whether presence keeps it: the broker will hand it over.
  func depart(_ session: UInt32, from subscription: Session.Subscription, staysPresent: Bool = false) {
    let room = subscription.room
    if subscription.isCatchingUp, let member = room.catchUps[session: sessions.id(at: session)] {
      room.catchUps.remove(member)
    }
    if let place = subscription.place {
      if subscription.isBehind {
        removeFromLag(room, place: place)
      } else {
        removeFromRoster(room, form: sessions[session].form, place: place)
      }
    }
    if !staysPresent, room.rule.hasPresence, let member = member(session) {
      reads.seal(room: room.name)
      let grace = grace(of: room)
      // A user whose grace runs says what it said: it is forgotten with `userLeft`.
      if grace > 0 {
        graceBegins(in: room.name, grace)
      } else if let user = sessions[session].user {
        forgetOwnState(of: user, in: room)
      }
      broker.leave(room: room.name, member, graceMilliseconds: grace)
    }
    room.subscriberCount -= 1
    if room.subscriberCount == 0 {
      lingering.append((deadline: steady() + Limits.roomLingerMilliseconds, room: room))
    }
  }

  func makeRoom(_ name: Span<UInt8>) -> Room {
    let room = Room(name: [UInt8](copying: name), rule: configuration.rules.rule(for: name))
    rooms.insert(room)
    counters.rooms = rooms.count
    observers.report(.rooms, .roomCreated(room.name))
    return room
  }

  private func subscribe(_ room: Room) {
    broker.subscribe(room: room.name) { [weak self] result in
      guard let self, self.isKnown(room) else { return }
      if case .success = result {
        room.isSubscribed = true
        if room.phase == .subscribing { room.phase = .entering }
      }
      var waiting: [() -> Void] = []
      swap(&waiting, &room.joinsWaiting)
      // After a failure each of them asks the broker, is refused by it, and says so to its client.
      for join in waiting { join() }
    }
  }

  private func enter(_ id: SlabID, _ room: Room, since: Position?, answerID: [UInt8]?) {
    guard sessions.contains(id) else { return }
    guard let index = sessions[id.index].subscriptionIndex(room) else { return refuseRevised(id, answerID) }
    guard let member = member(id.index, since: sessions[id.index].subscriptions[index].since)
    else { return }
    guard room.isSubscribed else { return abandonJoin(id, room, answerID) }
    operationBegins(id, bytes: room.name.count)
    enterBroker(room, member) { [weak self] result in
      self?.operationEnds(id, bytes: room.name.count)
      guard let self, self.sessions.contains(id) else { return }
      guard self.sessions[id.index].subscriptionIndex(room) != nil else { return self.refuseRevised(id, answerID) }
      guard case .success(let entered) = result else { return self.abandonJoin(id, room, answerID, result.fault) }
      self.startStream(of: room, at: entered)
      // Not heard yet, perhaps: should another master lack it, the join must not wait for it for ever.
      room.note(acknowledged: entered)
      room.arrivals.append(Room.Arrival(session: id, id: answerID, entered: entered, since: since))
      self.markDirty(room)
      // A read that failed while this one was entering has abandoned only those who had entered.
      self.readUsers(of: room)
    }
    readUsers(of: room)
  }

  /// Enters the room's presence, or where the rule keeps none, asks where the room is.
  private func enterBroker(_ room: Room, _ member: Member, _ reply: @escaping BrokerReply<Position>) {
    reads.seal(room: room.name)
    if room.rule.hasPresence { return broker.enter(room: room.name, member, reply) }
    broker.begin(room: room.name, reply)
  }

  private func startStream(of room: Room, at position: Position) {
    if room.phase == .entering {
      room.stream = RoomStream(at: position)
      room.phase = .live
      for held in room.takeHeld() { hear(room, held.position, held.envelope.span) }
      if room.mustCompare { recover(room) }
      room.mustCompare = false
    } else if room.phase == .live, room.stream?.position.epoch != position.epoch {
      recover(room)
    }
  }

  /// Answers `unavailable` and forgets the join, unless the client was in the room before it asked again.
  func abandonJoin(_ id: SlabID, _ room: Room, _ answerID: [UInt8]?, _ error: BrokerError = .unavailable) {
    if let index = sessions[id.index].subscriptionIndex(room), !sessions[id.index].subscriptions[index].isJoined {
      depart(id.index, from: sessions[id.index].subscriptions.remove(at: index))
    }
    refuse(id, failure: error, "Redis is out of reach: join again in a moment", answerID)
    if postponed[id] != nil { settled.append(id) }
  }

  // MARK: Admission

  /// Lets in whoever has waited long enough. Called at the end of a tick, right behind the room's batch.
  func admitArrivals(to room: Room) {
    guard room.phase == .live, let position = room.stream?.position else { return }
    guard knowsUsers(of: room) else { return }
    let userCount = userCount(of: room)
    var waiting: [Room.Arrival] = []
    swap(&waiting, &room.arrivals)
    for arrival in waiting where sessions.contains(arrival.session) {
      if arrival.isDue(at: position) {
        admit(arrival, to: room, at: position, userCount)
      } else {
        room.arrivals.append(arrival)
      }
    }
    if !room.arrivals.isEmpty { waitingRooms.append(room) }
  }

  private func admit(_ arrival: Room.Arrival, to room: Room, at position: Position, _ userCount: Int) {
    let session = arrival.session.index
    guard let index = sessions[session].subscriptionIndex(room) else {
      return refuseRevised(arrival.session, arrival.id)
    }
    let recovered: Bool?
    switch resumption(of: arrival, in: room, at: position) {
    case .notAsked: recovered = nil
    case .unknown: return readMissed(for: arrival, room)
    case .possible: recovered = true
    case .impossible: recovered = false
    }
    if recovered != true { skipCatchUp(session, index) }
    skipLag(session, index, isResuming: recovered == true)
    answer(
      arrival.session, .joined(roomJSON: room.nameJSON, position, userCount: userCount, recovered: recovered),
      id: arrival.id)
    if postponed[arrival.session] != nil { settled.append(arrival.session) }
    if recovered == true, let since = arrival.since, since.offset < position.offset {
      return resume(session, index, since: since.offset, firstPage: arrival.page)
    }
    endCatchUp(session, index)
    if sessions[session].subscriptions[index].place == nil {
      sessions[session].subscriptions[index].place = addToRoster(room, session)
    }
    if sessions[session].isBlocked { fallBehind(session, index) }
  }

  private enum Resumption { case notAsked, unknown, possible, impossible }

  /// Whether a client can be given everything that it missed. Only history tells which epochs this one continues.
  private func resumption(of arrival: Room.Arrival, in room: Room, at position: Position) -> Resumption {
    guard let since = arrival.since else { return .notAsked }
    if since.epoch != position.epoch, room.past == nil, !arrival.hasRead { return .unknown }
    guard since.isContinued(by: position, room.past ?? []) else { return .impossible }
    if since.offset == position.offset || room.recall?.messages(after: since.offset) != nil { return .possible }
    guard arrival.hasRead else { return .unknown }
    return arrival.page?.reaches(since.offset) == true ? .possible : .impossible
  }

  /// Reads the beginning of what a client missed, and has it wait for that.
  private func readMissed(for arrival: Room.Arrival, _ room: Room) {
    guard let since = arrival.since else { return }
    keepRecall(of: room)
    var arrival = arrival
    arrival.hasRead = true
    let isEarly = allowance(of: arrival.session)?.isEarlyResumption(among: configuration.roomsPerConnectionMax) ?? true
    // Until it is answered the client's next ones count with it: who asks on without an end is read no further.
    let size = room.name.count
    operationBegins(arrival.session, bytes: size)
    let request = ReadScheduler.Request(
      isDelayedByDebt: !isEarly,
      key: { [weak self] in
        // Another's read may have brought it.
        guard room.recall?.messages(after: since.offset) == nil else {
          self?.operationEnds(arrival.session, bytes: size)
          self?.waitAgain(arrival, in: room)
          return nil
        }
        return .history(room: room.name, Hub.missedQuery(since.offset), bytesMax: Limits.historyPageBytesMax)
      },
      finish: { [weak self] result in
        self?.operationEnds(arrival.session, bytes: size)
        guard let self, let result, sessions.contains(arrival.session), isKnown(room) else { return }
        guard case .success(.page(let page)) = result else {
          // Without history nobody can tell what was missed: the client asks again when the broker is back.
          return abandonJoin(arrival.session, room, arrival.id)
        }
        if page.position.epoch == room.stream?.position.epoch {
          arrival.page = page
          learn(from: page, in: room)
        }
        waitAgain(arrival, in: room)
      })
    reads.add(request, for: .session(arrival.session))
  }

  /// Has a join wait for the end of a tick again, with those who came meanwhile.
  private func waitAgain(_ arrival: Room.Arrival, in room: Room) {
    guard sessions.contains(arrival.session), isKnown(room) else { return }
    room.arrivals.append(arrival)
    markDirty(room)
    readUsers(of: room)
  }

  static func missedQuery(_ offset: UInt64) -> HistoryQuery { .after(offset, limit: Limits.historyReadMax) }

  // MARK: Roster

  func addToRoster(_ room: Room, _ session: UInt32) -> UInt32 {
    let form = sessions[session].form
    let target = sessions[session].target
    room.rosters[form: form].append(RosterEntry(target: target, session: session))
    transports[form]?.rostersChanged(of: target, by: 1)
    return UInt32(room.rosters[form: form].count - 1)
  }

  /// Fills the hole with the last entry: constant time however many members there are.
  func removeFromRoster(_ room: Room, form: DeliveryForm, place: UInt32) {
    transports[form]?.rostersChanged(of: room.rosters[form: form][Int(place)].target, by: -1)
    let last = room.rosters[form: form].removeLast()
    guard Int(place) < room.rosters[form: form].count else { return }
    room.rosters[form: form][Int(place)] = last
    if let index = sessions[last.session].subscriptionIndex(room) {
      sessions[last.session].subscriptions[index].place = place
    }
  }
}
