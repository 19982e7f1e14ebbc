import Realtime
import TimeCore

/// Decides when refusals by limits are logged: once a minute at most, so that a flood of clients does not become a flood of
/// lines. Pure.
struct RefusalReport {
  static let interval = Interval.seconds(60)

  private var reported = [UInt64](repeating: 0, count: LimitName.allCases.count)
  private var lastAt: Instant?

  /// Returns the limits that have refused something since the last report, with how often.
  ///
  /// - Parameter total: refusals of a limit since the start.
  mutating func take(at now: Instant, total: (LimitName) -> UInt64) -> [(limit: LimitName, count: UInt64)] {
    if let lastAt, now < lastAt + RefusalReport.interval { return [] }
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
    for (limit, count) in refusalReport.take(at: loop.instant, total: refusals) {
      if limit == .origins, let origin = lastRefusedOrigin {
        log.warn(
          "refused pages whose Origin may not connect: list it in --origins if it is yours", ("limit", "origins"),
          ("count", count), ("origin", origin))
      } else {
        log.warn("refused by a limit", ("limit", String(describing: limit.label)), ("count", count))
      }
    }
  }
}

/// Makes the text of a refused Origin fit for the log: what a stranger sends neither forges a line nor fills it.
enum RefusedOrigin {
  /// Bytes of an Origin that are kept: host names have at most 253 (RFC 1035 section 2.3.4), useful ones far fewer.
  static let bytesMax = 200

  /// Keeps visible ASCII, puts `?` for anything else, and cuts what is too long.
  static func text(_ origin: Span<UInt8>) -> String {
    var bytes: [UInt8] = []
    for index in 0..<min(origin.count, bytesMax) {
      let byte = origin[index]
      bytes.append(byte > 0x20 && byte < 0x7F ? byte : UInt8(ascii: "?"))
    }
    return String(decoding: bytes, as: UTF8.self) + (origin.count > bytesMax ? "…" : "")
  }
}
