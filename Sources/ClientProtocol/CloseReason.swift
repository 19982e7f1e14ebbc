/// Why the server closes a connection: what each transport sends, in its own form, before the end.
///
/// One table for the server, its clients and its documents; codes are those of WebSocket (RFC 6455 section 7.4).
public struct CloseReason: Equatable, Sendable {
  /// What a client that was closed does by itself.
  public enum Reconnect: Sendable {
    /// It connects again after a short random time.
    case soon
    /// It connects again, but waits longer.
    case later
    /// It stays away until its user or its program acts.
    case never
  }

  public let code: UInt16
  /// What is wrong and what to do, for people.
  public let text: StaticString
  public let reconnect: Reconnect

  private init(_ code: UInt16, _ text: StaticString, _ reconnect: Reconnect) {
    self.code = code
    self.text = text
    self.reconnect = reconnect
  }

  public static let draining = CloseReason(1012, "this node is draining: reconnect", .soon)
  public static let full = CloseReason(1013, "this node is full: connect again later", .soon)
  public static let tokensUnjudged = CloseReason(1013, "tokens cannot be judged: connect again later", .soon)
  public static let roomUnavailable = CloseReason(1013, "the room cannot be joined now: connect again later", .soon)
  public static let notAuthenticated = CloseReason(4401, "not authenticated", .never)
  public static let forbidden = CloseReason(4403, "forbidden", .never)
  public static let slowConsumer = CloseReason(4408, "slow consumer: reconnect and resume", .soon)
  public static let nothingRead = CloseReason(
    4408, "nothing was read for too long: reconnect and resume", .soon)
  public static let messageUnfinished = CloseReason(4408, "a message took too long to come", .soon)
  public static let closedByAdmin = CloseReason(4409, "closed by an admin", .never)
  public static let rateLimited = CloseReason(4429, "too many operations: reconnect later", .later)
  public static let tooManyConnections = CloseReason(
    4429, "too many connections of this user: reconnect later", .later)

  /// All of them.
  public static let all = [
    draining, full, tokensUnjudged, roomUnavailable, notAuthenticated, forbidden, slowConsumer, nothingRead,
    messageUnfinished, closedByAdmin, rateLimited, tooManyConnections,
  ]

  /// What a client does after a close with any code, those of RFC 6455 section 7.4.1 included. 1005 stands for none and
  /// 1006 for a connection that broke.
  public static func reconnect(after code: UInt16) -> Reconnect {
    if let known = all.first(where: { $0.code == code }) { return known.reconnect }
    switch code {
    case 1001, 1006, 1011: return .soon
    default: return .never
    }
  }

  public static func == (left: CloseReason, right: CloseReason) -> Bool {
    left.code == right.code && left.text.utf8Start == right.text.utf8Start
  }
}
