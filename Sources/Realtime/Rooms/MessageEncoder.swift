import ClientProtocol
import JSONCore

/// Writes the messages that people send, in the forms in which their receivers get them. Bytes only: this runs once for each
/// message. Everything else that a client receives is a ``ServerEvent``.
enum MessageEncoder {
  /// A room's message in the form that its members receive: JSON, or the binary envelope.
  static func message(
    _ envelope: Envelope, in bytes: Span<UInt8>, offset: UInt64, room: Room, to output: inout [UInt8]
  ) {
    if envelope.kind == .binary {
      binary(envelope, in: bytes, room: room, to: &output)
    } else {
      text(envelope, in: bytes, offset: offset, room: room, to: &output)
    }
  }

  /// A room's message that has no offset.
  static func ephemeral(_ envelope: Envelope, in bytes: Span<UInt8>, room: Room, to output: inout [UInt8]) {
    output.append("{\"type\":\"message\",\"room\":")
    output.append(contentsOf: room.nameJSON)
    output.append(",\"user\":")
    output.append(copying: bytes.extracting(envelope.user))
    output.append(",\"ts\":")
    output.append(copying: bytes.extracting(envelope.timestamp))
    members(bytes.extracting(envelope.body), to: &output)
  }

  /// A room's message as JSON. A binary payload becomes the member `binary`, in base64.
  static func text(
    _ envelope: Envelope, in bytes: Span<UInt8>, offset: UInt64, room: Room, to output: inout [UInt8]
  ) {
    output.append("{\"type\":\"message\",\"room\":")
    output.append(contentsOf: room.nameJSON)
    output.append(",\"user\":")
    output.append(copying: bytes.extracting(envelope.user))
    output.append(",\"offset\":")
    JSONNumber.append(offset, to: &output)
    output.append(",\"ts\":")
    output.append(copying: bytes.extracting(envelope.timestamp))
    guard envelope.kind == .binary else { return members(bytes.extracting(envelope.body), to: &output) }
    output.append(",\"binary\":\"")
    Base64.append(bytes.extracting(envelope.body), to: &output)
    output.append("\"}")
  }

  private static func binary(_ envelope: Envelope, in bytes: Span<UInt8>, room: Room, to output: inout [UInt8]) {
    var user: [UInt8] = []
    if envelope.user.count > 2, bytes[envelope.user.lowerBound] == UInt8(ascii: "\"") {
      let inner = bytes.extracting((envelope.user.lowerBound + 1)..<(envelope.user.upperBound - 1))
      user = JSONString.unescape(inner) ?? []
    }
    let name = room.name
    _ = BinaryEnvelope.appendHeader(room: name.span, user: user.span, to: &output)
    output.append(copying: bytes.extracting(envelope.body))
  }

  /// A message outside of rooms: `direct` or `broadcast`.
  static func personal(_ envelope: Envelope, in bytes: Span<UInt8>, to output: inout [UInt8]) {
    output.append(envelope.kind == .direct ? "{\"type\":\"direct\",\"user\":" : "{\"type\":\"broadcast\",\"user\":")
    output.append(copying: bytes.extracting(envelope.user))
    output.append(",\"ts\":")
    output.append(copying: bytes.extracting(envelope.timestamp))
    members(bytes.extracting(envelope.body), to: &output)
  }

  private static func members(_ body: Span<UInt8>, to output: inout [UInt8]) {
    if body.count > 0 { output.append(UInt8(ascii: ",")) }
    output.append(copying: body)
    output.append(UInt8(ascii: "}"))
  }
}
