/// Counts the comings and goings that were announced one by one in a room in the current interval. Two words of 32 bits,
/// because every room has one. Pure.
struct NoticeWindow {
  /// The interval, numbered; it may wrap.
  private var interval: UInt32 = 0
  private var announced: UInt32 = 0

  /// How many were announced in an interval.
  func count(in interval: UInt32) -> Int { interval == self.interval ? Int(announced) : 0 }

  mutating func add(in interval: UInt32) {
    if interval != self.interval { (self.interval, announced) = (interval, 0) }
    announced &+= 1
  }
}
