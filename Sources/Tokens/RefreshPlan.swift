/// Decides when a published set of keys is fetched again; pure, time comes in. All times are milliseconds.
struct RefreshPlan {
  /// The longest time between two fetches.
  private let interval: Int
  private var lastStart: UInt64?
  private var failures = 0

  init(interval: Int) { self.interval = interval }

  /// Whether a token with an unknown key may start a fetch at `now`.
  func mayFetch(at now: UInt64) -> Bool {
    guard let lastStart else { return true }
    return now >= lastStart + TokenLimits.fetchSpacingMilliseconds
  }

  /// Notes that a fetch begins at `now`.
  mutating func begin(at now: UInt64) { lastStart = now }

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
