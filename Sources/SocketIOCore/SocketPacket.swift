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

  public var digit: UInt8 { UInt8(ascii: "0") + rawValue }
  /// Whether attachments follow it.
  public var isBinary: Bool { self == .binaryEvent || self == .binaryAck }
}

/// One packet of Socket.IO, as ranges of the text that it was read from; its payload stays bytes. Allocates nothing.
public struct SocketPacket: Equatable, Sendable {
  /// The most attachments of one packet: that many the official decoder takes by default (socket.io-parser 4.2.6).
  public static let attachmentsMax = 10
  /// The largest ack id: that far JavaScript counts exactly.
  public static let ackIDMax: UInt64 = 9_007_199_254_740_991

  public let type: SocketPacketType
  /// The namespace with its leading slash; empty for the main one, `/`.
  public let namespace: Range<Int>
  /// By which an event asks for an ack, or which an ack answers.
  public let ackID: UInt64?
  public let attachmentCount: Int
  /// The JSON text: an object of `connect`, a string or object of `connectError`, an array of events and acks; nil when there
  /// is none.
  public let payload: Range<Int>?

  /// Reads the data of an Engine.IO message, which must be valid UTF-8. Refuses what the official decoder refuses, except
  /// reserved event names, which ``EventName`` tells; events need a payload. The payload is checked wholly.
  public init(parsing text: Span<UInt8>) throws(PacketFault) {
    fatalError()
  }
}

/// The arguments of an event or an ack, as ranges of the text that the packet was read from. Allocates nothing.
public struct PacketArguments: Equatable, Sendable {
  /// The name of an event with its quotes, or a number, which the official decoder takes too; nil of an ack.
  public let name: Range<Int>?
  /// The arguments with the commas between them and without brackets; empty when there is none. They can be copied into
  /// another array as they are.
  public let list: Range<Int>
  public let count: Int
  /// The first argument and its kind, for events that take one; nil when there is none.
  public let first: JSONElement?

  /// The name as a string; nil for a number.
  public func nameString(in text: Span<UInt8>) -> JSONStringRange? { fatalError() }

  /// Reads the payload of an event or an ack that ``SocketPacket/init(parsing:)`` has accepted; nil for other packets.
  public init?(of packet: SocketPacket, in text: Span<UInt8>) {
    fatalError()
  }
}

/// What a client sends with `connect`: the `auth` of its options.
public struct ConnectPayload: Equatable, Sendable {
  /// `token`, `user`, and for the recovery of a connection `pid` and `offset`; nil when absent or no string.
  public private(set) var token: JSONStringRange?
  public private(set) var user: JSONStringRange?
  public private(set) var pid: JSONStringRange?
  public private(set) var offset: JSONStringRange?

  /// Reads the payload of a packet of type `connect`; all members are nil when it has none. Ranges are of `text`.
  public init(of packet: SocketPacket, in text: Span<UInt8>) {
    fatalError()
  }
}
