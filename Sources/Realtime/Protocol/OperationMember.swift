import JSONCore

/// The member names that mean something to the protocol.
enum OperationMember {
  case type, room, user, offset, ts, id, echo
  case to, token, since, limit, action, payload
  case other

  /// Whether the protocol owns the name: such a member is never passed on as its sender wrote it.
  var isReserved: Bool {
    switch self {
    case .type, .room, .user, .offset, .ts, .id, .echo: true
    case .to, .token, .since, .limit, .action, .payload, .other: false
    }
  }

  /// Reads a key, also one that is spelled with escapes, behind which a second `user` could hide.
  init(_ key: JSONStringRange, in text: Span<UInt8>) {
    let raw = text.extracting(key.contents)
    if key.hasEscapes {
      guard let name = JSONString.unescape(raw) else {
        self = .other
        return
      }
      self.init(name: name.span)
    } else {
      self.init(name: raw)
    }
  }

  private init(name: Span<UInt8>) {
    self = .other
    switch name.count {
    case 2:
      if JSONString.equals(name, "id") { self = .id }
      if JSONString.equals(name, "ts") { self = .ts }
      if JSONString.equals(name, "to") { self = .to }
    case 4:
      if JSONString.equals(name, "type") { self = .type }
      if JSONString.equals(name, "room") { self = .room }
      if JSONString.equals(name, "user") { self = .user }
      if JSONString.equals(name, "echo") { self = .echo }
    case 5:
      if JSONString.equals(name, "token") { self = .token }
      if JSONString.equals(name, "since") { self = .since }
      if JSONString.equals(name, "limit") { self = .limit }
    case 6:
      if JSONString.equals(name, "offset") { self = .offset }
      if JSONString.equals(name, "action") { self = .action }
    case 7:
      if JSONString.equals(name, "payload") { self = .payload }
    default:
      break
    }
  }
}
