import ClientProtocol
import JSONCore

// Joins of a name that ends in `*`. A wildcard is one subscription of the node, whatever it matches. A room that nobody
// here has joined comes into being with the first message that a wildcard brings from it, and has a stream from then
// on: so its order is kept and its holes are mended as those of a joined room are.

extension Hub {
  /// Begins a join of a wildcard, or repeats one.
  func join(_ id: SlabID, wildcardName name: Span<UInt8>, asksToResume: Bool, answerID: [UInt8]?) {
    guard name.count > 1 else {
      return refuse(id, .badRoom, "a wildcard needs at least one byte before its *", answerID)
    }
    guard mayJoin(id.index, name) else { return refuse(id, .forbidden, Hub.roomForbidden, answerID) }
    let known = wildcards.byName.find(name)
    if let known, wildcards.isJoined(id.index, known) {
      return answerJoined(Wildcard.Arrival(session: id, id: answerID, asksToResume: asksToResume), known)
    }
    let limit = configuration.roomsPerConnectionMax
    guard roomCount(of: id.index) < limit else {
      counters.refusals.add(.rooms)
      return refuse(id, .tooManyRooms, "a connection is in at most \(limit) rooms: leave one first", answerID)
    }
    guard let wildcard = known ?? makeWildcard(name) else {
      let limit = configuration.wildcardsMax
      counters.refusals.add(.wildcards)
      return refuse(
        id, .tooManyRooms, "this node hears \(limit) wildcards already, as --max-wildcards allows", answerID)
    }
    wildcard.memberCount += 1
    wildcards.memberships[id.index, default: []].append(WildcardTable.Membership(wildcard: wildcard, place: nil))
    wildcard.arrivals.append(Wildcard.Arrival(session: id, id: answerID, asksToResume: asksToResume))
    switch wildcard.phase {
    case .live: admitArrivals(to: wildcard)
    case .subscribing: if wildcard.arrivals.count == 1 { subscribe(wildcard) }
    }
  }

  /// Ends a connection's stay in a wildcard. Leaving one it is not in does nothing.
  func leave(_ id: SlabID, wildcardName name: Span<UInt8>) {
    guard let wildcard = wildcards.byName.find(name), let index = wildcards.index(of: id.index, in: wildcard),
      let membership = wildcards.memberships[id.index]?.remove(at: index)
    else { return }
    if wildcards.memberships[id.index]?.isEmpty == true { wildcards.memberships[id.index] = nil }
    depart(id.index, from: membership)
  }

  /// Ends all of a session's stays in wildcards.
  func leaveWildcards(_ session: UInt32) {
    for membership in wildcards.memberships.removeValue(forKey: session) ?? [] { depart(session, from: membership) }
  }

  /// Rooms and wildcards that a session has joined or is joining.
  func roomCount(of session: UInt32) -> Int {
    sessions[session].subscriptions.count + (wildcards.memberships[session]?.count ?? 0)
  }

  /// Whether a session has asked to join a wildcard and is not in yet.
  func isJoiningWildcard(_ name: Span<UInt8>, _ session: UInt32) -> Bool {
    guard let wildcard = wildcards.byName.find(name), wildcards.index(of: session, in: wildcard) != nil else {
      return false
    }
    return !wildcards.isJoined(session, wildcard)
  }

  /// A wildcard's roster counts for more than one: several rooms of one tick may be delivered to it.
  private static let rostersOfWildcard: Int32 = 2

  // MARK: Life of a wildcard

  /// Returns nil when there are `wildcardsMax` already.
  private func makeWildcard(_ name: Span<UInt8>) -> Wildcard? {
    guard wildcards.byName.count < configuration.wildcardsMax else { return nil }
    let wildcard = Wildcard(name: [UInt8](copying: name))
    wildcards.insert(wildcard)
    return wildcard
  }

  /// The wildcards that match a room's name. They are looked for once after each change of the node's wildcards.
  func wildcards(of room: Room) -> [Wildcard] {
    if room.wildcardsRevision != wildcards.revision { findWildcards(of: room) }
    return room.wildcards
  }

  private func findWildcards(of room: Room) {
    let name = room.name
    let matching = wildcards.matching(name.span)
    // What the room has gathered is for those who heard it when that came, and may hold notices for its members only.
    if room.batch != nil, !matching.elementsEqual(room.wildcards, by: ===) { deliverBatch(of: room) }
    room.wildcards = matching
    room.wildcardsRevision = wildcards.revision
  }

  private func subscribe(_ wildcard: Wildcard) {
    broker.subscribe(prefix: wildcard.prefix) { [weak self] result in
      guard let self else { return }
      switch result {
      case .success:
        wildcard.phase = .live
        admitArrivals(to: wildcard)
      case .failure(let error): refuseArrivals(to: wildcard, error)
      }
    }
  }

  private func admitArrivals(to wildcard: Wildcard) {
    var arrivals: [Wildcard.Arrival] = []
    swap(&arrivals, &wildcard.arrivals)
    for arrival in arrivals where sessions.contains(arrival.session) {
      let session = arrival.session.index
      guard let index = wildcards.index(of: session, in: wildcard) else { continue }
      let form = sessions[session].form
      let entry = RosterEntry(target: sessions[session].target, session: session)
      wildcards.memberships[session]?[index].place = UInt32(wildcard.rosters[form: form].count)
      wildcard.rosters[form: form].append(entry)
      transport(of: entry.session)?.rostersChanged(of: entry.target, by: Hub.rostersOfWildcard)
      answerJoined(arrival, wildcard)
      if postponed[arrival.session] != nil { settled.append(arrival.session) }
    }
  }

  private func refuseArrivals(to wildcard: Wildcard, _ error: BrokerError) {
    var arrivals: [Wildcard.Arrival] = []
    swap(&arrivals, &wildcard.arrivals)
    for arrival in arrivals where sessions.contains(arrival.session) {
      let name = wildcard.name
      leave(arrival.session, wildcardName: name.span)
      switch error {
      case .unavailable, .uncertain, .refused:
        refuse(arrival.session, .unavailable, "Redis is out of reach: join again in a moment", arrival.id)
      case .unsupported:
        refuse(arrival.session, .badRoom, "this cluster's Redis allows no wildcards: join rooms by name", arrival.id)
      }
      if postponed[arrival.session] != nil { settled.append(arrival.session) }
    }
  }

  private func answerJoined(_ arrival: Wildcard.Arrival, _ wildcard: Wildcard) {
    let recovered = arrival.asksToResume ? false : nil
    answer(
      arrival.session, .joined(roomJSON: wildcard.nameJSON, nil, userCount: 0, recovered: recovered), id: arrival.id)
  }

  private func depart(_ session: UInt32, from membership: WildcardTable.Membership) {
    let wildcard = membership.wildcard
    if let place = membership.place {
      let form = sessions[session].form
      transport(of: session)?.rostersChanged(of: sessions[session].target, by: -Hub.rostersOfWildcard)
      let last = wildcard.rosters[form: form].removeLast()
      if Int(place) < wildcard.rosters[form: form].count {
        wildcard.rosters[form: form][Int(place)] = last
        if let index = wildcards.index(of: last.session, in: wildcard) {
          wildcards.memberships[last.session]?[index].place = place
        }
      }
    }
    wildcard.memberCount -= 1
    if wildcard.memberCount == 0 {
      wildcards.lingering.append((deadline: steady() + Limits.roomLingerMilliseconds, wildcard: wildcard))
    }
  }

  private func end(_ wildcard: Wildcard) {
    wildcards.remove(wildcard)
    broker.unsubscribe(prefix: wildcard.prefix)
  }

  /// Ends the rooms that only wildcards kept and that none keeps any more: what is published there does not come here.
  /// A room that still lingers behind its last member is heard by its own channel, and is ended with its time.
  private func endUnheardRooms() {
    for room in wildcards.heardRooms.map(\.room) where room.subscriberCount == 0 && !room.isSubscribed && isKnown(room)
    {
      if room.joinsWaiting.isEmpty, wildcards(of: room).isEmpty { end(room) }
    }
  }

  // MARK: Rooms that are heard without having been joined

  /// Makes the room of a message that came through a wildcard, or returns nil when no wildcard matches.
  func makeHeardRoom(_ name: Span<UInt8>) -> Room? {
    guard !wildcards.isEmpty, RoomName.isValid(name), !wildcards.matching(name).isEmpty else { return nil }
    if wildcards.heardRooms.count >= Limits.heardRoomsMax { endOldestHeardRooms() }
    let room = makeRoom(name)
    room.phase = .entering
    watchIdleness(of: room)
    return room
  }

  /// Begins the stream of a room with a message that came before anyone here had entered it, if wildcards hear the room:
  /// their members are owed this message, whatever position the room is entered at.
  func beginHeardStream(of room: Room, with position: Position) {
    guard room.phase != .recovering, !wildcards(of: room).isEmpty else { return }
    room.stream = RoomStream(at: Position(epoch: position.epoch, offset: max(position.offset, 1) - 1))
    room.phase = .live
    room.mustCompare = false
    for held in room.takeHeld() { hear(room, held.position, held.envelope.span) }
  }

  /// Does what is due by time; `expire` calls it.
  func expireWildcards(at now: UInt64) {
    let due = wildcards.lingering.prefix { $0.deadline <= now }
    wildcards.lingering.removeFirst(due.count)
    let revision = wildcards.revision
    for (_, wildcard) in due where wildcard.memberCount == 0 && isKnown(wildcard) { end(wildcard) }
    if wildcards.revision != revision { endUnheardRooms() }
    let heard = wildcards.heardRooms.prefix { $0.deadline <= now }
    wildcards.heardRooms.removeFirst(heard.count)
    for entry in heard { look(at: entry) }
  }

  /// A room whose last local member has gone lives on while a wildcard hears it.
  func keepForWildcards(_ room: Room) {
    guard room.joinsWaiting.isEmpty else {
      // Its subscription is still being confirmed, for clients that have gone: the answer must not find it given up.
      return lingering.append((deadline: steady() + Limits.roomLingerMilliseconds, room: room))
    }
    broker.unsubscribe(room: room.name)
    room.isSubscribed = false
    watchIdleness(of: room)
  }

  private func watchIdleness(of room: Room) {
    guard !room.isWatchedForIdleness else { return }
    room.isWatchedForIdleness = true
    wildcards.heardRooms.append(
      WildcardTable.HeardRoom(
        deadline: steady() + Limits.heardRoomIdleMilliseconds, position: room.stream?.position, room: room))
  }

  private func look(at entry: WildcardTable.HeardRoom) {
    let room = entry.room
    room.isWatchedForIdleness = false
    // A room with local members is watched again when the last of them has gone.
    guard room.subscriberCount == 0, isKnown(room) else { return }
    if entry.position == room.stream?.position { end(room) } else { watchIdleness(of: room) }
  }

  /// At the limit those that were looked at longest ago make place. Their next message makes them again.
  private func endOldestHeardRooms() {
    let oldest = wildcards.heardRooms.prefix(max(1, Limits.heardRoomsMax / 16))
    wildcards.heardRooms.removeFirst(oldest.count)
    for entry in oldest {
      entry.room.isWatchedForIdleness = false
      if entry.room.subscriberCount == 0, isKnown(entry.room) { end(entry.room) }
    }
  }

  private func isKnown(_ wildcard: Wildcard) -> Bool {
    let name = wildcard.name
    return wildcards.byName.find(name.span) === wildcard
  }

  // MARK: Fan-out

  /// Gives a room's batch to the members of its wildcards: to each once, however many of them it is in, and to none that
  /// has it as the room's own member.
  func deliverToWildcards(_ batch: RoomBatch, of room: Room) {
    let isOverlapping = room.wildcards.count > 1 || !room.rosters.isEmpty || room.lag != nil || !room.catchUps.isEmpty
    guard isOverlapping else {
      if let wildcard = room.wildcards.first { deliver(batch, of: room, to: wildcard.rosters) }
      return
    }
    let missing = Int(sessions.end) - wildcards.isReached.count
    if missing > 0 { wildcards.isReached.append(contentsOf: repeatElement(false, count: missing)) }
    mark(room.rosters, true)
    markBehind(in: room, true)
    for wildcard in room.wildcards {
      var rest = Rosters()
      for form in DeliveryForm.allCases {
        rest[form: form] = wildcard.rosters[form: form].filter { !wildcards.isReached[Int($0.session)] }
      }
      mark(rest, true)
      deliver(batch, of: room, to: rest)
    }
    mark(room.rosters, false)
    markBehind(in: room, false)
    for wildcard in room.wildcards { mark(wildcard.rosters, false) }
  }

  /// Whoever is behind has the room's messages kept for it; whoever catches up reads them.
  private func markBehind(in room: Room, _ value: Bool) {
    for member in room.lag?.members ?? [] { wildcards.isReached[Int(member.session)] = value }
    for member in room.catchUps.all { wildcards.isReached[Int(member.session.index)] = value }
  }

  private func mark(_ rosters: Rosters, _ value: Bool) {
    for form in DeliveryForm.allCases {
      for entry in rosters[form: form] { wildcards.isReached[Int(entry.session)] = value }
    }
  }

  /// Tells the members of wildcards that messages of rooms which this node had not heard yet may be lost: nobody can ask
  /// for the history of a room whose name is not known.
  func announceUnheard() {
    wildcards.byName.forEach { wildcard in
      guard wildcard.phase == .live else { return }
      send(.gap(roomJSON: wildcard.nameJSON, lost: nil), toEach: wildcard.rosters)
    }
  }
}
