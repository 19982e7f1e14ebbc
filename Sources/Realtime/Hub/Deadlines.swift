/// Keeps the moments at which sessions are to be looked at; pure.
///
/// A binary heap of 16 bytes an entry: adding and taking cost O(log n). An entry is never removed before its time: the
/// taker compares it with what the session says.
struct Deadlines {
  private var heap: [(moment: UInt64, session: SlabID)] = []

  /// Entries, stale ones included.
  var count: Int { heap.count }

  /// Adds a moment, in milliseconds of the hub's clock.
  mutating func add(_ session: SlabID, at moment: UInt64) {
    heap.append((moment, session))
    var i = heap.count - 1
    while i > 0, heap[i].moment < heap[(i - 1) / 2].moment {
      heap.swapAt(i, (i - 1) / 2)
      i = (i - 1) / 2
    }
  }

  /// Takes out the earliest entry if it is due at `now`, or returns nil.
  mutating func popDue(at now: UInt64) -> (session: SlabID, moment: UInt64)? {
    guard let first = heap.first, first.moment <= now else { return nil }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var i = 0
    while true {
      var least = i
      for child in [2 * i + 1, 2 * i + 2] where child < heap.count && heap[child].moment < heap[least].moment {
        least = child
      }
      guard least != i else { break }
      heap.swapAt(i, least)
      i = least
    }
    return (first.session, first.moment)
  }

  /// Gives memory back after a crowd has left.
  mutating func shrink() {
    if heap.isEmpty { heap = [] }
  }
}
