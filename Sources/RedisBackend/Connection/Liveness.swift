/// Decides whether a silent link is dead, by checking it every `RedisLimits.watchMilliseconds`.
///
/// It counts checks and compares no times: a process that was paused checks once when it goes on, and does not take a link
/// for dead because of its own pause.
struct Liveness {
  enum Verdict { case alive, dead }

  private var wasOwing = false
  private var hasReceived = false
  /// Checks in a row with nothing received in between, when an answer had been owed at the check before already.
  private var unansweredLooks = 0

  /// Notes that something was received.
  mutating func received() { hasReceived = true }

  /// Looks at the link. `owes`: whether the other side owes an answer.
  mutating func look(owes: Bool) -> Verdict {
    defer {
      hasReceived = false
      wasOwing = owes
    }
    guard !hasReceived else {
      unansweredLooks = 0
      return .alive
    }
    unansweredLooks = owes && wasOwing ? unansweredLooks + 1 : 0
    return unansweredLooks >= RedisLimits.silenceMilliseconds / RedisLimits.watchMilliseconds ? .dead : .alive
  }
}
