/// Writes numbers for people.
enum PlainText {
  /// Tells how long ago a moment was, in the largest whole unit: `now`, `12s ago`, `3m ago`, `5h ago`, `2d ago`.
  ///
  /// Both in milliseconds since 1970; a moment in the future is `now`, since clocks of two machines differ.
  static func age(since: UInt64, now: UInt64) -> String {
    let seconds = now > since ? (now - since) / 1000 : 0
    return seconds == 0 ? "now" : "\(largestUnit(seconds)) ago"
  }

  /// Writes a duration in seconds with its two largest units: `42s`, `5m 10s`, `3h 5m`, `2d 4h`.
  static func duration(seconds: UInt64) -> String {
    switch seconds {
    case ..<60: "\(seconds)s"
    case ..<3600: "\(seconds / 60)m \(seconds % 60)s"
    case ..<86400: "\(seconds / 3600)h \(seconds % 3600 / 60)m"
    default: "\(seconds / 86400)d \(seconds % 86400 / 3600)h"
    }
  }

  /// Writes a size in bytes with one decimal: `512 B`, `1.5 KiB`, `18.4 MiB`.
  static func size(bytes: UInt64) -> String {
    var unit: UInt64 = 1
    for name in ["B", "KiB", "MiB", "GiB"] {
      if bytes / unit < 1024 || name == "GiB" {
        return unit == 1 ? "\(bytes) B" : "\(bytes / unit).\(bytes % unit * 10 / unit) \(name)"
      }
      unit *= 1024
    }
    return "\(bytes) B"
  }

  /// Writes a count with its noun: `1 room`, `2 rooms`.
  static func count(_ count: Int, _ noun: String) -> String { count == 1 ? "1 \(noun)" : "\(count) \(noun)s" }

  private static func largestUnit(_ seconds: UInt64) -> String {
    switch seconds {
    case ..<60: "\(seconds)s"
    case ..<3600: "\(seconds / 60)m"
    case ..<86400: "\(seconds / 3600)h"
    default: "\(seconds / 86400)d"
    }
  }
}
