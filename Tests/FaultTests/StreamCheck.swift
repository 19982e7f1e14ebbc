/// Judges what clients saw of rooms' messages: one order everywhere, nothing twice, nothing lost unsaid, nothing said
/// to be lost that could have been had.
struct StreamCheck {
  private(set) var violations: [Violation] = []

  /// A client in a room.
  private struct Seat: Hashable {
    let who: String
    let room: String
  }

  /// Where in a room something was.
  private struct Spot: Hashable {
    let room: String
    let place: Place
  }

  /// Messages that a client did not get: told so, or not at all.
  private struct Missing {
    let seat: Seat
    let epoch: String
    let offsets: ClosedRange<Int>
    let isTold: Bool
    let index: Int
  }

  /// How long nodes may disagree about who is the master after a replaced one goes on: they ask every two seconds, and a
  /// sentinel has a second to answer.
  static let splitMilliseconds = 5000
  /// How long sentinels may take to demote a replaced master, and until then may make it the master again.
  private static let demotionMilliseconds = 15_000

  private let records: [Record]
  private let historySize: Int
  /// Whether a cluster's nodes follow their masters by its map: there a replaced master may give offsets that are given twice.
  private let isCluster: Bool
  private let lineages: Lineages
  /// Where a client is in a room that it is in.
  private var positions: [Seat: Place] = [:]
  private var newestEpoch: [Seat: String] = [:]
  private var bodies: [Spot: String] = [:]
  private var spots: [String: [Spot]] = [:]
  private var seen: Set<Spot> = []
  /// Who wrote a body without wanting it back.
  private var unechoed: [String: String] = [:]
  private var missing: [Missing] = []
  /// The highest offset known of an epoch, growing with time.
  private var tops: [String: [(at: Int, offset: Int)]] = [:]
  private var epochs: [String: [String]] = [:]
  /// When an epoch was first seen, in milliseconds.
  private var begunAt: [String: Int] = [:]
  private var lossesSoFar = 0
  /// Failovers that lost nothing: they too begin an epoch.
  private var successionsSoFar = 0
  /// When messages and ids were lost, in milliseconds.
  private var historyLostAt: [Int] = []
  /// When a message was first seen at a place, in milliseconds.
  private var knownAt: [Spot: Int] = [:]
  /// When two servers may have taken themselves for the master.
  private var splits: [Range<Int>] = []
  /// When failovers as they are began that have not ended.
  private var failoverAt: Int?
  /// Places that two messages were given.
  private var collisions: [(spot: Spot, promise: String, index: Int)] = []
  private var nodeKilledAt = Int.min / 2

  init(_ records: [Record], historySize: Int, isCluster: Bool = false) {
    self.records = records
    self.historySize = historySize
    self.isCluster = isCluster
    lineages = Lineages(records)
    for index in records.indices { look(at: records[index], index) }
    judgeCollisions()
    judgeRepetitions()
    judgeAcks()
    for hole in missing { judge(hole) }
  }

  private mutating func complain(_ promise: String, _ index: Int) {
    violations.append(
      Violation(promise: promise, who: records[index].who, room: records[index].room, index: index))
  }

  // MARK: One record after the other

  private mutating func look(at record: Record, _ index: Int) {
    switch record.fact {
    case .sent(_, let body, let echo): if !echo { unechoed[body] = record.who }
    case .acked(let room, let body, let place): know(body, at: spot(room, place), index)
    case .refused(let code): if code != "unavailable" { complain("refused with \(code)", index) }
    case .closed(let byServer, let why):
      positions = positions.filter { $0.key.who != record.who }
      if byServer, record.at > nodeKilledAt + 2000 { complain("the server hung up: \(why)", index) }
    case .left(let room): positions[Seat(who: record.who, room: room)] = nil
    case .joined(let room, let place, let since, let recovered):
      joined(Seat(who: record.who, room: room), place, since, recovered, index)
    case .renewed(let room, let place):
      let seat = Seat(who: record.who, room: room)
      if positions[seat]?.epoch == place.epoch { complain("renewed within an epoch", index) }
      move(seat, to: place, index)
    case .continued(let room, _, let place):
      let seat = Seat(who: record.who, room: room)
      advance(seat, to: place.offset, isTold: false, index)
      move(seat, to: place, index)
    case .message(let room, let place, let body):
      let seat = Seat(who: record.who, room: room)
      advance(seat, to: place.offset - 1, isTold: false, index)
      positions[seat] = place
      know(body, at: spot(room, place), index)
      seen.insert(spot(room, place))
    case .gap(let room, let from, let to):
      let seat = Seat(who: record.who, room: room)
      advance(seat, to: from - 1, isTold: false, index)
      advance(seat, to: to, isTold: true, index)
    case .fault(let text, let loss):
      if loss == .everything { lossesSoFar += 1 } else if text.hasPrefix("failover") { successionsSoFar += 1 }
      if text.hasPrefix("failover as it is") { failoverAt = record.at }
      if loss != .nothing { historyLostAt.append(record.at) }
      if text.hasPrefix("kill -9 node") { nodeKilledAt = record.at }
    case .healed(let text):
      guard text.hasPrefix("SIGSTOP master") || text.hasPrefix("failover as it is") else { break }
      let start = isCluster ? record.at : failoverAt ?? record.at
      let length = isCluster ? StreamCheck.splitMilliseconds : StreamCheck.demotionMilliseconds
      splits.append(start..<(record.at + length))
      failoverAt = nil
    case .nonsense(let what): complain(what, index)
    default: break
    }
  }

  private mutating func joined(_ seat: Seat, _ place: Place, _ since: Place?, _ recovered: Bool?, _ index: Int) {
    guard let since else { return move(seat, to: place, index) }
    if recovered == true {
      let start = Place(epoch: place.epoch, offset: since.offset)
      let isSame = spot(seat.room, since) == spot(seat.room, start) && (since.epoch == place.epoch || hasFailedOver)
      if !isSame || since.offset > place.offset { complain("recovered from \(since)?", index) }
      return move(seat, to: start, index)
    }
    if since.epoch == place.epoch {
      if since.offset >= place.offset { complain("not recovered, though nothing was missed", index) }
      positions[seat] = since
      advance(seat, to: place.offset, isTold: true, index)
    }
    move(seat, to: place, index)
  }

  /// Puts a client somewhere else in a room.
  private mutating func move(_ seat: Seat, to place: Place, _ index: Int) {
    let isSplit = wasSplit(at: records[index].at)
    if let newest = newestEpoch[seat], isLater(newest, than: place.epoch, in: seat.room), !isSplit {
      complain("went back to an epoch that was over", index)
    }
    newestEpoch[seat] = place.epoch
    positions[seat] = place
    know(place.epoch, of: seat.room, index)
    raise(place, index)
  }

  /// Moves a client forward over messages that it did not get.
  private mutating func advance(_ seat: Seat, to offset: Int, isTold: Bool, _ index: Int) {
    guard let position = positions[seat] else { return complain("heard outside of a stay", index) }
    if offset < position.offset { return complain("behind its own position \(position)", index) }
    positions[seat] = Place(epoch: position.epoch, offset: offset)
    guard offset > position.offset else { return }
    missing.append(
      Missing(
        seat: seat, epoch: position.epoch, offsets: (position.offset + 1)...offset, isTold: isTold, index: index))
  }

  private mutating func know(_ body: String, at spot: Spot, _ index: Int) {
    if let other = bodies[spot] {
      if other != body {
        collisions.append((spot, "two messages at \(spot.place): \(other) and \(body)", index))
      }
      return
    }
    bodies[spot] = body
    knownAt[spot] = records[index].at
    spots[body, default: []].append(spot)
    know(spot.place.epoch, of: spot.room, index)
    raise(spot.place, index)
  }

  /// Every epoch but the first of a room needs a loss that came before.
  private mutating func know(_ epoch: String, of room: String, _ index: Int) {
    guard !epochs[room, default: []].contains(epoch) else { return }
    epochs[room, default: []].append(epoch)
    begunAt[epoch] = records[index].at
    let isAllowed =
      if lineages.continues(epoch, in: room) {
        hasFailedOver
      } else {
        epochs[room]!.count { !lineages.continues($0, in: room) } <= lossesSoFar + 1
      }
    if !isAllowed { complain("a new epoch, though nothing was lost", index) }
  }

  /// Whether an epoch came after the one of a place and does not have what stands there.
  private func isOver(_ place: Place, in room: String) -> Bool {
    epochs[room, default: []].contains {
      isLater($0, than: place.epoch, in: room)
        && spot(room, Place(epoch: $0, offset: place.offset)) != spot(room, place)
    }
  }

  /// A place under the name that it had first.
  private func spot(_ room: String, _ place: Place) -> Spot {
    Spot(room: room, place: lineages.first(place, in: room))
  }

  private func wasSplit(at moment: Int) -> Bool {
    splits.contains { $0.contains(moment) } || (!isCluster && failoverAt != nil)
  }

  /// Whether an epoch of a room was first seen after another. Their names tell nothing: the clock of Redis may be set back.
  private func isLater(_ one: String, than other: String, in room: String) -> Bool {
    let known = epochs[room, default: []]
    guard let place = known.firstIndex(of: one) else { return false }
    return place > known.firstIndex(of: other) ?? known.count
  }

  private mutating func raise(_ place: Place, _ index: Int) {
    if let top = tops[place.epoch]?.last, top.offset >= place.offset { return }
    tops[place.epoch, default: []].append((records[index].at, place.offset))
  }

  private var hasFailedOver: Bool { lossesSoFar + successionsSoFar > 0 }

  // MARK: At the end

  /// In a cluster two masters count on from the same number. Whoever was with the one that lost learns it by a new epoch.
  private mutating func judgeCollisions() {
    for (spot, promise, index) in collisions {
      let isOver = epochs[spot.room, default: []].contains { isLater($0, than: spot.place.epoch, in: spot.room) }
      if isCluster, wasSplit(at: records[index].at), isOver { continue }
      complain(promise, index)
    }
  }

  private mutating func judgeRepetitions() {
    for (body, places) in spots where places.count > 1 {
      // Under the other name of an epoch that goes on, which nobody was told of.
      if Set(places.map(\.place.offset)).count == 1 { continue }
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
  private mutating func judgeAcks() {
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

  private mutating func judge(_ hole: Missing) {
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
