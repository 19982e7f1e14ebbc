import JSONCore

/// Writes what the server sends by itself, and the messages of rooms. Bytes only: this runs once per message.
enum Push {
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

  static func presenceChange(
    joined: Bool, roomJSON: [UInt8], userJSON: Span<UInt8>, info: Span<UInt8>, to output: inout [UInt8]
  ) {
    output.append(joined ? "{\"type\":\"user_joined\",\"room\":" : "{\"type\":\"user_left\",\"room\":")
    output.append(contentsOf: roomJSON)
    output.append(",\"user\":")
    output.append(copying: userJSON)
    if info.count > 0 {
      output.append(",\"info\":")
      output.append(copying: info)
    }
    output.append(UInt8(ascii: "}"))
  }

  static func userState(
    roomJSON: [UInt8], userJSON: Span<UInt8>, _ state: Span<UInt8>, to output: inout [UInt8]
  ) {
    output.append("{\"type\":\"user_state\",\"room\":")
    output.append(contentsOf: roomJSON)
    output.append(",\"user\":")
    output.append(copying: userJSON)
    output.append(",\"state\":")
    output.append(copying: state)
    output.append(UInt8(ascii: "}"))
  }

  static func presenceUpdate(
    roomJSON: [UInt8], userCount: Int, _ changes: CrowdChanges.Summary, to output: inout [UInt8]
  ) {
    output.append("{\"type\":\"presence_update\",\"room\":")
    output.append(contentsOf: roomJSON)
    output.append(",\"count\":")
    JSONNumber.append(UInt64(userCount), to: &output)
    output.append(",\"joined\":")
    names(changes.joined, to: &output)
    output.append(",\"left\":")
    names(changes.left, to: &output)
    if changes.hasMore { output.append(",\"more\":true") }
    output.append(UInt8(ascii: "}"))
  }

  private static func names(_ names: [[UInt8]], to output: inout [UInt8]) {
    output.append(UInt8(ascii: "["))
    for (index, name) in names.enumerated() {
      if index > 0 { output.append(UInt8(ascii: ",")) }
      JSONString.append(name.span, to: &output)
    }
    output.append(UInt8(ascii: "]"))
  }

  static func gap(roomJSON: [UInt8], lost: ClosedRange<UInt64>, to output: inout [UInt8]) {
    output.append("{\"type\":\"gap\",\"room\":")
    output.append(contentsOf: roomJSON)
    output.append(",\"from\":")
    JSONNumber.append(lost.lowerBound, to: &output)
    output.append(",\"to\":")
    JSONNumber.append(lost.upperBound, to: &output)
    output.append(UInt8(ascii: "}"))
  }

  static func joined(
    id: [UInt8]?, roomJSON: [UInt8], position: Position, userCount: Int, recovered: Bool?, to output: inout [UInt8]
  ) {
    Answer.begin("joined", id: id, to: &output)
    output.append(",\"room\":")
    output.append(contentsOf: roomJSON)
    Answer.append(position, to: &output)
    output.append(",\"members\":")
    JSONNumber.append(UInt64(userCount), to: &output)
    if let recovered { output.append(recovered ? ",\"recovered\":true" : ",\"recovered\":false") }
    output.append(UInt8(ascii: "}"))
  }

  /// A push of nothing but its type.
  static func plain(_ type: StaticString, to output: inout [UInt8]) {
    Answer.begin(type, id: nil, to: &output)
    output.append(UInt8(ascii: "}"))
  }
}

/// The beginnings and parts that answers share.
enum Answer {
  /// Opens an answer: its type, and the id that was asked with, byte for byte.
  static func begin(_ type: StaticString, id: [UInt8]?, to output: inout [UInt8]) {
    output.append("{\"type\":\"")
    output.append(type)
    output.append(UInt8(ascii: "\""))
    if let id {
      output.append(",\"id\":")
      output.append(contentsOf: id)
    }
  }

  static func append(_ position: Position, to output: inout [UInt8]) {
    output.append(",\"epoch\":\"")
    position.epoch.append(to: &output)
    output.append("\",\"offset\":")
    JSONNumber.append(position.offset, to: &output)
  }
}
