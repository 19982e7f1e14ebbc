/// When the connections of a draining node close: each at its own random moment, however short the drain. Pure.
struct DrainSchedule {
  /// The last part of a drain belongs to the close handshakes, not to clients that still wait for their moment: at most this,
  /// and at most a quarter of a short drain. In milliseconds.
  static let reserveMillisecondsMax = 1000

  /// The time over which connections close, in milliseconds.
  let spreadMilliseconds: Int

  /// - Parameter drainMilliseconds: the time after which the node ends, even with open connections.
  init(drainMilliseconds: Int) {
    let drain = max(0, drainMilliseconds)
    spreadMilliseconds = drain - min(DrainSchedule.reserveMillisecondsMax, drain / 4)
  }

  /// The moment of one connection, in milliseconds from the beginning of the drain.
  func moment(using generator: inout some RandomNumberGenerator) -> Int {
    Int.random(in: 0...spreadMilliseconds, using: &generator)
  }
}
