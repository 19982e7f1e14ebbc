import JSONCore

/// What an event's name means.
public enum EventName: Equatable, Sendable {
  /// For the namespace's default room.
  case ordinary
  /// One of Roost's own operations.
  case operation(EventOperation)
  /// Of the server only, or reserved by Socket.IO: refused with `forbidden`.
  case forbidden
  /// No string, or with half of a surrogate pair: refused with `bad_request`.
  case invalid

  /// What it means that a client emits an event.
  ///
  /// - Parameter text: what the arguments are ranges of.
  public init(of arguments: PacketArguments, in text: Span<UInt8>) {
    self = arguments.name?.string.map { EventName($0, in: text) } ?? .invalid
  }

  init(_ name: JSONStringRange, in text: Span<UInt8>) {
    guard name.hasEscapes else {
      self = EventName(text.extracting(name.contents))
      return
    }
    self = name.decoded(in: text).map { EventName($0.span) } ?? .invalid
  }

  /// What it means that a client emits an event of this name, escapes resolved.
  public init(_ name: Span<UInt8>) {
    if let operation = EventOperation.allCases.first(where: { JSONString.equals(name, $0.name) }) {
      self = .operation(operation)
    } else if Self.isListed(name, in: Self.serverOnly) || Self.isListed(name, in: Self.reservedBySocketIO) {
      self = .forbidden
    } else {
      self = .ordinary
    }
  }

  /// Whether a native message may reach Socket.IO clients as an event of this name: not under one that the server uses, behind
  /// which a message could pose as the server's, nor under one that decoders refuse.
  var mayCarryMessages: Bool {
    switch self {
    case .ordinary: true
    case .operation(let operation): !operation.isAlsoOfServer
    case .forbidden, .invalid: false
    }
  }

  /// The names that Socket.IO keeps for itself; the official decoder refuses events of these names.
  public static let reservedBySocketIO: [StaticString] = [
    "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
  ]

  /// What the server sends and no client may: the types of the native protocol's pushes and answers that are no operations.
  public static let serverOnly: [StaticString] = [
    "ack", "auth_failed", "auth_success", "degraded", "direct_dropped", "error", "gap", "joined", "left", "pong",
    "presence_update", "reconnect", "response", "restored", "token_expires", "user_joined", "user_left", "user_state",
    "welcome",
  ]

  private static func isListed(_ name: Span<UInt8>, in list: [StaticString]) -> Bool {
    for listed in list where JSONString.equals(name, listed) { return true }
    return false
  }
}

/// Roost's operations that are events of Socket.IO.
public enum EventOperation: UInt8, CaseIterable, Sendable {
  case join, leave, message, direct, broadcast, presence, history, request

  /// The name of the event, and the `type` of the operation.
  public var name: StaticString {
    switch self {
    case .join: "join"
    case .leave: "leave"
    case .message: "message"
    case .direct: "direct"
    case .broadcast: "broadcast"
    case .presence: "presence"
    case .history: "history"
    case .request: "request"
    }
  }

  /// Whether the server sends something of this name, too.
  public var isAlsoOfServer: Bool {
    switch self {
    case .message, .direct, .broadcast, .presence, .history: true
    case .join, .leave, .request: false
    }
  }

  /// Whether a room alone is enough of an argument.
  var takesRoom: Bool {
    switch self {
    case .join, .leave, .presence, .history: true
    case .message, .direct, .broadcast, .request: false
    }
  }
}
