/// Names what a frame carries (RFC 6455 section 5.2).
@frozen
public enum Opcode: UInt8, Sendable {
  case continuation = 0x0
  case text = 0x1
  case binary = 0x2
  case close = 0x8
  case ping = 0x9
  case pong = 0xA

  /// Tells close, ping and pong from the frames that carry a message (RFC 6455 section 5.5).
  @inlinable
  public var isControl: Bool { rawValue & 0x8 != 0 }
}

/// Tells the two kinds of message apart (RFC 6455 section 5.6).
@frozen
public enum MessageKind: UInt8, Sendable {
  case text
  case binary

  /// Gives the opcode of the first frame of such a message.
  @inlinable
  public var opcode: Opcode { self == .text ? .text : .binary }
}
