/// Judges what clients saw of rooms' messages: one order everywhere, nothing twice, nothing lost unsaid, nothing said
/// to be lost that could have been had.
struct StreamCheck {
  var violations: [Violation] = []

  /// A client in a room.
  struct Seat: Hashable {
    let who: String
    let room: String
  }

  /// Where in a room something was.
  struct Spot: Hashable {
    let room: String
    let place: Place
  }

  /// Messages that a client did not get: told so, or not at all.
  struct Missing {
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

  let records: [Record]
  let historySize: Int
  /// Whether a cluster's nodes follow their masters by its map: there a replaced master may give offsets that are given twice.
  let isCluster: Bool
  let lineages: Lineages
  /// Where a client is in a room that it is in.
  private var positions: [Seat: Place] = [:]
  private var newestEpoch: [Seat: String] = [:]
  var bodies: [Spot: String] = [:]
  var spots: [String: [Spot]] = [:]
  var seen: Set<Spot> = []
  /// Who wrote a body without wanting it back.
  var unechoed: [String: String] = [:]
  var missing: [Missing] = []
  /// The last offset of an epoch at which a client was acked.
  var ackedUpTo: [Seat: Place] = [:]
  /// Who was told that an epoch goes on, which lacks what they had been acked, and where; nobody, once they are told more.
  var unaware: [Seat: Int] = [:]
  /// The highest offset known of an epoch, growing with time.
  var tops: [String: [(at: Int, offset: Int)]] = [:]
  var epochs: [String: [String]] = [:]
  /// When an epoch was first seen, in milliseconds.
  var begunAt: [String: Int] = [:]
  var lossesSoFar = 0
  /// Failovers that lost nothing, and those that may have: each begins an epoch that goes on from the one before, and the others
  /// one more, when a node comes that knows of something which is not there.
  private var successionsSoFar = 0
  private var failoversSoFar = 0
  /// When messages and ids were lost, in milliseconds.
  var historyLostAt: [Int] = []
  /// When a message was first seen at a place, in milliseconds.
  var knownAt: [Spot: Int] = [:]
  /// When two servers may have taken themselves for the master.
  private var splits: [Range<Int>] = []
  /// When failovers as they are began that have not ended.
  private var failoverAt: Int?
  /// Places that two messages were given.
  var collisions: [(spot: Spot, promise: String, index: Int)] = []
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
    for index in unaware.values { complain("goes on without what was acked, and nobody says so", index) }
  }

  mutating func complain(_ promise: String, _ index: Int) {
    violations.append(
      Violation(promise: promise, who: records[index].who, room: records[index].room, index: index))
  }

  // MARK: One record after the other

  private mutating func look(at record: Record, _ index: Int) {
    switch record.fact {
    case .sent(_, let body, let echo): if !echo { unechoed[body] = record.who }
    case .acked(let room, let body, let place):
      know(body, at: spot(room, place), index)
      ackedUpTo[Seat(who: record.who, room: room)] = place
    case .refused(let code): if code != "unavailable" { complain("refused with \(code)", index) }
    case .closed(let byServer, let why):
      positions = positions.filter { $0.key.who != record.who }
      unaware = unaware.filter { $0.key.who != record.who }
      if byServer, record.at > nodeKilledAt + 2000 { complain("the server hung up: \(why)", index) }
    case .left(let room): positions[Seat(who: record.who, room: room)] = nil
    case .joined(let room, let place, let since, let recovered):
      joined(Seat(who: record.who, room: room), place, since, recovered, index)
    case .renewed(let room, let place):
      let seat = Seat(who: record.who, room: room)
      if positions[seat]?.epoch == place.epoch { complain("renewed within an epoch", index) }
      unaware[seat] = nil
      move(seat, to: place, index)
    case .continued(let room, let epoch, let place):
      let seat = Seat(who: record.who, room: room)
      if let acked = ackedUpTo[seat], acked.epoch == epoch, acked.offset > place.offset { unaware[seat] = index }
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
      if loss == .everything, text.contains(" master ") { failoversSoFar += isCluster ? 0 : 1 }
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
        epochs[room]!.count { !lineages.continues($0, in: room) } <= lossesSoFar + failoversSoFar + 1
      }
    if !isAllowed { complain("a new epoch, though nothing was lost", index) }
  }

  /// Whether an epoch came after the one of a place and does not have what stands there.
  func isOver(_ place: Place, in room: String) -> Bool {
    epochs[room, default: []].contains {
      isLater($0, than: place.epoch, in: room)
        && spot(room, Place(epoch: $0, offset: place.offset)) != spot(room, place)
    }
  }

  /// A place under the name that it had first.
  func spot(_ room: String, _ place: Place) -> Spot {
    Spot(room: room, place: lineages.first(place, in: room))
  }

  func wasSplit(at moment: Int) -> Bool {
    splits.contains { $0.contains(moment) } || (!isCluster && failoverAt != nil)
  }

  /// Whether an epoch of a room was first seen after another. Their names tell nothing: the clock of Redis may be set back.
  func isLater(_ one: String, than other: String, in room: String) -> Bool {
    let known = epochs[room, default: []]
    guard let place = known.firstIndex(of: one) else { return false }
    return place > known.firstIndex(of: other) ?? known.count
  }

  private mutating func raise(_ place: Place, _ index: Int) {
    if let top = tops[place.epoch]?.last, top.offset >= place.offset { return }
    tops[place.epoch, default: []].append((records[index].at, place.offset))
  }

  private var hasFailedOver: Bool { lossesSoFar + successionsSoFar > 0 }
}
