/// When presence is next compared with the broker. What happens while a comparison is due does not put it off: it asks for
/// one more. Pure.
struct ComparisonSchedule {
  /// Milliseconds; 0: none is due.
  private var first: UInt64 = 0
  private var last: UInt64 = 0

  /// Asks for a comparison at a moment.
  mutating func add(_ moment: UInt64) {
    guard first > 0 else { return first = moment }
    last = max(last, first, moment)
    first = min(first, moment)
  }

  /// Whether a comparison is to be made now.
  mutating func isDue(at now: UInt64) -> Bool {
    guard first > 0, first <= now else { return false }
    // The one asked for later is made now too, if its time has come.
    first = last > now ? last : 0
    last = 0
    return true
  }
}
