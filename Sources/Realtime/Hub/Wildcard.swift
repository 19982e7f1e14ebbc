import ClientProtocol
import JSONCore

/// A name that ends in `*`, and the connections of this node that hear every room whose name begins with the rest.
///
/// They stand in no room's roster: a wildcard has one roster, which each matching room's batches are given to as well.
/// So a join costs the same however many rooms match, and a message is matched against no pattern: a room is, once after
/// each change of the node's wildcards.
/// Confined to the loop that created its hub.
final class Wildcard: Named {
  enum Phase {
    /// The subscription is being confirmed.
    case subscribing
    case live
  }

  /// A join that waits for the subscription.
  struct Arrival {
    let session: SlabID
    let id: [UInt8]?
    let asksToResume: Bool
  }

  let name: [UInt8]
  /// The name as a JSON string, quotes included.
  let nameJSON: [UInt8]
  var phase = Phase.subscribing
  var rosters = Rosters()
  /// Memberships of local sessions, those that are still joining included. At zero the wildcard lingers, then ends.
  var memberCount = 0
  var arrivals: [Arrival] = []

  init(name: [UInt8]) {
    self.name = name
    var json: [UInt8] = []
    JSONString.append(name.span, to: &json)
    nameJSON = json
  }

  /// What the names of its rooms begin with.
  var prefix: [UInt8] { Array(name.dropLast()) }

  func matches(_ room: Span<UInt8>) -> Bool {
    let count = name.count - 1
    guard room.count >= count else { return false }
    for i in 0..<count where name[i] != room[i] { return false }
    return true
  }
}

/// The wildcards of a node, who is in them, and the rooms that are heard because of them.
struct WildcardTable {
  /// A session's place in a wildcard.
  struct Membership {
    let wildcard: Wildcard
    /// The place in the wildcard's roster, or nil while the session is joining.
    var place: UInt32?
  }

  /// A room without local members that a wildcard keeps.
  struct HeardRoom {
    /// Milliseconds since 1970 at which it is looked at again.
    let deadline: UInt64
    /// Where it was at the last look: a room that has not moved since is idle.
    let position: Position?
    let room: Room
  }

  private(set) var byName = NameTable<Wildcard>()
  /// Changes whenever a wildcard begins or ends. A room compares its name with the wildcards when it is used for the
  /// first time after that: so a wildcard costs the same to make however many rooms the node has.
  private(set) var revision: UInt32 = 0
  /// By the session's place in its slab: few sessions have any, so the others pay nothing.
  var memberships: [UInt32: [Membership]] = [:]
  /// Wildcards without members, in the order in which their time is up.
  var lingering: [(deadline: UInt64, wildcard: Wildcard)] = []
  /// In the order of their deadlines.
  var heardRooms: [HeardRoom] = []
  /// Which sessions a batch has reached already; all false between deliveries. Grows to the number of sessions.
  var isReached: [Bool] = []

  mutating func insert(_ wildcard: Wildcard) {
    byName.insert(wildcard)
    revision &+= 1
  }

  mutating func remove(_ wildcard: Wildcard) {
    byName.remove(wildcard.name)
    revision &+= 1
  }

  var isEmpty: Bool { byName.count == 0 }

  func matching(_ room: Span<UInt8>) -> [Wildcard] {
    var found: [Wildcard] = []
    guard !isEmpty else { return found }
    byName.forEach { if $0.matches(room) { found.append($0) } }
    return found
  }

  /// The index of a session's membership, or nil.
  func index(of session: UInt32, in wildcard: Wildcard) -> Int? {
    memberships[session]?.firstIndex { $0.wildcard === wildcard }
  }

  /// Whether the session is in the wildcard and hears it.
  func isJoined(_ session: UInt32, _ wildcard: Wildcard) -> Bool {
    memberships[session]?.contains { $0.wildcard === wildcard && $0.place != nil } ?? false
  }
}
