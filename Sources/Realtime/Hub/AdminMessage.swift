import ClientProtocol
import JSONCore

/// What a backend or an operator wants to say, checked: the members of a JSON object, and in whose name.
enum AdminMessage {
  /// Makes the envelope of a message.
  ///
  /// - Parameters:
  ///   - data: a JSON object in UTF-8 whose members become the message's, byte for byte.
  ///   - user: in whose name, or nil: nobody's.
  ///   - now: milliseconds since 1970.
  /// - Throws: what ``MessageData`` throws, and `bad_request` for a name that no user can have.
  static func envelope(
    _ kind: Envelope.Kind, data: Span<UInt8>, user: [UInt8]?, at now: UInt64
  ) throws(ProtocolError) -> [UInt8] {
    let members = try MessageData(data, asUser: "put user beside data").members
    let userJSON = try quoted(user)
    var envelope: [UInt8] = []
    Envelope.begin(kind, timestamp: now, origin: [], userJSON: userJSON, into: &envelope)
    members.appendMembers(of: data, to: &envelope)
    return envelope
  }

  private static func quoted(_ user: [UInt8]?) throws(ProtocolError) -> [UInt8] {
    guard let user else { return Array("null".utf8) }
    guard RoomName.isValid(user.span) else {
      throw ProtocolError(.badRequest, "user must be 1 to 200 bytes of UTF-8 without control characters, or null")
    }
    return JSONString.quoting(user)
  }
}

/// A message of a backend, checked, for any number of rooms.
public struct BackendMessage {
  let envelope: [UInt8]
  let dedupe: [UInt8]?
  let trace: TraceContext?

  /// The bytes that each room's copy takes on its way.
  public var byteCount: Int { envelope.count }
}
