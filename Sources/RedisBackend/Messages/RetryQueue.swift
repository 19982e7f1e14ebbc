/// Keeps what was sent under an id and not answered because the connection died, until it can be sent again: the id
/// keeps it from being done twice. Bounded by `RedisLimits.retryMilliseconds` and `RedisLimits.retryBytesMax`; pure.
struct RetryQueue {
  /// One command that may have been carried out.
  struct Entry {
    /// Nanoseconds of the monotonic clock beyond which it is not sent again.
    let deadline: UInt64
    let byteCount: Int
    let resend: () -> Void
    /// Answers that it may have been carried out.
    let giveUp: () -> Void
  }

  private var entries: [Entry] = []
  private(set) var byteCount = 0

  var count: Int { entries.count }
  /// When the first of them has waited long enough, or nil.
  var earliestDeadline: UInt64? { entries.lazy.map(\.deadline).min() }

  /// Keeps an entry. Returns false, and keeps nothing, when its time is up or there are too many bytes.
  mutating func append(_ entry: Entry, now: UInt64) -> Bool {
    guard entry.deadline > now, byteCount + entry.byteCount <= RedisLimits.retryBytesMax else { return false }
    entries.append(entry)
    byteCount += entry.byteCount
    return true
  }

  /// Takes everything out, in the order in which it was kept.
  mutating func takeAll() -> [Entry] {
    defer { self = RetryQueue() }
    return entries
  }

  /// Takes out what has waited long enough.
  mutating func takeExpired(now: UInt64) -> [Entry] {
    let expired = entries.filter { $0.deadline <= now }
    guard !expired.isEmpty else { return [] }
    entries.removeAll { $0.deadline <= now }
    byteCount = entries.reduce(0) { $0 + $1.byteCount }
    return expired
  }
}
