import LoopCore

/// Detects that the process was suspended for a while, or its machine was. A tick that only takes long is not a pause.
/// Confined to the loop of its broker.
final class PauseDetector {
  private let loop: EventLoop
  /// At the end of the last tick: the time, and the processor time of this thread. In nanoseconds.
  private var endedAt: UInt64 = 0
  private var processorTime: UInt64 = 0
  /// When the last pause was found.
  private var foundAt: UInt64 = 0
  /// Whether links that were open then were not given up yet.
  private var isPending = false

  init(loop: EventLoop) { self.loop = loop }

  /// Whether the process was paused before now: asked by every link before it reads.
  var wasPaused: Bool {
    find()
    return isPending
  }

  /// Notes the end of a tick. Returns whether every link is to be given up: the kernel ends a wait without an event when the
  /// process goes on, so that what waits to be read is seen one tick later.
  func tickEnded() -> Bool {
    find()
    defer { isPending = false }
    endedAt = Clock.monotonicNanoseconds()
    processorTime = Clock.threadNanoseconds()
    return isPending
  }

  /// Finds a pause that was longer than a failover takes: less than half of the time since the last tick was spent at
  /// work. Not again within twice that time, so that a slow machine keeps nothing from coming back.
  private func find() {
    let limit = UInt64(RedisLimits.pauseMilliseconds) * 1_000_000
    let now = loop.now
    guard endedAt > 0, now > endedAt + limit, now > foundAt + 2 * limit,
      (Clock.threadNanoseconds() - processorTime) * 2 < now - endedAt
    else { return }
    (foundAt, isPending) = (now, true)
  }
}

@available(*, unavailable)
extension PauseDetector: Sendable {}
