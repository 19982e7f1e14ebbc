import JSONCore

/// The packets of Engine.IO, revision 4 of its protocol. The raw value is the digit on the wire.
public enum EnginePacketType: UInt8, CaseIterable, Sendable {
  case open
  case close
  case ping
  case pong
  case message
  case upgrade
  case noop

  /// The character that begins such a packet.
  public var digit: UInt8 { UInt8(ascii: "0") + rawValue }
}

/// One packet of Engine.IO, as ranges of the text that it was read from.
public struct EnginePacket: Equatable, Sendable {
  public let type: EnginePacketType
  /// What follows the type; of a binary message in a polling payload the base64 text.
  public let data: Range<Int>
  /// Whether the packet is a binary message of a polling payload, `b` and base64: ``Base64/decode(_:)`` of the data gives its
  /// bytes, or nil when it is no base64.
  public let isBase64: Bool

  /// Reads the text frame of a WebSocket. A binary frame is a binary message as it stands and needs no reading.
  public init(parsing text: Span<UInt8>) throws(PacketFault) {
    try self.init(parsing: text, in: 0..<text.count)
  }

  init(parsing text: Span<UInt8>, in range: Range<Int>) throws(PacketFault) {
    guard !range.isEmpty else { throw .emptyPacket }
    let first = text[range.lowerBound]
    data = range.lowerBound + 1..<range.upperBound
    isBase64 = first == UInt8(ascii: "b")
    if isBase64 {
      type = .message
    } else {
      guard let type = EnginePacketType(rawValue: first &- UInt8(ascii: "0")) else { throw .unknownEngineType }
      self.type = type
    }
  }
}

/// Reads the packets of a polling request's body in order: UTF-8, joined by U+001E. Looks at each byte twice and allocates
/// nothing; a body is bounded by the request's limit.
public struct EnginePayloadReader: ~Escapable {
  /// What stands between two packets.
  public static let separator: UInt8 = 0x1E

  private let body: Span<UInt8>
  /// Where the next packet begins; nil: the last one was read.
  private var position: Int? = 0

  @_lifetime(copy body)
  public init(_ body: Span<UInt8>) {
    self.body = body
  }

  /// The next packet, with ranges of the body; nil after the last one. An empty body is a fault, as is an empty packet,
  /// a type that does not exist, and text that is not UTF-8.
  @_lifetime(self: copy self)
  public mutating func next() throws(PacketFault) -> EnginePacket? {
    guard let start = position else { return nil }
    if start == 0, !JSONScanner.isValidUTF8(body) { throw .invalidUTF8 }
    var end = start
    while end < body.count, body[end] != Self.separator { end += 1 }
    position = end < body.count ? end + 1 : nil
    return try EnginePacket(parsing: body, in: start..<end)
  }
}
