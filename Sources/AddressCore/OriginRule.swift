/// What is wrong with an entry of a list of origins: the rest of a sentence that begins with the entry.
public struct OriginFault: Error, Equatable {
  public let reason: String
}

/// One entry of a list of origins: which pages it lets in. Parsed once, and what was parsed is what matches.
///
/// - `https://chat.example.com`, `http://localhost:3000`, `https://[::1]:8443`: one origin; without a port the scheme's own.
/// - `https://*.example.com`, perhaps with a port: every host below, not the host itself.
/// - `chat.example.com`, `*.example.com`: a page of that host by HTTP or HTTPS, on any port or on the one given.
/// - `capacitor://localhost`, `file://`: the pages of an app (a scheme of its own).
/// - `null`: pages without an origin of their own, such as sandboxed frames of any site.
/// - `*`: every page.
public struct OriginRule: Equatable, Sendable, CustomStringConvertible {
  private enum Scheme: Equatable, Sendable {
    /// HTTP or HTTPS.
    case web
    case one([UInt8])
    /// The opaque origin.
    case null
    case all
  }

  /// The entry as it was written.
  public let description: String
  private let scheme: Scheme
  /// In lower case; of a wildcard what stands behind the star, its dot included.
  private let host: [UInt8]
  private let isWildcard: Bool
  /// nil: with `web` any port, with a scheme of an app none.
  private let port: UInt16?

  /// Parses an entry; throws what is wrong when no browser could ever send an origin that it matches.
  public init(_ text: String) throws(OriginFault) {
    description = text
    let bytes = Array(text.utf8)
    if bytes.elementsEqual("null".utf8) {
      (scheme, host, isWildcard, port) = (.null, [], false, nil)
      return
    }
    if text == "*" {
      (scheme, host, isWildcard, port) = (.all, [], false, nil)
      return
    }
    let end = WebOrigin.schemeEnd(bytes.span)
    let name = end.map { WebOrigin.lowercased(bytes.span.extracting(0..<$0)) }
    try OriginRule.checkScheme(name)
    var rest = end.map { bytes[($0 + 3)...] } ?? bytes[...]
    isWildcard = rest.starts(with: "*.".utf8)
    if isWildcard { rest = rest.dropFirst(2) }
    let isWeb = name.map { WebOrigin.standardPort(of: $0) != nil } ?? true
    let parts = try OriginRule.hostAndPort(Array(rest), isWeb: isWeb, isWildcard: isWildcard)
    guard !parts.host.isEmpty || name.map({ $0.elementsEqual("file".utf8) }) == true && !isWildcard else {
      throw OriginFault(reason: "has no host; \(OriginRule.expected)")
    }
    scheme = name.map(Scheme.one) ?? .web
    host = isWildcard ? [UInt8(ascii: ".")] + parts.host : parts.host
    port = parts.port ?? name.flatMap { WebOrigin.standardPort(of: $0) }
  }

  /// Whether a request with this Origin header comes from a page that the entry lets in.
  public func matches(_ origin: Span<UInt8>) -> Bool {
    if scheme == .all { return true }
    if scheme == .null { return OriginRule.isNull(origin) }
    guard let origin = WebOrigin(origin) else { return false }
    switch scheme {
    case .web: guard origin.isWeb, port == nil || port == origin.port else { return false }
    case .one(let name): guard name == origin.scheme, port == origin.port else { return false }
    case .null, .all: return false
    }
    guard isWildcard else { return host == origin.host }
    // The dot stays, so that `*.example.com` does not let `evilexample.com` in.
    return origin.host.count > host.count && origin.host.suffix(host.count).elementsEqual(host)
  }

  /// Whether it lets in pages without an origin of their own, of which every site can make one.
  public var isNull: Bool { scheme == .null }
  /// Whether it lets in every page: then none may use what a browser sends by itself.
  public var isAll: Bool { scheme == .all }

  private static func isNull(_ origin: Span<UInt8>) -> Bool {
    let null: StaticString = "null"
    guard origin.count == null.utf8CodeUnitCount else { return false }
    for index in origin.indices where origin[index] != null.utf8Start[index] { return false }
    return true
  }

  // MARK: Entries that match nothing

  private static let expected = "expected https://example.com, https://*.example.com or *.example.com"

  private static func checkScheme(_ scheme: [UInt8]?) throws(OriginFault) {
    for (socket, page) in [("wss", "https"), ("ws", "http")] where scheme?.elementsEqual(socket.utf8) == true {
      throw OriginFault(
        reason: "never matches: an origin is the page's, not the WebSocket's; expected \(page)://")
    }
  }

  private static func hostAndPort(
    _ text: [UInt8], isWeb: Bool, isWildcard: Bool
  ) throws(OriginFault) -> HostAndPort {
    if text.isEmpty, isWeb || isWildcard { throw OriginFault(reason: "has no host; \(expected)") }
    if let slash = text.firstIndex(of: UInt8(ascii: "/")) {
      let what =
        slash == text.count - 1 ? "ends with a slash: a path, which no origin has" : "has a path, which no origin has"
      throw OriginFault(reason: "\(what); \(expected)")
    }
    if text.contains(where: { $0 >= 0x80 }) {
      throw OriginFault(reason: "never matches: browsers send such a name in its ASCII form; expected xn--…")
    }
    if text.contains(UInt8(ascii: "*")) {
      throw OriginFault(reason: "has a star elsewhere than at the beginning of the host; \(expected)")
    }
    guard let parts = HostAndPort(text.span), text.last != UInt8(ascii: ":") else {
      let hint = text.count { $0 == UInt8(ascii: ":") } > 1 ? "an IPv6 address stands in brackets; " : ""
      throw OriginFault(reason: "is no origin: \(hint)\(expected)")
    }
    if parts.port == 0 { throw OriginFault(reason: "never matches: nothing is served on port 0; \(expected)") }
    if isWeb { try checkWebHost(parts.host, isWildcard: isWildcard) }
    return parts
  }

  /// Refuses hosts that browsers write in another way than here, or not at all.
  private static func checkWebHost(_ host: [UInt8], isWildcard: Bool) throws(OriginFault) {
    let isAddress = host.first == UInt8(ascii: "[")
    if isAddress, isWildcard {
      throw OriginFault(reason: "never matches: an address has no hosts below it; \(expected)")
    }
    guard !isAddress else { return }
    let isPlain = host.allSatisfy { byte in
      (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || "-._".utf8.contains(byte)
    }
    guard isPlain else {
      throw OriginFault(reason: "is no origin: a host is letters, digits, dots and dashes; \(expected)")
    }
    var labels = host.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    // `example.com.` is a host of its own to a browser.
    if labels.count > 1, labels.last?.isEmpty == true { labels.removeLast() }
    guard !host.isEmpty, labels.allSatisfy({ !$0.isEmpty }) else {
      throw OriginFault(reason: "is no origin: its host has an empty label; \(expected)")
    }
    // WHATWG URL section 3.5: a host that ends in a number is an IPv4 address, and is written as four numbers.
    guard let last = labels.last, last.allSatisfy({ (0x30...0x39).contains($0) }) else { return }
    guard !isWildcard, IPAddress(text: host.span) != nil else {
      throw OriginFault(reason: "never matches: browsers write an IPv4 address as four numbers, such as 127.0.0.1")
    }
  }
}
