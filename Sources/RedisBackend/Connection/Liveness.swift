/// Decides whether a link that says nothing is dead, by looking at it every `RedisLimits.watchMilliseconds`.
///
/// It counts looks and compares no times: a process that was stopped for a while looks once when it goes on, and takes
/// nobody for dead on account of its own sleep.
struct Liveness {
  enum Verdict { case alive, dead }

  private var wasOwing = false
  private var hasHeard = false
  /// Looks in a row with nothing heard in between, at which an answer had been owed at the look before already.
  private var unansweredLooks = 0

  /// Notes that the other side said something.
  mutating func heard() { hasHeard = true }

  /// Looks at the link. `owes`: whether the other side owes an answer.
  mutating func look(owes: Bool) -> Verdict {
    defer {
      hasHeard = false
      wasOwing = owes
    }
    guard !hasHeard else {
      unansweredLooks = 0
      return .alive
    }
    unansweredLooks = owes && wasOwing ? unansweredLooks + 1 : 0
    return unansweredLooks >= RedisLimits.silenceMilliseconds / RedisLimits.watchMilliseconds ? .dead : .alive
  }
}
