import TimeCore

/// Decides whether a backend is asked that has failed before; pure.
///
/// After ``failuresMax`` failures in a row nothing is sent for ``pause``. Then one attempt is made: what becomes of it decides
/// whether all are sent again or none for as long once more.
public struct CircuitBreaker: Sendable {
  /// Failures in a row that open it: fewer may be chance, more keep clients waiting for a backend that is gone.
  public static let failuresMax = 10
  /// How long nothing is sent.
  public static let pause = Interval.seconds(5)

  private enum State: Equatable {
    case closed(failures: Int)
    case open(until: Instant)
    /// One attempt is under way.
    case probing
  }

  /// What changed, for the log.
  public enum Change: Equatable, Sendable { case opened, closed }

  private var state = State.closed(failures: 0)

  /// Makes one that is closed.
  public init() {}

  /// Whether everything is sent.
  public var isClosed: Bool { if case .closed = state { true } else { false } }

  /// Whether something may be sent now. When it may, one of the other methods must follow.
  public mutating func admits(at now: Instant) -> Bool {
    switch state {
    case .closed: return true
    case .probing: return false
    case .open(let end):
      guard now >= end else { return false }
      state = .probing
      return true
    }
  }

  /// Notes that the backend has answered.
  public mutating func noteSuccess() -> Change? {
    defer { state = .closed(failures: 0) }
    return isClosed ? nil : .closed
  }

  /// Notes that the backend has not answered, or nothing that can be used.
  public mutating func noteFailure(at now: Instant) -> Change? {
    switch state {
    case .closed(let failures):
      guard failures + 1 >= CircuitBreaker.failuresMax else {
        state = .closed(failures: failures + 1)
        return nil
      }
      state = .open(until: now + CircuitBreaker.pause)
      return .opened
    case .probing:
      state = .open(until: now + CircuitBreaker.pause)
      return nil
    // Sent before it opened.
    case .open: return nil
    }
  }

  /// Notes that what was admitted was not sent after all.
  public mutating func noteUnsent(at now: Instant) { if state == .probing { state = .open(until: now) } }
}
