import JSONCore

/// The member names that mean something to the protocol.
enum OperationMember {
  case type, room, user, offset, ts, id, echo, ephemeral
  case to, token, since, limit, after, action, state, payload, traceparent
  case other

  /// Whether the protocol owns the name: such a member is never passed on as its sender wrote it.
  var isReserved: Bool {
    switch self {
    case .type, .room, .user, .offset, .ts, .id, .echo, .ephemeral: true
    case .to, .token, .since, .limit, .after, .action, .state, .payload, .traceparent, .other: false
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

  /// The length and the first letter leave one candidate or two.
  private init(name: Span<UInt8>) {
    guard name.count >= 2, name.count <= 11 else {
      self = .other
      return
    }
    switch (name.count, name[0]) {
    case (2, UInt8(ascii: "i")): self = JSONString.equals(name, "id") ? .id : .other
    case (2, UInt8(ascii: "t")):
      self = name[1] == UInt8(ascii: "s") ? .ts : name[1] == UInt8(ascii: "o") ? .to : .other
    case (4, UInt8(ascii: "t")): self = JSONString.equals(name, "type") ? .type : .other
    case (4, UInt8(ascii: "r")): self = JSONString.equals(name, "room") ? .room : .other
    case (4, UInt8(ascii: "u")): self = JSONString.equals(name, "user") ? .user : .other
    case (4, UInt8(ascii: "e")): self = JSONString.equals(name, "echo") ? .echo : .other
    case (5, UInt8(ascii: "t")): self = JSONString.equals(name, "token") ? .token : .other
    case (5, UInt8(ascii: "s")):
      self = JSONString.equals(name, "since") ? .since : JSONString.equals(name, "state") ? .state : .other
    case (5, UInt8(ascii: "l")): self = JSONString.equals(name, "limit") ? .limit : .other
    case (5, UInt8(ascii: "a")): self = JSONString.equals(name, "after") ? .after : .other
    case (6, UInt8(ascii: "o")): self = JSONString.equals(name, "offset") ? .offset : .other
    case (6, UInt8(ascii: "a")): self = JSONString.equals(name, "action") ? .action : .other
    case (7, UInt8(ascii: "p")): self = JSONString.equals(name, "payload") ? .payload : .other
    case (9, UInt8(ascii: "e")): self = JSONString.equals(name, "ephemeral") ? .ephemeral : .other
    case (11, UInt8(ascii: "t")): self = JSONString.equals(name, "traceparent") ? .traceparent : .other
    default: self = .other
    }
  }
}
