// What can be judged only when all has been seen: a loss may be explained later.

extension StreamCheck {
  /// In a cluster two masters count on from the same number. Whoever was with the one that lost learns it by a new epoch.
  mutating func judgeCollisions() {
    for (spot, promise, index) in collisions {
      let isOver = epochs[spot.room, default: []].contains { isLater($0, than: spot.place.epoch, in: spot.room) }
      if isCluster, wasSplit(at: records[index].at), isOver { continue }
      complain(promise, index)
    }
  }

  mutating func judgeRepetitions() {
    for (body, places) in spots where places.count > 1 {
      // Under the other name of an epoch that goes on, which nobody was told of.
      let isRenamed = places.contains { lineages.continues($0.place.epoch, in: $0.room) }
      if isRenamed, Set(places.map(\.place.offset)).count == 1 { continue }
      // Within an epoch too, when the ids were lost and the counter was not.
      let times = places.compactMap { knownAt[$0] }.sorted()
      if historyLostAt.contains(where: { times[0] <= $0 + 2000 && $0 <= times[times.count - 1] }) { continue }
      // Whoever repeats after Redis has lost everything publishes again: the id was lost too.
      let isWithinEpoch = Set(places.map(\.place.epoch)).count < places.count
      guard isWithinEpoch || lossesSoFar == 0 else { continue }
      let index = records.lastIndex { if case .message(_, _, body) = $0.fact { true } else { false } }
      violations.append(
        Violation(
          promise: "\(body) was published \(places.count) times: \(places.map(\.place))", who: "-",
          room: places[0].room, index: index))
    }
  }

  /// Whether somebody was told, later, that an offset is lost.
  private func isInGap(_ room: String, _ offset: Int, after index: Int) -> Bool {
    records[index...].contains { record in
      guard case .gap(room, let from, let to) = record.fact else { return false }
      return from <= offset && offset <= to
    }
  }

  /// What was acked last must have been seen by somebody who was in the room by then, or lie in a gap that somebody was
  /// told of and that is judged for itself, unless history was too short for everyone. Who came later and was told that it
  /// could not resume is owed nothing.
  mutating func judgeAcks() {
    guard historySize > 1000 else { return }
    let entries = entries()
    for index in records.indices {
      guard case .acked(let room, let body, let place) = records[index].fact else { continue }
      guard !isOver(place, in: room) else { continue }
      let isOwed = entries[Spot(room: room, place: Place(epoch: place.epoch, offset: 0)), default: []].contains {
        $0.who != records[index].who && $0.offset < place.offset
      }
      guard isOwed, !isInGap(room, place.offset, after: index) else { continue }
      if !seen.contains(spot(room, place)) { complain("\(body) was acked and never seen", index) }
    }
  }

  /// Who entered each epoch of a room, and behind which offset.
  private func entries() -> [Spot: [(who: String, offset: Int)]] {
    var entries: [Spot: [(who: String, offset: Int)]] = [:]
    for record in records {
      switch record.fact {
      case .joined(let room, let place, let since, let recovered):
        let start = recovered == true ? since?.offset ?? place.offset : place.offset
        entries[Spot(room: room, place: Place(epoch: place.epoch, offset: 0)), default: []].append((record.who, start))
      case .renewed(let room, let place), .continued(let room, _, let place):
        entries[Spot(room: room, place: Place(epoch: place.epoch, offset: 0)), default: []]
          .append((record.who, place.offset))
      default: continue
      }
    }
    return entries
  }

  mutating func judge(_ hole: Missing) {
    if hole.isTold { return judgeTold(hole) }
    for offset in hole.offsets {
      let body = bodies[spot(hole.seat.room, Place(epoch: hole.epoch, offset: offset))]
      // Its own message does not come back to whoever did not want it.
      if let body, unechoed[body] == hole.seat.who { continue }
      complain("missed \(offset) without being told", hole.index)
    }
  }

  /// What history still held must not be called lost. History is known to be so far only two seconds later.
  private mutating func judgeTold(_ hole: Missing) {
    let top = tops[hole.epoch]?.last { $0.at <= records[hole.index].at + 2000 }?.offset ?? 0
    guard top - hole.offsets.lowerBound < historySize - 1 else { return }
    // The messages were lost, and not their count.
    if historyLostAt.contains(where: { lostAt in
      lostAt <= records[hole.index].at
        && hole.offsets.lowerBound <= tops[hole.epoch]?.last { $0.at <= lostAt + 2000 }?.offset ?? 0
    }) {
      return
    }
    // The epoch was over before its history could be read: the next one was seen soon after.
    let at = records[hole.index].at
    let isOver = epochs[hole.seat.room, default: []].contains {
      isLater($0, than: hole.epoch, in: hole.seat.room) && begunAt[$0, default: .max] < at + 5000
    }
    guard !isOver else { return }
    complain("\(hole.offsets) were called lost, and history held \(historySize) up to \(top)", hole.index)
  }
}
