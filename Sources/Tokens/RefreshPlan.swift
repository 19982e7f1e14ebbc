/// Decides when a published set of keys is fetched again; pure, time comes in. All times are milliseconds.
struct RefreshPlan {
  /// The longest time between two fetches.
  private let interval: Int
  private(set) var lastStart: UInt64?
  private var failures = 0
  /// Fetches in a row that brought no new key.
  private var fruitless = 0

  init(interval: Int) { self.interval = interval }

  /// Returns the time from `now` until a token with an unknown key may start a fetch; 0: at once. The time between two such
  /// fetches doubles while they bring no new key, so that invented key ids do not steer it, and is short again after
  /// a quiet minute, so that the first token of a new key waits a second.
  func delayUntilAllowed(at now: UInt64) -> UInt64 {
    guard let lastStart, now < lastStart + TokenLimits.fetchQuietMilliseconds else { return 0 }
    let doubled = TokenLimits.fetchSpacingMillisecondsMin << UInt64(min(fruitless, 8))
    let allowed = lastStart + min(doubled, TokenLimits.fetchSpacingMillisecondsMax)
    return allowed > now ? allowed - now : 0
  }

  /// Notes that a fetch begins at `now`.
  mutating func begin(at now: UInt64) {
    if let lastStart, now >= lastStart + TokenLimits.fetchQuietMilliseconds { fruitless = 0 }
    lastStart = now
  }

  /// Notes whether a fetch that has ended brought keys that were not known.
  mutating func end(hasNewKeys: Bool) { fruitless = hasNewKeys ? 0 : min(fruitless + 1, 20) }

  /// Returns the time until the next fetch after one that brought keys. `maxAge`: for how long the issuer's answer may be
  /// kept (RFC 9111 section 5.2.2.1), or nil; it may ask for fresher keys than we would, within reason, never for older.
  mutating func delayAfterSuccess(maxAge: Int?) -> Int {
    failures = 0
    guard let maxAge else { return interval }
    return min(interval, max(TokenLimits.refreshMillisecondsMin, maxAge))
  }

  /// Returns the time until the next fetch after one that failed.
  mutating func delayAfterFailure() -> Int {
    failures = min(failures + 1, 20)
    return min(interval, TokenLimits.retryMilliseconds << (failures - 1))
  }
}
