import HTTPCore

/// Decides which web pages may open connections (RFC 6455 section 10.2): an allow-list, exact or by a leading `*.`.
struct OriginPolicy {
  /// What became of a request.
  enum Verdict: Equatable {
    case allowed
    /// There is a list, and the page's origin is not in it.
    case unlisted
    /// There is no list, and a page of another site would use the visitor's cookie.
    case foreign
  }

  /// Lower-case entries; empty: everyone.
  private let allowed: [[UInt8]]

  /// - Parameter origins: such as `https://chat.example.com`, `chat.example.com` or `*.example.com`.
  init(_ origins: [String]) { allowed = origins.map { Array($0.lowercased().utf8) } }

  /// Whether there is a list at all.
  var isList: Bool { !allowed.isEmpty }

  /// Judges a request by its `Origin`; without a list also by whether it carries the cookie, which alone would let any
  /// page on the web speak in its visitor's name (cross-site WebSocket hijacking). Programs send no `Origin` and are not
  /// meant.
  func judge(_ head: RequestHead) -> Verdict {
    guard let origin = head.headerList("Origin") else { return .allowed }
    if isList { return allows(origin) ? .allowed : .unlisted }
    guard let cookies = head.headerList("Cookie"), OriginPolicy.hasToken(cookies) else { return .allowed }
    return OriginPolicy.isSameSite(origin, host: head.headerList("Host")) ? .allowed : .foreign
  }

  /// Whether a request with that `Origin` may go on.
  func allows(_ origin: [UInt8]?) -> Bool {
    guard !allowed.isEmpty, let origin else { return true }
    let whole = OriginPolicy.lowercased(origin)
    let host = OriginPolicy.host(of: whole)
    return allowed.contains { entry in
      if entry.starts(with: [UInt8(ascii: "*"), UInt8(ascii: ".")]) {
        // The dot stays, so that `*.example.com` does not let `evilexample.com` in.
        return host.count > entry.count - 1 && host.suffix(entry.count - 1).elementsEqual(entry.dropFirst())
      }
      return entry == whole || entry.elementsEqual(host)
    }
  }

  /// Whether one of the cookies (RFC 6265 section 5.4) is the token.
  private static func hasToken(_ cookies: [UInt8]) -> Bool {
    cookies.split { $0 == UInt8(ascii: ";") || $0 == UInt8(ascii: ",") }.contains { cookie in
      let name = cookie.drop { $0 == 0x20 || $0 == 0x09 }.prefix { $0 != UInt8(ascii: "=") }
      return name.elementsEqual(UserToken.cookieName)
    }
  }

  /// Whether the page came from the host that it now asks: host and port agree, the scheme's own port left out.
  private static func isSameSite(_ origin: [UInt8], host: [UInt8]?) -> Bool {
    guard let host, !host.isEmpty else { return false }
    let whole = lowercased(origin)
    for (scheme, port) in [("https://", ":443"), ("http://", ":80")] where whole.starts(with: scheme.utf8) {
      let authority = whole.dropFirst(scheme.utf8.count)
      return trim(authority, port).elementsEqual(trim(lowercased(host)[...], port))
    }
    return false
  }

  private static func trim(_ authority: ArraySlice<UInt8>, _ port: String) -> ArraySlice<UInt8> {
    authority.suffix(port.utf8.count).elementsEqual(port.utf8) ? authority.dropLast(port.utf8.count) : authority
  }

  private static func lowercased(_ text: [UInt8]) -> [UInt8] {
    text.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }
  }

  /// The part behind `://`, without a port.
  private static func host(of origin: [UInt8]) -> ArraySlice<UInt8> {
    let separator = Array("://".utf8)
    guard let start = origin.indices.first(where: { origin[$0...].starts(with: separator) }) else { return origin[...] }
    let authority = origin[(start + separator.count)...]
    guard let colon = authority.lastIndex(of: UInt8(ascii: ":")), authority.last != UInt8(ascii: "]") else {
      return authority
    }
    return authority[..<colon]
  }
}
