import LoopCore

/// Notices that the process did not run for a while: it was stopped, or its machine was. A tick that only takes long is
/// none. Confined to the loop of its broker.
final class Standstill {
  private let loop: EventLoop
  /// At the end of the last tick: the time, and the processor time of this thread. In nanoseconds.
  private var endedAt: UInt64 = 0
  private var processorTime: UInt64 = 0
  /// The last tick that began behind a standstill, by its time.
  private var foundAt: UInt64 = 0

  init(loop: EventLoop) { self.loop = loop }

  /// Notes the end of a tick.
  func tickEnded() {
    endedAt = Clock.monotonicNanoseconds()
    processorTime = Clock.threadNanoseconds()
  }

  /// Whether the process stood still before this tick for longer than a failover takes: less than half of the time since
  /// the last one was spent at work. Not again within twice that time, so that
  /// a slow machine keeps nothing from coming back.
  var isBehind: Bool {
    if foundAt == loop.now { return true }
    let limit = UInt64(RedisLimits.standstillMilliseconds) * 1_000_000
    guard endedAt > 0, loop.now > endedAt + limit, loop.now > foundAt + 2 * limit,
      (Clock.threadNanoseconds() - processorTime) * 2 < loop.now - endedAt
    else { return false }
    foundAt = loop.now
    return true
  }
}

@available(*, unavailable)
extension Standstill: Sendable {}
