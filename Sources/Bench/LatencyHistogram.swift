/// Counts durations in buckets that are at most 1.6 % wide, whatever their length.
///
/// Every power of two from 64 ns on has 64 buckets of equal width. Recording is a shift and an increment.
struct LatencyHistogram: Sendable {
  private static let bucketsPerOctave = 64
  private var counts = [UInt64](repeating: 0, count: bucketsPerOctave * 59)
  /// Durations recorded.
  private(set) var count: UInt64 = 0
  /// The longest duration in nanoseconds.
  private(set) var maximum: UInt64 = 0

  /// Counts one duration in nanoseconds.
  mutating func record(_ nanoseconds: UInt64) {
    count += 1
    if nanoseconds > maximum { maximum = nanoseconds }
    counts[LatencyHistogram.bucket(of: nanoseconds)] += 1
  }

  /// Returns the duration in nanoseconds that so much of all durations (0 to 1) do not exceed; 0 when there are none.
  func quantile(_ share: Double) -> UInt64 {
    guard count > 0 else { return 0 }
    let rank = max(1, min(count, UInt64((share * Double(count)).rounded(.up))))
    var seen: UInt64 = 0
    for (bucket, number) in counts.enumerated() where number > 0 {
      seen += number
      if seen >= rank { return min(maximum, LatencyHistogram.upperBound(of: bucket)) }
    }
    return maximum
  }

  private static func bucket(of nanoseconds: UInt64) -> Int {
    let value = nanoseconds | 1
    let shift = max(0, 63 - value.leadingZeroBitCount - 6)
    return shift * bucketsPerOctave + Int(nanoseconds >> UInt64(shift))
  }

  private static func upperBound(of bucket: Int) -> UInt64 {
    // Buckets below two octaves hold one value each.
    guard bucket >= 2 * bucketsPerOctave else { return UInt64(bucket) }
    let shift = bucket / bucketsPerOctave - 1
    // The last bucket ends with the largest number: its end plus one wraps to 0.
    return (UInt64(bucket - shift * bucketsPerOctave + 1) << UInt64(shift)) &- 1
  }
}
