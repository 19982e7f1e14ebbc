import ClientProtocol
import JSONCore

/// What a text of the server says that is no message and no answer. Pure.
enum Notice: Equatable {
  case event(Event)
  /// Milliseconds since 1970.
  case tokenExpires(at: UInt64)
  /// The node closes the connection after so many milliseconds.
  case reconnect(milliseconds: Int)

  /// Nil for what this version does not know.
  init?(_ message: ServerMessage, _ text: [UInt8]) {
    let (room, user) = (string(message.room ?? []), string(message.user ?? []))
    let value = try? JSONValue.parse(text.span)
    func number(_ key: StaticString) -> Int { max(0, value?[key]?.asInt ?? 0) }
    func names(_ key: StaticString) -> [String] { (value?[key]?.asArray ?? []).compactMap(\.asString) }
    switch string(message.type) {
    case "degraded": self = .event(.degraded)
    case "restored": self = .event(.restored)
    case "token_expires": self = .tokenExpires(at: UInt64(number("at")))
    case "direct_dropped": self = .event(.directsDropped(number("count")))
    case "reconnect": self = .reconnect(milliseconds: number("after"))
    case "user_joined": self = .event(.userJoined(room: room, user: user, info: value?["info"]?.json))
    case "user_left": self = .event(.userLeft(room: room, user: user))
    case "user_state":
      let state = value?["state"]
      self = .event(.userState(room: room, user: user, state: state == .null ? nil : state?.json))
    case "presence_update":
      self = .event(
        .presenceUpdate(
          room: room, count: number("count"), joined: names("joined"), left: names("left"),
          more: value?["more"]?.asBool ?? false))
    case "gap": self = .event(.gap(room: room, from: message.from ?? 0, to: message.to ?? 0))
    case "left": self = .event(.left(room: room))
    default:
      guard let error = ClientError(answer: message) else { return nil }
      self = .event(.error(error, room: message.room.map(string)))
    }
  }
}

extension Event {
  /// Reads a binary message; nil for what has another form.
  init?(binary bytes: [UInt8]) {
    guard let envelope = DeliveredBinaryEnvelope(bytes.span) else { return nil }
    self = .binary(
      room: string(Array(bytes[envelope.room])), user: string(Array(bytes[envelope.user])),
      bytes: Array(bytes[envelope.payload]))
  }

  /// About how much memory it holds.
  var byteCount: Int {
    switch self {
    case .message(let message): message.json.bytes.count + 250
    case .direct(let message), .broadcast(let message): message.json.bytes.count + 250
    case .binary(_, _, let bytes): bytes.count + 250
    case .presenceUpdate(_, _, let joined, let left, _): (joined.count + left.count) * 64 + 250
    default: 250
    }
  }
}

extension History {
  /// Reads the answer to `history`.
  init(_ reply: Reply) {
    let answer = try? JSONValue.parse(reply.text.span)
    let messages = (answer?["messages"]?.asArray ?? []).compactMap { value in
      let text = value.json.bytes
      return (try? ServerMessage(parsing: text.span)).flatMap { Message($0, text) }
    }
    self.init(
      epoch: reply.message.epoch.map(string) ?? "", messages: messages, more: answer?["more"]?.asBool ?? false)
  }
}

extension Member {
  /// Reads the answer to `presence`: a page of members, and whether there are more.
  static func page(_ reply: Reply) -> (members: [Member], more: Bool) {
    let page = try? JSONValue.parse(reply.text.span)
    let members = (page?["members"]?.asArray ?? []).compactMap { value in
      value["user"]?.asString.map { Member(user: $0, info: value["info"]?.json, state: value["state"]?.json) }
    }
    return (members, page?["more"]?.asBool ?? false)
  }
}
