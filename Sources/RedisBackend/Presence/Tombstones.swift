import Realtime

/// Recent departures that were sent to Redis, so that they can be repeated to a master that missed them: a promoted replica
/// lacks the last commands that its master received.
///
/// Needed in a cluster only: there the node's lists, by which members are found again, may stand on another master, which
/// has removed them already. Bounded by `RedisLimits.tombstoneMilliseconds` and `RedisLimits.tombstonesMax`; pure.
struct Tombstones {
  private struct Departure {
    let entry: OfflineQueue.Entry
    /// Nanoseconds of the monotonic clock.
    let at: UInt64
  }

  /// Oldest first, from `first` on; what stands before it is gone.
  private var departures: [Departure] = []
  private var first = 0

  var count: Int { departures.count - first }

  /// Remembers a departure; the oldest goes when there are too many.
  mutating func append(_ entry: OfflineQueue.Entry, now: UInt64) {
    expire(now)
    if count >= RedisLimits.tombstonesMax { dropFirst() }
    departures.append(Departure(entry: entry, at: now))
  }

  /// Takes out those that `isAffected` chooses, oldest first.
  mutating func take(now: UInt64, where isAffected: (OfflineQueue.Entry) -> Bool) -> [OfflineQueue.Entry] {
    expire(now)
    let taken = departures[first...].map(\.entry).filter(isAffected)
    departures = departures[first...].filter { !isAffected($0.entry) }
    first = 0
    return taken
  }

  /// Forgets what every promoted replica has received.
  mutating func expire(_ now: UInt64) {
    let window = UInt64(RedisLimits.tombstoneMilliseconds) * 1_000_000
    while first < departures.count, departures[first].at + window < now { dropFirst() }
  }

  /// Moves the rest only when as much has gone, so that each costs constant time.
  private mutating func dropFirst() {
    first += 1
    guard first * 2 >= departures.count else { return }
    departures.removeFirst(first)
    first = 0
  }
}
