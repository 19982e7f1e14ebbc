import TimeCore

/// When the connections of a draining node close: each at its own random moment, however short the drain. Pure.
struct DrainSchedule {
  /// The last part of a drain belongs to the close handshakes, not to clients that still wait for their moment: at most this,
  /// and at most a quarter of a short drain.
  static let reserveMax = Interval.seconds(1)

  /// The time over which connections close.
  let spread: Interval

  /// - Parameter drain: the time after which the node ends, even with open connections.
  init(_ drain: Interval) {
    let drain = max(.zero, drain)
    spread = drain - min(DrainSchedule.reserveMax, drain / 4)
  }

  /// The moment of one connection, from the beginning of the drain.
  func moment(using generator: inout some RandomNumberGenerator) -> Interval {
    .milliseconds(Int.random(in: 0...spread.milliseconds, using: &generator))
  }
}
