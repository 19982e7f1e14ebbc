/// What connections that have closed may still send, so that connecting again brings no fresh burst; pure, time comes in.
///
/// Only what was charged lately is kept: an idle client leaves nothing behind. Each is kept for one fixed time, so they end
/// in the order in which they came. Confined to the loop that created its hub.
struct RecentRateLimiters {
  /// Whose connections share what is left.
  typealias Owner = ClientOwner

  private struct Departure {
    let owner: Owner
    let number: UInt64
    /// Milliseconds at which it is forgotten.
    let deadline: UInt64
  }

  /// Of an owner's closed connections each has its own, so that n new ones bring no more than the n before.
  private var kept: [Owner: [(number: UInt64, rateLimiter: SessionRateLimiter)]] = [:]
  /// When each ends, oldest first, from `begin` on. What was taken meanwhile is listed until then, or until such are the most.
  private var departures: [Departure] = []
  private var begin = 0
  private var nextNumber: UInt64 = 0

  /// Rate limiters that are kept.
  private(set) var count = 0

  /// Keeps what a closed connection has left, unless that is all a new one would have. Over the limit the oldest is
  /// forgotten.
  mutating func keep(_ rateLimiter: SessionRateLimiter, of owner: Owner, at now: UInt64) {
    guard !rateLimiter.isFresh(at: now) else { return }
    expire(at: now)
    while count >= Limits.recentRateLimitersMax { forgetOldest() }
    nextNumber += 1
    kept[owner, default: []].append((nextNumber, rateLimiter))
    departures.append(Departure(owner: owner, number: nextNumber, deadline: now + rateLimiter.lifeMilliseconds))
    count += 1
    compact()
  }

  /// Takes out what a connection of the owner left last, or returns nil.
  mutating func take(of owner: Owner, at now: UInt64) -> SessionRateLimiter? {
    guard count > 0 else { return nil }
    expire(at: now)
    guard let last = kept[owner]?.popLast() else { return nil }
    if kept[owner]?.isEmpty == true { kept[owner] = nil }
    count -= 1
    return last.rateLimiter
  }

  /// Forgets what has ended at `now`.
  mutating func expire(at now: UInt64) {
    while begin < departures.count, departures[begin].deadline <= now { forgetOldest() }
    if count == 0, !departures.isEmpty {
      departures = []
      begin = 0
    }
  }

  private mutating func forgetOldest() {
    let oldest = departures[begin]
    begin += 1
    guard let index = kept[oldest.owner]?.firstIndex(where: { $0.number == oldest.number }) else { return }
    kept[oldest.owner]?.remove(at: index)
    if kept[oldest.owner]?.isEmpty == true { kept[oldest.owner] = nil }
    count -= 1
  }

  /// Drops the list's stale part when it is the most of it.
  private mutating func compact() {
    guard departures.count > 64, departures.count > 2 * count else { return }
    departures = departures[begin...].filter { departure in
      kept[departure.owner]?.contains { $0.number == departure.number } == true
    }
    begin = 0
  }
}
