import HTTPCore

/// Finds the user's token that a request carries, in the places where clients can put one.
enum UserToken {
  static let cookieName = Array("roost_token".utf8)

  /// Returns the token, or nil when there is none. What was said on purpose beats what a browser sends by itself:
  /// `Authorization: Bearer` (RFC 6750 section 2.1), then `?token=`, then the cookie.
  static func find(in head: RequestHead) -> [UInt8]? {
    if let token = BearerToken.read(head) { return token }
    if let token = head.query.first("token"), !token.isEmpty { return token }
    return cookie(head)
  }

  /// The cookie's value (RFC 6265 section 4.2); of several the first, which browsers make the most specific one.
  private static func cookie(_ head: RequestHead) -> [UInt8]? {
    guard let list = head.headerList("Cookie") else { return nil }
    for pair in list.split(separator: UInt8(ascii: ";")) {
      let pair = pair.drop { $0 == UInt8(ascii: " ") }
      guard pair.starts(with: cookieName), pair.dropFirst(cookieName.count).first == UInt8(ascii: "=") else { continue }
      let value = pair.dropFirst(cookieName.count + 1)
      // RFC 6265 section 4.1.1 lets a value stand in quotes.
      let isQuoted = value.count >= 2 && value.first == UInt8(ascii: "\"") && value.last == UInt8(ascii: "\"")
      return Array(isQuoted ? value.dropFirst().dropLast() : value)
    }
    return nil
  }
}
