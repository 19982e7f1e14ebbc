import ClientProtocol
import JSONCore

/// Joins of a name that ends in `*`. A wildcard is one subscription of the node, whatever it matches.
/// Confined to the loop that created its hub.
final class WildcardJoins {
  private let context: HubContext
  private let wildcards: WildcardTable
  private let access: RoomAccess
  private let pending: PendingOperations
  private let lifetimes: RoomLifetimes
  /// Wildcards without members, in the order in which their time is up.
  private var lingering: [(deadline: UInt64, wildcard: Wildcard)] = []

  init(
    _ context: HubContext, wildcards: WildcardTable, access: RoomAccess, pending: PendingOperations,
    lifetimes: RoomLifetimes
  ) {
    self.context = context
    self.wildcards = wildcards
    self.access = access
    self.pending = pending
    self.lifetimes = lifetimes
  }

  /// Begins a join of a wildcard, or repeats one.
  func join(_ id: SlabID, wildcardName name: Span<UInt8>, asksToResume: Bool, answerID: [UInt8]?) {
    guard name.count > 1 else {
      return context.refuse(id, .badRoom, Refusal.wildcardOfEverything, answerID)
    }
    guard access.mayJoin(id.index, name) else { return context.refuse(id, .forbidden, Refusal.roomForbidden, answerID) }
    let known = wildcards.byName.find(name)
    if let known, wildcards.isJoined(id.index, known) {
      return answerJoined(Wildcard.Arrival(session: id, id: answerID, asksToResume: asksToResume), known)
    }
    let limit = context.configuration.roomsPerConnectionMax
    guard context.sessions[id.index].subscriptions.count + wildcards.count(of: id.index) < limit else {
      context.counters.refusals.add(.rooms)
      return context.refuse(id, .tooManyRooms, "a connection is in at most \(limit) rooms: leave one first", answerID)
    }
    guard let wildcard = known ?? makeWildcard(name) else {
      let limit = context.configuration.wildcardsMax
      context.counters.refusals.add(.wildcards)
      return context.refuse(
        id, .tooManyRooms, "this node hears \(limit) wildcards already, as --max-wildcards allows", answerID)
    }
    wildcard.memberCount += 1
    wildcards.add(wildcard, to: id.index)
    wildcard.arrivals.append(Wildcard.Arrival(session: id, id: answerID, asksToResume: asksToResume))
    switch wildcard.phase {
    case .live: admitArrivals(to: wildcard)
    case .subscribing: if wildcard.arrivals.count == 1 { subscribe(wildcard) }
    }
  }

  /// Ends a connection's stay in a wildcard. Leaving one it is not in does nothing.
  func leave(_ id: SlabID, wildcardName name: Span<UInt8>) {
    guard let wildcard = wildcards.byName.find(name), let membership = wildcards.remove(id.index, from: wildcard)
    else { return }
    depart(id.index, from: membership)
  }

  /// Ends all of a session's stays in wildcards.
  func leaveWildcards(_ session: UInt32) {
    for membership in wildcards.removeAll(of: session) { depart(session, from: membership) }
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

  /// Returns nil when there are `wildcardsMax` already.
  private func makeWildcard(_ name: Span<UInt8>) -> Wildcard? {
    guard wildcards.byName.count < context.configuration.wildcardsMax else { return nil }
    let wildcard = Wildcard(name: [UInt8](copying: name))
    wildcards.insert(wildcard)
    return wildcard
  }

  private func subscribe(_ wildcard: Wildcard) {
    context.broker.subscribe(prefix: wildcard.prefix) { [weak self] result in
      guard let self else { return }
      switch result {
      case .success:
        wildcard.phase = .live
        admitArrivals(to: wildcard)
      case .failure(let error): refuseArrivals(to: wildcard, error)
      }
    }
  }

  func admitArrivals(to wildcard: Wildcard) {
    var arrivals: [Wildcard.Arrival] = []
    swap(&arrivals, &wildcard.arrivals)
    for arrival in arrivals where context.sessions.contains(arrival.session) {
      let session = arrival.session.index
      guard let index = wildcards.index(of: session, in: wildcard) else { continue }
      let format = context.sessions[session].format
      let entry = RosterEntry(connection: context.sessions[session].connection, session: session)
      wildcards.setPlace(UInt32(wildcard.rosters[format: format].count), of: session, at: index)
      wildcard.rosters[format: format].append(entry)
      context.transport(of: entry.session)?.rostersChanged(of: entry.connection, by: WildcardJoins.rostersOfWildcard)
      answerJoined(arrival, wildcard)
      pending.settle(arrival.session)
    }
  }

  private func refuseArrivals(to wildcard: Wildcard, _ error: BrokerError) {
    var arrivals: [Wildcard.Arrival] = []
    swap(&arrivals, &wildcard.arrivals)
    for arrival in arrivals where context.sessions.contains(arrival.session) {
      let name = wildcard.name
      leave(arrival.session, wildcardName: name.span)
      switch error {
      case .unavailable, .uncertain, .refused:
        context.refuse(arrival.session, .unavailable, "Redis is out of reach: join again in a moment", arrival.id)
      case .unsupported:
        context.refuse(
          arrival.session, .badRoom, "this cluster's Redis allows no wildcards: join rooms by name", arrival.id)
      }
      pending.settle(arrival.session)
    }
  }

  private func answerJoined(_ arrival: Wildcard.Arrival, _ wildcard: Wildcard) {
    let recovered = arrival.asksToResume ? false : nil
    context.answer(
      arrival.session, .joined(roomJSON: wildcard.nameJSON, nil, userCount: 0, recovered: recovered), id: arrival.id,
      in: wildcard.name)
  }

  func depart(_ session: UInt32, from membership: WildcardTable.Membership) {
    let wildcard = membership.wildcard
    if let place = membership.place {
      let format = context.sessions[session].format
      context.transport(of: session)?.rostersChanged(
        of: context.sessions[session].connection, by: -WildcardJoins.rostersOfWildcard)
      let last = wildcard.rosters[format: format].removeLast()
      if Int(place) < wildcard.rosters[format: format].count {
        wildcard.rosters[format: format][Int(place)] = last
        if let index = wildcards.index(of: last.session, in: wildcard) {
          wildcards.setPlace(place, of: last.session, at: index)
        }
      }
    }
    wildcard.memberCount -= 1
    if wildcard.memberCount == 0 {
      lingering.append((deadline: context.steady() + Limits.roomLingerMilliseconds, wildcard: wildcard))
    }
  }

  private func end(_ wildcard: Wildcard) {
    wildcards.remove(wildcard)
    context.broker.unsubscribe(prefix: wildcard.prefix)
  }

  /// Sends the members of wildcards a `gap`: messages of rooms that this node did not know yet may be lost, and nobody can ask
  /// for the history of a room whose name is not known.
  func announceUnknownGap() {
    wildcards.byName.forEach { wildcard in
      guard wildcard.phase == .live else { return }
      context.send(.gap(roomJSON: wildcard.nameJSON, lost: nil), toEach: wildcard.rosters)
    }
  }

  /// Ends the wildcards that nobody came back to, and the rooms that only they kept.
  func expire(at now: UInt64) {
    guard let first = lingering.first, first.deadline <= now else { return }
    let due = lingering.prefix { $0.deadline <= now }
    lingering.removeFirst(due.count)
    let revision = wildcards.revision
    for (_, wildcard) in due where wildcard.memberCount == 0 && wildcards.isKnown(wildcard) { end(wildcard) }
    if wildcards.revision != revision { lifetimes.endUnmatchedRooms() }
  }
}
