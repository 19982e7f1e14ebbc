/// Says why a connection ends (RFC 6455 section 7.4).
@frozen
public struct CloseCode: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt16

  @inlinable
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  // Defined by RFC 6455 section 7.4.1.
  public static let normal = CloseCode(rawValue: 1000)
  public static let protocolError = CloseCode(rawValue: 1002)
  /// Stands for a close frame without a code; never on the wire.
  public static let noStatus = CloseCode(rawValue: 1005)
  public static let invalidPayload = CloseCode(rawValue: 1007)
  public static let messageTooBig = CloseCode(rawValue: 1009)

  /// Tells whether the code may stand in a close frame (RFC 6455 sections 7.4.1 and 7.4.2, IANA for 1012 to 1014).
  ///
  /// 1004, 1005, 1006 and 1015 are reserved, other codes below 3000 are undefined, and nothing exists above 4999.
  public var isValidOnTheWire: Bool {
    switch rawValue {
    case 1000...1003, 1007...1014, 3000...4999: true
    default: false
    }
  }
}
