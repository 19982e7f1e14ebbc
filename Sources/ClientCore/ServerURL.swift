/// The address of a server as a person gives it, the same for every command: `http://`, `https://`, `ws://` or `wss://`,
/// a host, perhaps a port, with or without a path (RFC 3986 section 3, RFC 6455 section 3).
///
/// The path is what precedes Roost's own paths, as a proxy may want it, or the path of the WebSocket itself: `/ws` or
/// `/echo` at its end is known for what it is. With `ws` and `wss` any other path is the WebSocket's, too.
public struct ServerURL: Equatable, Sendable {
  /// Why a text cannot be read as an address, worded to follow the text in quotes.
  public struct Problem: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong, and what is expected.
    public let description: String
  }

  /// Whether the scheme is https or wss.
  public let isSecure: Bool
  /// The host without brackets.
  public let host: String
  /// The port, 80 or 443 when none was given.
  public let port: UInt16
  /// Host and port as they were written, for a Host header (RFC 9110 section 7.2).
  public let authority: String
  /// The path without a slash at the end; empty when there is none.
  public let path: String
  /// Without the question mark; empty when there is none.
  public let query: String
  /// Whether the scheme is ws or wss.
  private let isWebSocket: Bool

  /// The node that commands ask by default.
  public static let local = ServerURL(localPort: 8080)

  private init(localPort: UInt16) {
    (isSecure, isWebSocket) = (false, false)
    (host, port, authority) = ("127.0.0.1", localPort, "127.0.0.1:\(localPort)")
    (path, query) = ("", "")
  }

  /// Reads an absolute URL without user and fragment.
  public init(parsing text: String) throws(Problem) {
    guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      throw Self.malformed("has a character that no address has")
    }
    guard let colon = text.range(of: "://") else {
      throw Self.malformed("has no scheme", example: text.isEmpty ? nil : "http://\(text)")
    }
    switch text[..<colon.lowerBound].lowercased() {
    case "http": (isSecure, isWebSocket) = (false, false)
    case "https": (isSecure, isWebSocket) = (true, false)
    case "ws": (isSecure, isWebSocket) = (false, true)
    case "wss": (isSecure, isWebSocket) = (true, true)
    default: throw Self.malformed("has an unknown scheme")
    }
    let rest = text[colon.upperBound...]
    guard !rest.contains("#") else { throw Self.malformed("has a fragment, the part behind #") }
    let authority = rest.prefix { $0 != "/" && $0 != "?" }
    guard !authority.contains("@") else {
      throw Self.malformed("has a user name: Roost takes tokens, by --token and --admin-token")
    }
    let target = rest.dropFirst(authority.count)
    var path = target.prefix { $0 != "?" }
    query = String(target.dropFirst(path.count + 1))
    while path.last == "/" { path.removeLast() }
    let (host, port) = try Self.split(authority)
    self.host = String(host)
    self.port = port ?? (isSecure ? 443 : 80)
    self.authority = String(authority)
    self.path = String(path)
  }

  /// Says what is wrong with a text, for the option table; nil when it can be read.
  public static func problem(_ text: String) -> String? {
    do throws(Problem) {
      _ = try ServerURL(parsing: text)
      return nil
    } catch {
      return error.description
    }
  }

  // MARK: Paths

  /// The path before Roost's own paths: without the WebSocket's at its end.
  public var basePath: String { Self.withoutEndpoint(path) ?? path }

  /// The path of a WebSocket of Roost: the one that was given, where `/ws` and `/echo` at its end stand for each other;
  /// the given prefix and the WebSocket's own name where only a prefix was given; and that name alone without any path.
  ///
  /// - Parameter name: `ws` or `echo`.
  public func webSocketPath(_ name: String) -> String {
    if let base = Self.withoutEndpoint(path) { return "\(base)/\(name)" }
    return isWebSocket && !path.isEmpty ? path : "\(path)/\(name)"
  }

  private static func withoutEndpoint(_ path: String) -> String? {
    for name in ["/ws", "/echo"] where path.hasSuffix(name) { return String(path.dropLast(name.count)) }
    return nil
  }

  /// A path with the query, and one more parameter unless the query sets it already.
  public func target(_ path: String, adding name: String? = nil, _ value: String = "") -> String {
    let parameters = query.isEmpty ? [] : query.split(separator: "&").map(String.init)
    let isSet = name.map { name in parameters.contains { $0.hasPrefix(name + "=") } } ?? true
    let all = isSet ? parameters : parameters + ["\(name ?? "")=\(value)"]
    return (path.isEmpty ? "/" : path) + (all.isEmpty ? "" : "?" + all.joined(separator: "&"))
  }

  // MARK: Texts

  /// The address of Roost's HTTP paths, without a slash at the end and without the query, which may hold a token.
  public var text: String { "\(isSecure ? "https" : "http")://\(authority)\(basePath)" }

  /// The address of a WebSocket at a path, without the query, which may hold a token.
  public func webSocketText(_ path: String) -> String { "\(isSecure ? "wss" : "ws")://\(authority)\(path)" }

  /// The same host and port by TLS instead of without, and the other way round.
  public var otherSecurity: String { "\(isSecure ? "http" : "https")://\(authority)\(basePath)" }

  // MARK: Parsing

  private static func malformed(_ what: String, example: String? = nil) -> Problem {
    let suggestion = example.flatMap { (try? ServerURL(parsing: $0)) == nil ? nil : $0 }
    return Problem(
      description: "is not an address: it \(what); expected one such as \(suggestion ?? "http://127.0.0.1:8080")")
  }

  /// Splits off the port; an IPv6 address stands in brackets (RFC 3986 section 3.2.2).
  private static func split(_ authority: Substring) throws(Problem) -> (host: Substring, port: UInt16?) {
    var host = authority
    var rest: Substring = ""
    if authority.first == "[" {
      guard let end = authority.firstIndex(of: "]") else { throw malformed("has a [ without a ]") }
      host = authority[authority.index(after: authority.startIndex)..<end]
      rest = authority[authority.index(after: end)...]
      guard host.contains(":"), host.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." }) else {
        throw malformed("has no IPv6 address between [ and ]")
      }
    } else if let colon = authority.firstIndex(of: ":") {
      host = authority[..<colon]
      rest = authority[colon...]
      guard !rest.dropFirst().contains(":") else {
        throw malformed("has several colons: an IPv6 address stands in brackets", example: "http://[::1]:8080")
      }
    }
    guard !host.isEmpty else { throw malformed("has no host") }
    guard authority.first == "[" || host.allSatisfy({ $0.isLetter || $0.isNumber || "-._".contains($0) }) else {
      throw malformed("has a character that no host name has")
    }
    guard !rest.isEmpty else { return (host, nil) }
    let digits = rest.dropFirst()
    guard rest.first == ":", digits.allSatisfy(\.isNumber), let port = UInt16(digits), port > 0 else {
      throw malformed("has no port from 1 to 65535 behind the host")
    }
    return (host, port)
  }
}

extension String {
  /// The first place of a text in this one. Without Foundation, which the server does not link.
  fileprivate func range(of part: String) -> Range<String.Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(part) { return start..<index(start, offsetBy: part.count) }
      start = index(after: start)
    }
    return nil
  }
}
