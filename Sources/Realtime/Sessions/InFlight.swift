/// What a session has asked for and not been answered yet.
struct InFlight {
  private var count: UInt32 = 0
  private var bytes: UInt32 = 0

  /// Whether it is to be read no further.
  var isFull: Bool { count >= UInt32(Limits.inFlightMax) || bytes >= UInt32(Limits.inFlightBytesMax) }
  /// Whether it may be read again. Lower than full, so that a connection is not stopped for every single operation.
  var hasRoom: Bool { count <= UInt32(Limits.inFlightMax / 2) && bytes <= UInt32(Limits.inFlightBytesMax / 2) }

  mutating func begin(_ size: Int) {
    count += 1
    bytes &+= UInt32(truncatingIfNeeded: size)
  }

  mutating func end(_ size: Int) {
    count -= 1
    bytes &-= UInt32(truncatingIfNeeded: size)
  }
}
