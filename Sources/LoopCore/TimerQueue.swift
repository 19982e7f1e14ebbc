/// Keeps the loop's few one-shot timers: backoffs, leases, waits. Connections use `TimerWheel` instead.
///
/// A binary heap: adding and firing cost O(log n). Cancelling is O(1); a cancelled entry is dropped when it comes due.
struct TimerQueue {
  private struct Entry {
    let deadline: UInt64
    let id: UInt64
  }

  private var heap: [Entry] = []
  private var actions: [UInt64: () -> Void] = [:]
  private var nextID: UInt64 = 1

  /// The earliest deadline, cancelled entries included: waking once too often is cheaper than searching.
  var earliest: UInt64? { heap.first?.deadline }

  mutating func add(at deadline: UInt64, _ action: @escaping () -> Void) -> UInt64 {
    let id = nextID
    nextID += 1
    actions[id] = action
    heap.append(Entry(deadline: deadline, id: id))
    siftUp(heap.count - 1)
    return id
  }

  mutating func cancel(_ id: UInt64) { actions[id] = nil }

  /// Removes and returns the action of the next timer that is due at `now`, or nil.
  mutating func popDue(at now: UInt64) -> (() -> Void)? {
    while let first = heap.first, first.deadline <= now {
      heap.swapAt(0, heap.count - 1)
      heap.removeLast()
      siftDown(0)
      if let action = actions.removeValue(forKey: first.id) { return action }
    }
    return nil
  }

  private mutating func siftUp(_ start: Int) {
    var i = start
    while i > 0 {
      let parent = (i - 1) / 2
      guard heap[i].deadline < heap[parent].deadline else { return }
      heap.swapAt(i, parent)
      i = parent
    }
  }

  private mutating func siftDown(_ start: Int) {
    var i = start
    while true {
      var least = i
      for child in [2 * i + 1, 2 * i + 2] where child < heap.count && heap[child].deadline < heap[least].deadline {
        least = child
      }
      guard least != i else { return }
      heap.swapAt(i, least)
      i = least
    }
  }
}
