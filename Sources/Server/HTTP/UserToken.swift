import HTTPCore
import WebSocketCore

/// Finds the user's token that a request carries, in the places where clients can put one.
enum UserToken {
  static let cookieName: StaticString = "roost_token"

  /// Returns the token, or nil when there is none. What was said on purpose beats what a browser sends by itself:
  /// `Authorization: Bearer` (RFC 6750 section 2.1), then `?token=`, then the subprotocols `bearer, TOKEN` of a
  /// handshake, then the cookie.
  static func find(in head: RequestHead, _ subprotocols: Subprotocols? = nil) -> [UInt8]? {
    if let token = BearerToken.read(head) { return token }
    if let token = head.query.first("token"), !token.isEmpty { return token }
    return subprotocols?.token ?? head.cookie(cookieName)
  }
}
