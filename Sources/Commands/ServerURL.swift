/// The address of a node as a person gives it: `http://host:8080`, perhaps with a path before Roost's own.
struct ServerURL: Equatable, Sendable {
  /// Whether the scheme is https.
  let isSecure: Bool
  /// The host without brackets.
  let host: String
  /// The port, 80 or 443 when none was given.
  let port: UInt16
  /// Host and port as they were written, for a Host header (RFC 9110 section 7.2).
  let authority: String
  /// What precedes Roost's own paths: empty, or a slash and more without a slash at the end.
  let path: String

  /// Reads an absolute http or https URL (RFC 3986 section 3) without user, query and fragment; nil for anything else.
  init?(parsing text: String) {
    guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") })
    else { return nil }
    let rest: Substring
    if text.lowercased().hasPrefix("http://") {
      (isSecure, rest) = (false, text.dropFirst("http://".count))
    } else if text.lowercased().hasPrefix("https://") {
      (isSecure, rest) = (true, text.dropFirst("https://".count))
    } else {
      return nil
    }
    let authority = rest.prefix { $0 != "/" }
    var path = rest.dropFirst(authority.count)
    while path.last == "/" { path.removeLast() }
    guard let (host, port) = Self.split(authority), !host.isEmpty, !authority.contains("@") else { return nil }
    self.host = String(host)
    self.port = port ?? (isSecure ? 443 : 80)
    self.authority = String(authority)
    self.path = String(path)
  }

  /// The URL again, without a slash at the end.
  var text: String { "\(isSecure ? "https" : "http")://\(authority)\(path)" }

  /// Says what is wrong with a text; nil when it can be read.
  static func problem(_ text: String) -> String? {
    ServerURL(parsing: text) == nil ? "is not an address; expected one such as http://127.0.0.1:8080" : nil
  }

  /// Splits off the port; an IPv6 address stands in brackets (RFC 3986 section 3.2.2).
  private static func split(_ authority: Substring) -> (host: Substring, port: UInt16?)? {
    var host = authority
    var rest: Substring = ""
    if authority.first == "[" {
      guard let end = authority.firstIndex(of: "]") else { return nil }
      host = authority[authority.index(after: authority.startIndex)..<end]
      rest = authority[authority.index(after: end)...]
      guard rest.isEmpty || rest.first == ":" else { return nil }
    } else if let colon = authority.firstIndex(of: ":") {
      host = authority[..<colon]
      rest = authority[colon...]
    }
    guard !rest.isEmpty else { return (host, nil) }
    let digits = rest.dropFirst()
    guard digits.allSatisfy(\.isNumber), let port = UInt16(digits), port > 0 else { return nil }
    return (host, port)
  }
}
