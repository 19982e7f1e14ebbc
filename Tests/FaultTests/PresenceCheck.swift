/// Judges what clients were told of others' coming and going: for each stay of an observer in a room and each user,
/// `user_joined` and `user_left` take turns, begin from what was so when the observer came, and end at what is so.
struct PresenceCheck {
  private(set) var violations: [Violation] = []
  /// Those of them that may come right yet: what an observer believes at the end.
  private(set) var beliefs: [Violation] = []

  /// An observer's uninterrupted time in a room.
  private struct Stay {
    let who: String
    let room: String
    /// What surely was so when it began: whether a user was there.
    let known: [String: Bool]
    var notices: [String: [(hasJoined: Bool, index: Int)]] = [:]
  }

  /// Users' connections in a room.
  private struct Crowd {
    /// Clients that are in, by the record of their joining.
    var present: [String: Int] = [:]
    /// When anything was last done by a user, in milliseconds.
    var touchedAt: [String: Int] = [:]
  }

  /// How long after a fault nothing is sure. In milliseconds.
  private static let unsureMilliseconds = 12_000

  private let records: [Record]
  private let users: [String: String]
  private var crowds: [String: Crowd] = [:]
  private var stays: [String: Stay] = [:]
  /// When a client last asked to join a room, as a place in the records.
  private var asked: [String: Int] = [:]
  private var disturbedAt = Int.min / 2

  /// - Parameter users: the user of every client.
  init(_ records: [Record], users: [String: String]) {
    self.records = records
    self.users = users
    for index in records.indices { look(at: records[index], index) }
    for stay in stays.values { judge(stay, isLast: true) }
  }

  private func user(_ who: String) -> String { users[who] ?? who }

  private mutating func look(at record: Record, _ index: Int) {
    switch record.fact {
    case .fault, .healed: disturbedAt = record.at
    case .joining(let room):
      asked[record.who + " " + room] = index
      crowds[room, default: Crowd()].touchedAt[user(record.who)] = record.at
    case .joined(let room, _, _, _): begin(record, room, index)
    case .leaving(let room): end(record, room)
    case .closed:
      for room in crowds.keys.sorted() where crowds[room]?.present[record.who] != nil { end(record, room) }
    case .notice(let room, let user, let hasJoined):
      guard stays[record.who + " " + room] != nil else { break }
      stays[record.who + " " + room]!.notices[user, default: []].append((hasJoined, index))
    default: break
    }
  }

  private mutating func begin(_ record: Record, _ room: String, _ index: Int) {
    let key = record.who + " " + room
    stays[key] = Stay(who: record.who, room: room, known: known(record, room, since: asked[key] ?? index))
    crowds[room, default: Crowd()].present[record.who] = index
    crowds[room]!.touchedAt[user(record.who)] = record.at
  }

  /// Which users surely were in a room, or out of it, while an observer came.
  private func known(_ record: Record, _ room: String, since asked: Int) -> [String: Bool] {
    guard record.at > disturbedAt + PresenceCheck.unsureMilliseconds else { return [:] }
    let crowd = crowds[room] ?? Crowd()
    var known: [String: Bool] = [:]
    for user in Set(users.values) where user != self.user(record.who) {
      let joined = crowd.present.filter { self.user($0.key) == user }.values
      if joined.contains(where: { $0 < asked }) {
        known[user] = true
      } else if joined.isEmpty, crowd.touchedAt[user, default: .min / 2] < record.at - PresenceCheck.unsureMilliseconds
      {
        known[user] = false
      }
    }
    return known
  }

  private mutating func end(_ record: Record, _ room: String) {
    crowds[room, default: Crowd()].present[record.who] = nil
    crowds[room]!.touchedAt[user(record.who)] = record.at
    guard let stay = stays.removeValue(forKey: record.who + " " + room) else { return }
    judge(stay, isLast: false)
  }

  private mutating func judge(_ stay: Stay, isLast: Bool) {
    let present = Set((crowds[stay.room]?.present.keys).map { $0.map { user($0) } } ?? [])
    for user in Set(users.values) where user != self.user(stay.who) {
      let notices = stay.notices[user] ?? []
      var state = stay.known[user]
      for notice in notices {
        if state == notice.hasJoined {
          complain(stay, "told twice that \(user) has \(notice.hasJoined ? "joined" : "left")", notice.index)
        }
        state = notice.hasJoined
      }
      guard isLast, let state, state != present.contains(user) else { continue }
      complain(stay, "believes at the end that \(user) is \(state ? "there" : "gone")", notices.last?.index)
      beliefs.append(violations[violations.count - 1])
    }
  }

  private mutating func complain(_ stay: Stay, _ promise: String, _ index: Int?) {
    violations.append(Violation(promise: promise, who: stay.who, room: stay.room, index: index))
  }
}
