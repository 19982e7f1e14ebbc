import Glibc
import TimeCore

/// Distinguishes a second Ctrl-C, which ends a drain at once, from a copy of the first. Pure.
///
/// A terminal sends Ctrl-C to every process of its foreground group, and a supervisor passes it on to its workers, so a
/// worker gets two for one.
struct StopRequests {
  /// What a signal asks for.
  enum Request: Equatable { case drain, endNow, nothing }

  /// For a worker a signal this soon after the first is its copy: no copy is as late.
  static let copyInterval = Interval.seconds(1)

  /// Whether each signal comes twice.
  let hasSupervisor: Bool
  private var firstAt: Instant?

  init(hasSupervisor: Bool) { self.hasSupervisor = hasSupervisor }

  /// - Parameter signal: SIGINT or SIGTERM; only SIGINT ends a drain, for supervisors repeat the other.
  mutating func take(_ signal: Int32, at now: Instant) -> Request {
    guard let firstAt else {
      self.firstAt = now
      return .drain
    }
    let isCopy = hasSupervisor && now < firstAt + StopRequests.copyInterval
    return signal == SIGINT && !isCopy ? .endNow : .nothing
  }
}
