import Realtime
import TimeCore

/// Calls to a backend by the clients who cause them: each has a share of what is under way, and beyond it waits for its own
/// calls to end. Pure, time comes in.
struct BackendShares {
  /// A call that waits. Answered once: with the time that is left for it, or with nil when that is over.
  struct Waiting {
    let deadline: Instant
    let start: (_ left: Interval?) -> Void
  }

  private struct Line {
    var underWay = 0
    var waiting: [Waiting] = []
  }

  /// What becomes of a call.
  enum Place { case start, waits, refused }

  private var lines: [ClientOwner: Line] = [:]
  private(set) var waitingCount = 0

  /// Clients with calls that are under way or wait.
  var count: Int { lines.count }

  /// Takes a call of a client. Where it may start at once, `end` must follow.
  mutating func take(_ call: @autoclosure () -> Waiting, of owner: ClientOwner) -> Place {
    let line = lines[owner] ?? Line()
    if line.underWay < BackendLimits.callsPerOwnerMax {
      lines[owner, default: Line()].underWay += 1
      return .start
    }
    guard line.waiting.count < BackendLimits.waitingPerOwnerMax, waitingCount < BackendLimits.waitingForShareMax else {
      return .refused
    }
    lines[owner]?.waiting.append(call())
    waitingCount += 1
    return .waits
  }

  /// Notes that a call of a client has ended. Returns those of its calls whose turn it is: those whose time is over, and the
  /// next one, which is under way from now on.
  mutating func end(of owner: ClientOwner, at now: Instant) -> (late: [Waiting], next: Waiting?) {
    guard var line = lines.removeValue(forKey: owner) else { return ([], nil) }
    line.underWay -= 1
    // All may wait for the same time, so the oldest end first.
    let late = Array(line.waiting.prefix { $0.deadline <= now })
    line.waiting.removeFirst(late.count)
    waitingCount -= late.count
    var next: Waiting?
    if !line.waiting.isEmpty {
      next = line.waiting.removeFirst()
      waitingCount -= 1
      line.underWay += 1
    }
    if line.underWay > 0 { lines[owner] = line }
    return (late, next)
  }
}
