/// What the server sends, by kind. Every kind but ``binaryMessage`` is a JSON object whose `type` is the kind's name.
public enum EventKind: UInt8, CaseIterable, Sendable {
  // What people say.
  case message
  /// A room's message in the binary envelope (``BinaryEnvelope``), for transports with binary messages.
  case binaryMessage
  case direct
  case broadcast

  // Answers to operations.
  case authSuccess
  case authFailed
  case joined
  case left
  case ack
  case presence
  case history
  case response
  case pong
  case error

  // What the server sends by itself.
  case welcome
  case tokenExpires
  case userJoined
  case userLeft
  case userState
  case presenceUpdate
  case gap
  case directDropped
  case degraded
  case restored
  case reconnect

  /// The `type` on the wire; of ``binaryMessage`` the one that it has as JSON.
  public var wireName: StaticString {
    switch self {
    case .message, .binaryMessage: "message"
    case .direct: "direct"
    case .broadcast: "broadcast"
    case .authSuccess: "auth_success"
    case .authFailed: "auth_failed"
    case .joined: "joined"
    case .left: "left"
    case .ack: "ack"
    case .presence: "presence"
    case .history: "history"
    case .response: "response"
    case .pong: "pong"
    case .error: "error"
    case .welcome: "welcome"
    case .tokenExpires: "token_expires"
    case .userJoined: "user_joined"
    case .userLeft: "user_left"
    case .userState: "user_state"
    case .presenceUpdate: "presence_update"
    case .gap: "gap"
    case .directDropped: "direct_dropped"
    case .degraded: "degraded"
    case .restored: "restored"
    case .reconnect: "reconnect"
    }
  }

  /// Whether it is what people say, as against what the server reports.
  public var isMessage: Bool {
    switch self {
    case .message, .binaryMessage, .direct, .broadcast: true
    default: false
    }
  }
}
