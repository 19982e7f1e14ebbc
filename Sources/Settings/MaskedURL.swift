/// A URL of the web without its secrets, so that people can tell which one it is.
enum MaskedURL {
  /// Puts `***` for the password, or for a user without one, which is a token as often as not, for every value of the query and for a
  /// fragment. What is no URL is a path, and stays.
  static func text(_ text: String) -> String {
    guard let scheme = text.firstRange(of: "://") else { return text }
    let rest = text[scheme.upperBound...]
    let authority = rest.prefix { !"/?#".contains($0) }
    var shown = String(text[..<scheme.upperBound])
    if let at = authority.lastIndex(of: "@") {
      let login = authority[..<at]
      shown += login.firstIndex(of: ":").map { "\(login[..<$0]):***@" } ?? "***@"
      shown += authority[authority.index(after: at)...]
    } else {
      shown += authority
    }
    // A password with one of /?# is cut short here.
    if !hasPort(authority) { return text[..<scheme.upperBound] + "***" }
    let path = rest[authority.endIndex...].prefix { $0 != "?" && $0 != "#" }
    let query = rest[path.endIndex...].prefix { $0 != "#" }
    shown += path
    if !query.isEmpty { shown += "?" + query.dropFirst().split(separator: "&").map(parameter).joined(separator: "&") }
    return query.endIndex == text.endIndex ? shown : shown + "#***"
  }

  /// Whether what follows the host, if anything, is the number of a port.
  private static func hasPort(_ authority: Substring) -> Bool {
    let place = authority[(authority.lastIndex(of: "@").map(authority.index(after:)) ?? authority.startIndex)...]
    guard let colon = place.lastIndex(of: ":"), !place.hasSuffix("]") else { return true }
    return place[place.index(after: colon)...].utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
  }

  /// A parameter without a value may be the secret itself.
  private static func parameter(_ text: Substring) -> String {
    text.firstIndex(of: "=").map { "\(text[..<$0])=***" } ?? "***"
  }
}
