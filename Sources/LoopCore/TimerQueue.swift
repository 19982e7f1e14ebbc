import TimeCore

/// Keeps the loop's few one-shot timers: backoffs, leases, waits. Connections use `TimerWheel` instead.
///
/// Adding and firing cost O(log n). Cancelling is O(1); a cancelled entry is dropped when it comes due.
struct TimerQueue {
  private var heap = DueHeap<UInt64>()
  private var actions: [UInt64: () -> Void] = [:]
  private var nextID: UInt64 = 1

  /// The earliest deadline, cancelled entries included: waking once too often is cheaper than searching.
  var earliest: UInt64? { heap.earliest }

  mutating func add(at deadline: UInt64, _ action: @escaping () -> Void) -> UInt64 {
    let id = nextID
    nextID += 1
    actions[id] = action
    heap.add(id, at: deadline)
    return id
  }

  mutating func cancel(_ id: UInt64) { actions[id] = nil }

  /// Removes and returns the action of the next timer that is due at `now`, or nil.
  mutating func popDue(at now: UInt64) -> (() -> Void)? {
    while let due = heap.popDue(at: now) {
      if let action = actions.removeValue(forKey: due.item) { return action }
    }
    return nil
  }
}
