import JSONCore

/// What the server sends to a client, as a value: every answer, and every push but the messages themselves, which
/// ``MessageEncoder`` writes from the bytes that came.
///
/// Names of rooms and users are JSON strings with their quotes where a parameter's name ends in `JSON`, and plain bytes
/// elsewhere.
public enum ServerEvent {
  case welcome(connection: [UInt8], node: [UInt8], user: [UInt8]?, pingIntervalMilliseconds: Int)
  case authSuccess(user: [UInt8])
  case authFailed(reason: String)
  /// The token expires at `at`, in milliseconds since 1970.
  case tokenExpires(at: UInt64)
  /// A wildcard has no position.
  case joined(roomJSON: [UInt8], Position?, userCount: Int, recovered: Bool?)
  case left(roomJSON: [UInt8])
  /// Of a message in a room; an ephemeral one has no position.
  case ack(roomJSON: [UInt8], Position?)
  /// Of a direct message: the number of connections that it was sent to.
  case ackDelivered(Int)
  /// Of a broadcast.
  case ackSent
  // A body of any type is behind a reference, so that the events without one are read where they are, not copied first.
  indirect case presence(room: [UInt8], any EventBody)
  indirect case history(room: [UInt8], any EventBody)
  indirect case response(any EventBody)
  /// The time in milliseconds since 1970.
  case pong(at: UInt64)
  case error(ErrorCode, String)
  /// `info` is JSON, or empty.
  case userJoined(roomJSON: [UInt8], userJSON: [UInt8], info: [UInt8])
  case userLeft(roomJSON: [UInt8], userJSON: [UInt8])
  /// `state` is JSON.
  case userState(roomJSON: [UInt8], userJSON: [UInt8], state: [UInt8])
  /// Users who joined and left, and whether there are more than are named.
  case presenceUpdate(roomJSON: [UInt8], userCount: Int, joined: [[UInt8]], left: [[UInt8]], hasMore: Bool)
  /// The offsets that are lost, or nil where nobody can tell them: of a wildcard.
  case gap(roomJSON: [UInt8], lost: ClosedRange<UInt64>?)
  case directDropped(count: UInt64)
  case degraded
  case restored
  /// The connection closes soon; the client connects again after so many milliseconds.
  case reconnect(afterMilliseconds: Int)

  /// The position from which a client that has received the event resumes, for transports whose clients do that by
  /// themselves; nil: that place stays as it was. What was missed comes after a join that recovers it.
  public var position: Position? {
    if case .joined(_, let position, _, let recovered) = self, recovered != true { position } else { nil }
  }

  public var kind: EventKind {
    switch self {
    case .welcome: .welcome
    case .authSuccess: .authSuccess
    case .authFailed: .authFailed
    case .tokenExpires: .tokenExpires
    case .joined: .joined
    case .left: .left
    case .ack, .ackDelivered, .ackSent: .ack
    case .presence: .presence
    case .history: .history
    case .response: .response
    case .pong: .pong
    case .error: .error
    case .userJoined: .userJoined
    case .userLeft: .userLeft
    case .userState: .userState
    case .presenceUpdate: .presenceUpdate
    case .gap: .gap
    case .directDropped: .directDropped
    case .degraded: .degraded
    case .restored: .restored
    case .reconnect: .reconnect
    }
  }
}

/// The members of an event that is too large to be a value, written as they are needed.
public protocol EventBody {
  /// Writes members into the event's object.
  func write(to writer: inout JSONWriter)
}
