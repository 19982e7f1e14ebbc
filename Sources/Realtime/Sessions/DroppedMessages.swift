/// Counts the messages outside of rooms that connections could not take, until `direct_dropped` can be sent; pure.
///
/// Only connections that missed something have an entry.
struct DroppedMessages {
  private var counts: [SlabID: UInt64] = [:]

  var isEmpty: Bool { counts.isEmpty }

  /// Notes that a session did not get a message.
  mutating func note(_ id: SlabID) { counts[id, default: 0] += 1 }

  /// Takes out how many a session did not get; nil: it got all.
  mutating func take(_ id: SlabID) -> UInt64? { counts.isEmpty ? nil : counts.removeValue(forKey: id) }
}
