import JSONCore

/// The packets of Socket.IO, revision 5 of its protocol. The raw value is the digit on the wire.
public enum SocketPacketType: UInt8, CaseIterable, Sendable {
  case connect
  case disconnect
  case event
  case ack
  case connectError
  case binaryEvent
  case binaryAck

  /// The character that begins such a packet.
  public var digit: UInt8 { UInt8(ascii: "0") + rawValue }
  /// Whether attachments follow it.
  public var isBinary: Bool { self == .binaryEvent || self == .binaryAck }
  /// Whether its payload begins with the name of an event.
  public var isEvent: Bool { self == .event || self == .binaryEvent }
}

/// One packet of Socket.IO, as ranges of the text that it was read from; its payload stays bytes. Allocates nothing.
public struct SocketPacket: Equatable, Sendable {
  /// The most attachments of one packet: as many as the official decoder takes by default (socket.io-parser 4.2.6).
  public static let attachmentsMax = 10
  /// The largest ack id: as far as JavaScript counts exactly.
  public static let ackIDMax: UInt64 = 9_007_199_254_740_991

  public let type: SocketPacketType
  /// The namespace with its leading slash, whatever it is (``Namespace/isValid(_:)``); empty for the main one, `/`.
  public let namespace: Range<Int>
  /// By which an event asks for an ack, or which an ack answers.
  public let ackID: UInt64?
  public let attachmentCount: Int
  /// The JSON text: an object of `connect`, a string or object of `connectError`, an array of events and acks; nil when there
  /// is none.
  public let payload: Range<Int>?
  /// What the payload of an event or an ack has; nil of other packets.
  public let arguments: PacketArguments?

  /// Reads the data of an Engine.IO message, which must be valid UTF-8. The payload is checked wholly. Refuses what the
  /// official decoder refuses, and events and acks without a payload; reserved names of events are left to ``EventName``.
  public init(parsing text: Span<UInt8>) throws(PacketFault) {
    guard text.count > 0 else { throw .emptyPacket }
    guard let type = SocketPacketType(rawValue: text[0] &- UInt8(ascii: "0")) else { throw .unknownType }
    var cursor = PacketCursor(text, at: 1)
    self.type = type
    attachmentCount = type.isBinary ? try cursor.takeAttachmentCount() : 0
    namespace = cursor.takeNamespace()
    ackID = try cursor.takeAckID()
    payload = cursor.position < text.count ? cursor.position..<text.count : nil
    if let payload {
      arguments = try Self.check(text.extracting(payload), of: type, startingAt: payload.lowerBound)
    } else {
      guard type == .connect || type == .disconnect else { throw .invalidPayload }
      arguments = nil
    }
  }

  /// Checks a payload, which begins at `start` of the packet. Returns what it has of an event or an ack.
  private static func check(
    _ payload: Span<UInt8>, of type: SocketPacketType, startingAt start: Int
  ) throws(PacketFault) -> PacketArguments? {
    var arguments: PacketArguments?
    do throws(JSONError) {
      switch type {
      case .connect: try skipMembers(of: payload)
      case .connectError:
        if payload[0] == UInt8(ascii: "\"") { try JSONScanner.validate(payload) } else { try skipMembers(of: payload) }
      case .disconnect: break
      case .event, .binaryEvent, .ack, .binaryAck:
        arguments = try PacketArguments(payload, hasName: type.isEvent, startingAt: start)
      }
    } catch {
      throw .invalidPayload
    }
    guard arguments != nil || type == .connect || type == .connectError else { throw .invalidPayload }
    return arguments
  }

  private static func skipMembers(of object: Span<UInt8>) throws(JSONError) {
    var scanner = JSONScanner(object)
    while try scanner.nextMember() != nil {}
  }
}

/// Reads what stands before a packet's payload.
private struct PacketCursor: ~Escapable {
  private let text: Span<UInt8>
  private(set) var position: Int

  @_lifetime(copy text)
  init(_ text: Span<UInt8>, at position: Int) {
    self.text = text
    self.position = position
  }

  /// Digits that ``JSONNumber`` reads; nil when there is none.
  @_lifetime(self: copy self)
  private mutating func takeDigits() -> Range<Int>? {
    let start = position
    while position < text.count, text[position] &- UInt8(ascii: "0") < 10 { position += 1 }
    return start == position ? nil : start..<position
  }

  @_lifetime(self: copy self)
  mutating func takeAttachmentCount() throws(PacketFault) -> Int {
    guard let digits = takeDigits(), position < text.count, text[position] == UInt8(ascii: "-"),
      let count = JSONNumber.unsigned(text.extracting(digits)), count > 0
    else { throw .invalidAttachmentCount }
    guard count <= UInt64(SocketPacket.attachmentsMax) else { throw .tooManyAttachments }
    position += 1
    return Int(count)
  }

  @_lifetime(self: copy self)
  mutating func takeNamespace() -> Range<Int> {
    let start = position
    guard start < text.count, text[start] == UInt8(ascii: "/") else { return start..<start }
    while position < text.count, text[position] != UInt8(ascii: ",") { position += 1 }
    let end = position
    if position < text.count { position += 1 }
    return start..<end
  }

  @_lifetime(self: copy self)
  mutating func takeAckID() throws(PacketFault) -> UInt64? {
    guard let digits = takeDigits() else { return nil }
    guard let id = JSONNumber.unsigned(text.extracting(digits)), id <= SocketPacket.ackIDMax else {
      throw .invalidAckID
    }
    return id
  }
}
