import AddressCore
import Realtime

/// Limits the connections of each subscriber (an IPv4 address, an IPv6 /64). Pure.
///
/// One entry of 24 bytes for each subscriber that is connected, and none for the others.
struct ConnectionLimiter {
  private var counts: [IPAddress: UInt32] = [:]
  private let max: PeerLimit

  init(max: PeerLimit) { self.max = max }

  /// Counts one more, or returns false when its subscriber has as many as it may. What it admits must be released.
  mutating func admit(_ address: IPAddress) -> Bool {
    let limit = max.value(isLocal: address.isLocal)
    // No entry is made for one that is refused: it has some already.
    return ConnectionLimiter.add(to: &counts[address.subscriber, default: 0], limit)
  }

  private static func add(to held: inout UInt32, _ limit: UInt32) -> Bool {
    guard limit == 0 || held < limit else { return false }
    held += 1
    return true
  }

  mutating func release(_ address: IPAddress) {
    guard let entry = counts.index(forKey: address.subscriber) else { return }
    if counts.values[entry] > 1 { counts.values[entry] -= 1 } else { counts.remove(at: entry) }
  }

  /// Subscribers that are connected.
  var subscriberCount: Int { counts.count }

  /// Gives the memory back that a crowd took.
  mutating func shrink() {
    if counts.capacity > 64, counts.capacity > counts.count * 4 { counts = counts.filter { _ in true } }
  }
}
