/// A length of time, to the nanosecond.
public struct Interval: Hashable, Comparable, Sendable {
  /// The length in nanoseconds; less than zero for a length that runs backward.
  public let nanoseconds: Int64

  /// Makes an interval of so many nanoseconds.
  @inlinable
  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// An interval of so many milliseconds.
  @inlinable
  public static func milliseconds(_ count: Int) -> Interval { Interval(nanoseconds: Int64(count) &* 1_000_000) }

  /// An interval of so many seconds.
  @inlinable
  public static func seconds(_ count: Int) -> Interval { Interval(nanoseconds: Int64(count) &* 1_000_000_000) }

  /// No time at all.
  public static let zero = Interval(nanoseconds: 0)

  /// Whole milliseconds, rounded toward zero.
  @inlinable
  public var milliseconds: Int { Int(nanoseconds / 1_000_000) }

  /// Whole seconds, rounded toward zero.
  @inlinable
  public var seconds: Int { Int(nanoseconds / 1_000_000_000) }

  /// Whether `a` is shorter than `b`.
  @inlinable
  public static func < (a: Interval, b: Interval) -> Bool { a.nanoseconds < b.nanoseconds }

  /// Both lengths together.
  @inlinable
  public static func + (a: Interval, b: Interval) -> Interval { Interval(nanoseconds: a.nanoseconds &+ b.nanoseconds) }

  /// How much longer `a` is than `b`.
  @inlinable
  public static func - (a: Interval, b: Interval) -> Interval { Interval(nanoseconds: a.nanoseconds &- b.nanoseconds) }

  /// The length `count` times over.
  @inlinable
  public static func * (a: Interval, count: Int) -> Interval { Interval(nanoseconds: a.nanoseconds &* Int64(count)) }

  /// One of `count` equal parts, rounded toward zero.
  @inlinable
  public static func / (a: Interval, count: Int) -> Interval { Interval(nanoseconds: a.nanoseconds / Int64(count)) }

  /// How often `b` fits into `a`, rounded toward zero.
  @inlinable
  public static func / (a: Interval, b: Interval) -> Int { Int(a.nanoseconds / b.nanoseconds) }

  /// The ratio of two lengths.
  @inlinable
  public static func / (a: Interval, b: Interval) -> Double { Double(a.nanoseconds) / Double(b.nanoseconds) }
}

/// A moment of a clock that nobody sets and that does not go back.
public struct Instant: Hashable, Comparable, Sendable {
  /// Nanoseconds since the clock began.
  public let nanoseconds: UInt64

  /// Makes the moment so many nanoseconds after the clock began.
  @inlinable
  public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  /// The moment at which the clock began.
  public static let zero = Instant(nanoseconds: 0)

  /// Whole milliseconds since the clock began.
  @inlinable
  public var milliseconds: UInt64 { nanoseconds / 1_000_000 }

  /// Whether `a` is before `b`.
  @inlinable
  public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

  /// The moment `b` after `a`.
  @inlinable
  public static func + (a: Instant, b: Interval) -> Instant {
    Instant(nanoseconds: a.nanoseconds &+ UInt64(bitPattern: b.nanoseconds))
  }

  /// The time from `b` to `a`.
  @inlinable
  public static func - (a: Instant, b: Instant) -> Interval {
    Interval(nanoseconds: Int64(bitPattern: a.nanoseconds &- b.nanoseconds))
  }
}
