/// Visits many ids at coarse moments for a constant cost each: the heartbeats of 100,000 connections.
///
/// Lazy: activity never touches the wheel. Each id is visited when its slot comes round; the visitor looks at what
/// happened meanwhile and schedules the next visit. An id may stand in the wheel more than once: the visitor compares
/// the tick with the one it wants and ignores the others.
public struct TimerWheel: ~Copyable {
  private var slots: [[UInt32]]
  private let mask: UInt32

  /// The last tick that was visited.
  public private(set) var tick: UInt32 = 0
  /// How many entries stand in the wheel, stale ones included.
  public private(set) var count = 0

  /// Makes a wheel of `slotCount` slots, a power of two. A visit further away than that is made early, once a turn.
  public init(slotCount: Int = 1024) {
    precondition(slotCount > 0 && slotCount & (slotCount - 1) == 0, "a wheel has a power of two of slots")
    slots = Array(repeating: [], count: slotCount)
    mask = UInt32(slotCount - 1)
  }

  /// Schedules a visit of `id` `ticks` from now, at least one, and returns the tick of the visit.
  @discardableResult
  public mutating func schedule(_ id: UInt32, in ticks: Int) -> UInt32 {
    let due = tick &+ UInt32(max(1, min(ticks, slots.count - 1)))
    slots[Int(due & mask)].append(id)
    count += 1
    return due
  }

  /// Gives the memory of empty slots back.
  public mutating func shrink() {
    for i in slots.indices where slots[i].isEmpty { slots[i] = [] }
  }

  /// Advances by one tick and returns the ids to visit, in the order in which they were scheduled.
  public mutating func advance() -> [UInt32] {
    tick &+= 1
    var due: [UInt32] = []
    swap(&due, &slots[Int(tick & mask)])
    count -= due.count
    return due
  }
}
