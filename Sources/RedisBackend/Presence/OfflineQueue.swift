import Realtime

/// Keeps what could not be sent to Redis while it was away: registrations, departures, rooms that ended.
struct OfflineQueue {
  enum Entry {
    case connect(Member)
    case disconnect(Member)
    case leave(room: [UInt8], Member)
    /// No member of a room is on this node any more.
    case delist(room: [UInt8])
  }

  private(set) var entries: [Entry] = []
  /// Whether more happened than is kept: the node's presence must be asserted again and reconciled as a whole.
  private(set) var hasOverflowed = false

  mutating func append(_ entry: Entry) {
    guard entries.count < RedisLimits.offlineQueueMax else {
      entries = []
      hasOverflowed = true
      return
    }
    if !hasOverflowed { entries.append(entry) }
  }

  /// Takes everything out, oldest first.
  mutating func takeAll() -> [Entry] {
    defer { self = OfflineQueue() }
    return entries
  }
}
