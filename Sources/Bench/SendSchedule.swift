import CSystem
import Glibc
import LoopCore

/// Tells when messages of a fixed rate are due, and wakes the loop for each, to the microsecond.
///
/// A late sender keeps the time at which a message was due: a server that stalls the sender cannot hide its delay
/// that way. Confined to the loop that created it.
final class SendSchedule: EventHandler {
  private let descriptor: Int32
  private let interval: Double
  private let start: UInt64
  private var taken: UInt64 = 0

  /// `rate` is in messages a second; the first one is due at once.
  init(_ loop: EventLoop, rate: Int) throws(SystemError) {
    descriptor = timerfd_create(CLOCK_MONOTONIC, Int32(O_NONBLOCK | O_CLOEXEC))
    guard descriptor >= 0 else { throw SystemError("timerfd_create") }
    interval = 1_000_000_000 / Double(rate)
    start = Clock.monotonicNanoseconds()
    try loop.watch(descriptor, for: .read, handler: loop.attach(self), token: 0)
    arm()
  }

  deinit { close(descriptor) }

  private var nextDue: UInt64 { start + UInt64(Double(taken) * interval) }

  /// Takes the next message whose time has come, and returns that time; nil when none is due, with the loop woken later.
  func takeDue(at now: UInt64) -> UInt64? {
    let due = nextDue
    guard due <= now else {
      arm()
      return nil
    }
    taken += 1
    return due
  }

  func ready(_ token: UInt64, _ readiness: Readiness) {
    var expirations: UInt64 = 0
    _ = read(descriptor, &expirations, 8)
  }

  private func arm() {
    let due = nextDue
    var setting = itimerspec()
    setting.it_value.tv_sec = Int(due / 1_000_000_000)
    setting.it_value.tv_nsec = Int(due % 1_000_000_000)
    timerfd_settime(descriptor, Int32(TFD_TIMER_ABSTIME), &setting, nil)
  }
}
