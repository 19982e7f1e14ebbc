import AddressCore
import Realtime

/// Counts the sockets of each subscriber (an IPv4 address, an IPv6 /64) and says when there are too many; pure.
///
/// One entry of 24 bytes for each subscriber that is connected, and none for the others.
struct AddressTally {
  private var counts: [IPAddress: UInt32] = [:]
  private let max: Ceiling

  init(max: Ceiling) { self.max = max }

  /// Counts one more, or returns false when its subscriber has as many as it may. What it admits must be released.
  mutating func admit(_ address: IPAddress) -> Bool {
    let limit = max.value(isLocal: address.isLocal)
    let held = counts[address.subscriber, default: 0]
    guard limit == 0 || held < limit else { return false }
    counts[address.subscriber] = held + 1
    return true
  }

  mutating func release(_ address: IPAddress) {
    guard let held = counts[address.subscriber] else { return }
    counts[address.subscriber] = held > 1 ? held - 1 : nil
  }

  /// Subscribers that are connected.
  var subscriberCount: Int { counts.count }

  /// Gives the memory back that a crowd took.
  mutating func shrink() {
    if counts.capacity > 64, counts.capacity > counts.count * 4 { counts = counts.filter { _ in true } }
  }
}
