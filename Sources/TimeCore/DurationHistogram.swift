/// Counts durations in the buckets that a Prometheus histogram shows.
///
/// An observation compares at most ``bounds``' count of numbers and allocates nothing. Its owner takes the times from the clock
/// of the tick, so that measuring costs no reading of a clock either.
public struct DurationHistogram: Sendable {
  /// Upper bounds in nanoseconds for what a network and another process answer: 100 microseconds to 5 seconds.
  public static let answerBounds: [UInt64] = [
    100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000,
    250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000,
  ]

  /// Upper bounds in nanoseconds for what is measured in whole milliseconds: 1 millisecond to 5 seconds.
  public static let millisecondBounds: [UInt64] = [
    1_000_000, 2_000_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000, 250_000_000, 500_000_000,
    1_000_000_000, 2_500_000_000, 5_000_000_000,
  ]

  /// Upper bounds in nanoseconds, ascending; each belongs to its bucket.
  public let bounds: [UInt64]
  /// One count for each bound, and one for everything above; not cumulative.
  public private(set) var counts: [UInt64]
  /// The sum of all durations.
  public private(set) var sumNanoseconds: UInt64 = 0

  /// Makes an empty histogram.
  public init(bounds: [UInt64]) {
    self.bounds = bounds
    counts = [UInt64](repeating: 0, count: bounds.count + 1)
  }

  /// Counts a duration.
  public mutating func observe(nanoseconds: UInt64) {
    sumNanoseconds &+= nanoseconds
    var bucket = 0
    while bucket < bounds.count, nanoseconds > bounds[bucket] { bucket += 1 }
    counts[bucket] &+= 1
  }

  /// Counts a duration between two moments of one clock; none when it went back.
  public mutating func observe(milliseconds start: UInt64, to end: UInt64) {
    observe(nanoseconds: end > start ? (end - start) &* 1_000_000 : 0)
  }

  /// Adds what another histogram with the same bounds has counted.
  public mutating func add(_ other: DurationHistogram) {
    precondition(bounds == other.bounds, "histograms with other bounds cannot be added")
    sumNanoseconds &+= other.sumNanoseconds
    for i in counts.indices { counts[i] &+= other.counts[i] }
  }
}
