import Realtime

/// Keeps what could not be told to Redis while it was away and must not be forgotten: arrivals, departures, rooms that ended.
struct OfflineQueue {
  enum Entry {
    case connect(Member)
    case disconnect(Member)
    case leave(room: [UInt8], Member)
    /// No member of a room is on this node any more.
    case delist(room: [UInt8])
  }

  private(set) var entries: [Entry] = []
  /// Whether more happened than is kept: the node's presence must be asserted anew and looked at as a whole.
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
