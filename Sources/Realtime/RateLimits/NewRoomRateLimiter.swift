/// How many rooms that nobody on this node is in may be joined: each costs the broker a subscription, a counter and its members.
/// Confined to the loop that created its hub.
final class NewRoomRateLimiter {
  private var rooms: TokenBucket

  /// - Parameters:
  ///   - perSecond: 0 for no limit.
  ///   - burst: rooms at once: a client that comes back joins all of its rooms.
  init(perSecond: UInt32, burst: Int, now: UInt64) {
    rooms = TokenBucket(rate: perSecond, burst: UInt32(clamping: burst), now: now)
  }

  /// Whether a new one would allow no more at `now` milliseconds.
  func isFull(at now: UInt64) -> Bool { rooms.isFull(at: now) }

  /// Takes one room at `now` milliseconds. Returns false when there is none to take.
  func take(at now: UInt64) -> Bool { rooms.take(at: now) }
}
