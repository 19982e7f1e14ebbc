/// Detects when another machine's clock was set forward, by comparing it with the monotonic clock of this one; pure.
struct ClockJumpDetector {
  private let tolerance: Int
  private var last: (theirs: Int, ours: UInt64)?

  /// - Parameter toleranceMilliseconds: what the other clock may run ahead from one look to the next.
  init(toleranceMilliseconds: Int) { tolerance = toleranceMilliseconds }

  /// Takes the time of the other clock (milliseconds) at a moment of this one (nanoseconds). Returns whether it has run
  /// ahead by more than the tolerance since the last look. An answer that was long on its way makes it seem behind at
  /// one look and ahead at the next: the tolerance must cover that.
  mutating func isAhead(_ theirs: Int, at ours: UInt64) -> Bool {
    defer { last = (theirs, ours) }
    guard let last else { return false }
    // The number is another program's, so nothing is taken for granted about it: a wrong one wraps around, and at worst counts
    // as a clock that was set.
    return theirs &- last.theirs &- Int(clamping: (ours &- last.ours) / 1_000_000) > tolerance
  }
}
