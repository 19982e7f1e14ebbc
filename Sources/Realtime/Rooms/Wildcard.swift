import ClientProtocol
import JSONCore

/// A name that ends in `*`, and the connections of this node that receive every room whose name begins with the rest.
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
