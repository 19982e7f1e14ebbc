import JSONCore

/// One operation of a client, checked as far as its text alone allows.
///
/// Holds ranges into the text it was parsed from, which the caller keeps and hands in again where bytes are asked for;
/// the usual message allocates nothing.
public struct ClientOperation: Sendable {
  /// What the operation asks for; the raw value is the `type` on the wire.
  public enum Kind: String, CaseIterable, Sendable {
    case auth
    case join
    case leave
    case message
    case direct
    case broadcast
    case presence
    case history
    case state
    case request
    case ping
  }

  /// The longest `id` in bytes, escapes resolved.
  public static let idBytesMax = 64
  /// The longest `state` in bytes, as JSON.
  public static let stateBytesMax = 1024

  /// What is asked for.
  public let kind: Kind
  /// The `id` with its quotes, to be echoed byte for byte; nil when none was sent.
  public let id: Range<Int>?
  /// The room of join, leave, message, presence, state and history; nil for the other kinds. Its value is a valid name.
  public internal(set) var room: JSONStringRange?
  /// Whether the sender of a message wants its own copy.
  public internal(set) var echo = false
  /// Whether a message is for those who are in the room now only: it gets no offset and is not kept.
  public internal(set) var isEphemeral = false
  /// The user a direct message is for, not empty; nil for the other kinds.
  public internal(set) var to: JSONStringRange?
  /// The token of auth; nil for the other kinds.
  public internal(set) var token: JSONStringRange?
  /// Where join and history shall continue; nil when not asked.
  public internal(set) var since: Position?
  /// How many messages history, or users presence, shall return at most, 1 or more; nil when not asked.
  public internal(set) var limit: Int?
  /// The name of the user behind whom presence shall begin; nil when not asked.
  public internal(set) var after: JSONStringRange?
  /// What a user says about itself, one JSON value; nil for the other kinds.
  public internal(set) var state: Range<Int>?
  /// The action of a request; nil for the other kinds.
  public internal(set) var action: JSONStringRange?
  /// The payload of a request as the sender wrote it; nil when none was sent.
  public internal(set) var payload: Range<Int>?
  /// The members of message, direct and broadcast that go to the receivers; empty for the other kinds.
  public internal(set) var passThrough = PassThrough()

  /// The trace that a message, direct, broadcast or request is part of, by its `traceparent`; nil: it has none, or one that is
  /// to be ignored. The member is passed on all the same.
  public package(set) var trace: TraceContext?

  /// What answers are to carry instead of the `id`, where they do not go to the connection; nil: the `id`.
  package var answerTag: [UInt8]?

  /// Copies the `id`'s value out of `text`, escapes resolved; nil when none was sent.
  public func decodedID(in text: Span<UInt8>) -> [UInt8]? {
    guard let id else { return nil }
    return JSONString.unescape(text.extracting((id.lowerBound + 1)..<(id.upperBound - 1)))
  }

  init(kind: Kind, id: Range<Int>?) {
    self.kind = kind
    self.id = id
  }
}

extension ClientOperation.Kind {
  /// Whether such operations may be part of a trace.
  var isTraced: Bool {
    switch self {
    case .message, .direct, .broadcast, .request: true
    case .auth, .join, .leave, .presence, .history, .state, .ping: false
    }
  }

  /// Reads the value of `type`; nil for an unknown one.
  init?(_ type: JSONStringRange, in text: Span<UInt8>) {
    if type.equals("message", in: text) {
      self = .message
    } else if type.equals("ping", in: text) {
      self = .ping
    } else if type.equals("direct", in: text) {
      self = .direct
    } else if type.equals("broadcast", in: text) {
      self = .broadcast
    } else if type.equals("request", in: text) {
      self = .request
    } else if type.equals("join", in: text) {
      self = .join
    } else if type.equals("leave", in: text) {
      self = .leave
    } else if type.equals("presence", in: text) {
      self = .presence
    } else if type.equals("state", in: text) {
      self = .state
    } else if type.equals("history", in: text) {
      self = .history
    } else if type.equals("auth", in: text) {
      self = .auth
    } else {
      return nil
    }
  }
}
