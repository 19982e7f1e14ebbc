import JSONCore

/// The envelope of a binary message: a marker byte, the room, and whatever the sender put behind it.
///
/// From a client: `0x01`, one length byte, the room's name, the payload. To a client: the same with the sender's user,
/// in the same form, between room and payload.
@frozen
public struct BinaryEnvelope: Equatable, Sendable {
  /// The first byte of every binary message; other values are kept for later kinds.
  public static let marker: UInt8 = 0x01
  /// The longest user in bytes that the envelope's one length byte can announce.
  public static let userBytesMax = 255

  /// The bytes of the room's name, which is valid.
  public let room: Range<Int>
  /// Everything behind the room; may be empty.
  public let payload: Range<Int>

  /// Reads the message of a client; the ranges count from the start of `message`.
  public init(parsing message: Span<UInt8>) throws(ProtocolError) {
    guard message.count > 0, message[0] == Self.marker else {
      throw ProtocolError(.badRequest, "a binary message begins with the byte 1")
    }
    guard message.count >= 2, message.count >= 2 + Int(message[1]) else {
      throw ProtocolError(.badRequest, "the binary message ends before its room does: byte 2 is the room's length")
    }
    room = 2..<(2 + Int(message[1]))
    payload = room.upperBound..<message.count
    guard RoomName.isValid(message.extracting(room)) else { throw ProtocolError(.badRoom, RoomName.rule) }
  }

  /// Appends all that precedes the payload of a message to a client.
  ///
  /// Returns false and appends nothing when the room is not valid or the user is longer than ``userBytesMax``: a name
  /// cut short could be another user's.
  public static func appendHeader(room: Span<UInt8>, user: Span<UInt8>, to output: inout [UInt8]) -> Bool {
    guard RoomName.isValid(room), user.count <= userBytesMax else { return false }
    output.append(marker)
    output.append(UInt8(room.count))
    output.append(copying: room)
    output.append(UInt8(user.count))
    output.append(copying: user)
    return true
  }
}

/// The envelope of a binary message to a client, read again: for transports that carry text only.
public struct DeliveredBinaryEnvelope {
  public let room: Range<Int>
  /// The sender's name; empty for a backend's message.
  public let user: Range<Int>
  public let payload: Range<Int>

  /// Reads what ``BinaryEnvelope/appendHeader(room:user:to:)`` wrote, with its payload; nil for anything else.
  public init?(_ message: Span<UInt8>) {
    guard message.count > 2, message[0] == BinaryEnvelope.marker else { return nil }
    room = 2..<(2 + Int(message[1]))
    guard message.count > room.upperBound else { return nil }
    let start = room.upperBound + 1
    user = start..<(start + Int(message[room.upperBound]))
    guard message.count >= user.upperBound else { return nil }
    payload = user.upperBound..<message.count
  }
}
