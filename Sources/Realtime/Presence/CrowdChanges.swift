/// Who came and went in a crowded room since the last update: names up to a limit, and whether there were more.
/// Only the last change of a user counts. Pure.
struct CrowdChanges {
  /// Names in one `presence_update`.
  static let namesMax = 100

  private var isPresent: [[UInt8]: Bool] = [:]
  /// What users among them said since: who does not know yet that they are there would drop it.
  private var states: [[UInt8]: [UInt8]] = [:]
  /// Whether users changed who are not named.
  private(set) var hasMore = false

  var isEmpty: Bool { isPresent.isEmpty && !hasMore }

  /// Notes that a user is there now, or is not any more.
  mutating func note(_ user: [UInt8], isPresent present: Bool) {
    guard isPresent.count < CrowdChanges.namesMax || isPresent[user] != nil else {
      hasMore = true
      return
    }
    isPresent[user] = present
  }

  /// Keeps a user's state for after the next update, if that will name the user. Returns whether it does.
  mutating func keep(_ state: [UInt8], of user: [UInt8]) -> Bool {
    guard isPresent[user] != nil else { return false }
    states[user] = state
    return true
  }

  /// One summary.
  struct Summary {
    /// Those who are there now, ascending.
    var joined: [[UInt8]] = []
    /// Those who are not, ascending.
    var left: [[UInt8]] = []
    var hasMore = false
    /// The states of some of them, announced afterwards.
    var states: [(user: [UInt8], state: [UInt8])] = []
  }

  /// Takes everything out.
  mutating func takeAll() -> Summary {
    defer { self = CrowdChanges() }
    let users = isPresent.keys.sorted { $0.lexicographicallyPrecedes($1) }
    return Summary(
      joined: users.filter { isPresent[$0] == true }, left: users.filter { isPresent[$0] == false }, hasMore: hasMore,
      states: users.compactMap { user in states[user].map { (user, $0) } })
  }
}
