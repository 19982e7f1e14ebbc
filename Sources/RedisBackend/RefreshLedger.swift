/// Decides for which rooms a TTL is due to be refreshed: the first time a room is named in each period.
struct RefreshLedger {
  private let period: UInt64
  private var periodEnd: UInt64 = 0
  private var rooms: Set<[UInt8]> = []

  init(milliseconds: Int) { period = UInt64(milliseconds) * 1_000_000 }

  /// Forgets all rooms: each is due once more.
  mutating func shrink() { rooms = [] }

  /// Whether `room` is due at `now` (nanoseconds). It then is not until the period ends.
  mutating func isDue(_ room: [UInt8], now: UInt64) -> Bool {
    if now >= periodEnd || rooms.count >= RedisLimits.refreshedRoomsMax {
      rooms.removeAll(keepingCapacity: rooms.count < RedisLimits.refreshedRoomsMax / 8)
      periodEnd = now + period
    }
    return rooms.insert(room).inserted
  }
}
