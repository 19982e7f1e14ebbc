import TimeCore

/// Keeps the moments at which sessions are to be looked at; pure.
///
/// A heap of 16 bytes an entry. An entry that is no longer wanted stays until its time, and the taker finds that out by
/// comparing it with the session's own moment; but once such entries are the most, they are all removed. Clients that come
/// and go with long-lived tokens take no memory.
struct Deadlines {
  /// Entries that may be stale before anybody looks: less is not worth the pass.
  private static let staleMin = 1024

  private var heap = DueHeap<SlabID>()
  private var staleCount = 0

  /// Entries, stale ones included.
  var count: Int { heap.count }

  /// Adds a moment, in milliseconds of the hub's clock.
  mutating func add(_ session: SlabID, at moment: UInt64) { heap.add(session, at: moment) }

  /// Notes that an entry has become stale. `isWanted` tells the others from it.
  mutating func forget(_ isWanted: (SlabID, UInt64) -> Bool) {
    staleCount += 1
    guard staleCount > Deadlines.staleMin, staleCount > heap.count / 2 else { return }
    heap.removeAll { !isWanted($0, $1) }
    staleCount = 0
  }

  /// Takes out the earliest entry if it is due at `now`, or returns nil.
  mutating func popDue(at now: UInt64) -> (session: SlabID, moment: UInt64)? {
    heap.popDue(at: now).map { ($0.item, $0.moment) }
  }

  /// Gives memory back after a crowd has left.
  mutating func shrink() { heap.shrink() }
}
