/// Keeps the moments at which sessions are to be looked at; pure.
///
/// A binary heap of 16 bytes an entry: adding and taking cost O(log n). An entry that is no longer wanted stays until its
/// time, and the taker finds that out by comparing it with what the session says; but once such entries are the most, they
/// are all removed. Clients that come and go with long-lived tokens take no memory.
struct Deadlines {
  /// Entries that may be stale before anybody looks: less is not worth the pass.
  private static let staleMin = 1024

  private var heap: [(moment: UInt64, session: SlabID)] = []
  private var staleCount = 0

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

  /// Notes that an entry has become stale. `isWanted` tells the others from it.
  mutating func forget(_ isWanted: (SlabID, UInt64) -> Bool) {
    staleCount += 1
    guard staleCount > Deadlines.staleMin, staleCount > heap.count / 2 else { return }
    heap.removeAll { !isWanted($0.session, $0.moment) }
    // What is sorted is a heap.
    heap.sort { $0.moment < $1.moment }
    staleCount = 0
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
