/// Allows so many units a second, and as many at once as a second brings or `burst` says; pure.
public struct TokenBucket: Sendable {
  /// Units a second; 0 for no limit.
  public let rate: UInt32
  private let burst: Double
  private var tokens: Double
  private var last: UInt64

  /// - Parameter burst: units at once when that is more than `rate`.
  public init(rate: UInt32, burst: UInt32 = 0, now: UInt64) {
    self.rate = rate
    self.burst = Double(max(rate, burst))
    tokens = self.burst
    last = now
  }

  /// Whether a new bucket would hold no more at `now` milliseconds.
  public func isFull(at now: UInt64) -> Bool {
    rate == 0 || tokens + (now > last ? Double(now - last) * Double(rate) / 1000 : 0) >= burst
  }

  /// Milliseconds in which an empty bucket fills.
  public var fillMilliseconds: UInt64 { rate == 0 ? 0 : UInt64(burst * 1000 / Double(rate)) + 1 }

  /// Holds no more than another bucket of the same rate does, at `now` milliseconds.
  public mutating func limit(to other: TokenBucket, at now: UInt64) {
    var other = other
    _ = take(0, at: now)
    _ = other.take(0, at: now)
    tokens = min(tokens, other.tokens)
  }

  /// Takes `count` units at `now` milliseconds. Returns false, and takes none, when there are not as many.
  public mutating func take(_ count: Int = 1, at now: UInt64) -> Bool {
    guard rate > 0 else { return true }
    // A clock that was set back brings nothing.
    if now > last { tokens = min(burst, tokens + Double(now - last) * Double(rate) / 1000) }
    last = now
    guard tokens >= Double(count) else { return false }
    tokens -= Double(count)
    return true
  }
}
