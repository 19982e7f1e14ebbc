import Realtime

/// Tells the log what limits have refused, once a minute at most: an operator learns that a limit is too low, or who is
/// knocking, and a flood does not become a flood of lines. Pure.
struct RefusalReport {
  static let intervalMilliseconds: UInt64 = 60_000

  private var reported = [UInt64](repeating: 0, count: LimitName.allCases.count)
  private var lastAt: UInt64?

  /// Returns the limits that have refused something since the last report, with how often.
  ///
  /// - Parameters:
  ///   - total: refusals of a limit since the start.
  ///   - now: milliseconds of any clock that does not go back.
  mutating func take(at now: UInt64, total: (LimitName) -> UInt64) -> [(limit: LimitName, count: UInt64)] {
    if let lastAt, now < lastAt + RefusalReport.intervalMilliseconds { return [] }
    let news = LimitName.allCases.map { (limit: $0, count: total($0) &- reported[$0.rawValue]) }.filter { $0.count > 0 }
    guard !news.isEmpty else { return [] }
    for entry in news { reported[entry.limit.rawValue] &+= entry.count }
    lastAt = now
    return news
  }
}

extension Node {
  /// Refusals by one limit since the start, wherever it is enforced.
  func refusals(_ limit: LimitName) -> UInt64 {
    limit == .openFiles
      ? listeners.reduce(0) { $0 + $1.refusedCount } : metrics.refusals[limit] + hub.counters.refusals[limit]
  }

  func reportRefusals() {
    for (limit, count) in refusalReport.take(at: loop.now / 1_000_000, total: refusals) {
      log.warn("refused by a limit", ("limit", String(describing: limit.label)), ("count", String(count)))
    }
  }
}
