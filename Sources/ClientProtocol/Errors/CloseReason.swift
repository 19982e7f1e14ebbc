/// Why the server closes a connection: what each transport sends, in its own form, before the end.
///
/// One table for the server, its clients and its documents; codes are those of WebSocket (RFC 6455 section 7.4).
public enum CloseReason: CaseIterable, Sendable {
  case draining
  case full
  case tokensUnjudged
  case connectUndecided
  case roomUnavailable
  case notAuthenticated
  case forbidden
  case slowConsumer
  case nothingRead
  case messageUnfinished
  case closedByAdmin
  case rateLimited
  case tooManyConnections

  /// What a client that was closed does by itself.
  public enum Reconnect: Sendable {
    /// It connects again after a short random time.
    case soon
    /// It connects again, but waits longer.
    case later
    /// It stays away until its user or its program acts.
    case never
  }

  public var code: UInt16 {
    switch self {
    case .draining: 1012
    case .full, .tokensUnjudged, .connectUndecided, .roomUnavailable: 1013
    case .notAuthenticated: 4401
    case .forbidden: 4403
    case .slowConsumer, .nothingRead, .messageUnfinished: 4408
    case .closedByAdmin: 4409
    case .rateLimited, .tooManyConnections: 4429
    }
  }

  /// What is wrong and what to do, for people.
  public var text: StaticString {
    switch self {
    case .draining: "this node is draining: reconnect"
    case .full: "this node is full: connect again later"
    case .tokensUnjudged: "tokens cannot be judged: connect again later"
    case .connectUndecided: "whether you may connect is not decided: connect again later"
    case .roomUnavailable: "the room cannot be joined now: connect again later"
    case .notAuthenticated: "not authenticated"
    case .forbidden: "forbidden"
    case .slowConsumer: "slow consumer: reconnect and resume"
    case .nothingRead: "nothing was read for too long: reconnect and resume"
    case .messageUnfinished: "a message took too long to come"
    case .closedByAdmin: "closed by an admin"
    case .rateLimited: "too many operations: reconnect later"
    case .tooManyConnections: "too many connections of this user: reconnect later"
    }
  }

  public var reconnect: Reconnect {
    switch self {
    case .draining, .full, .tokensUnjudged, .connectUndecided, .roomUnavailable, .slowConsumer, .nothingRead,
      .messageUnfinished:
      .soon
    case .rateLimited, .tooManyConnections: .later
    case .notAuthenticated, .forbidden, .closedByAdmin: .never
    }
  }

  /// What a client does after a close with any code, those of RFC 6455 section 7.4.1 included. 1005 stands for none and
  /// 1006 for a connection that broke.
  public static func reconnect(after code: UInt16) -> Reconnect {
    if let known = allCases.first(where: { $0.code == code }) { return known.reconnect }
    switch code {
    case 1001, 1006, 1011: return .soon
    default: return .never
    }
  }
}
