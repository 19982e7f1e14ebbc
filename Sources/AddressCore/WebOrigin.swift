/// The origin of a web page as browsers send it: scheme, host and port (RFC 6454 section 6.2).
///
/// Two texts of one origin are one value: scheme and host are in lower case, the scheme's own port is filled in, an IPv6
/// address has one text. The opaque origin `null` is none of these.
public struct WebOrigin: Equatable, Sendable {
  /// In lower case, such as `https`.
  public let scheme: [UInt8]
  /// In lower case, an IPv6 address in brackets; empty for `file://` only.
  public let host: [UInt8]
  /// The port, also when it is the scheme's own; nil where the scheme has none.
  public let port: UInt16?

  /// Reads the value of an Origin header; nil for `null` and for whatever is no origin.
  public init?(_ text: Span<UInt8>) {
    guard let end = WebOrigin.schemeEnd(text) else { return nil }
    let scheme = WebOrigin.lowercased(text.extracting(0..<end))
    self.init(scheme: scheme, authority: text.extracting(end + 3..<text.count))
  }

  /// Makes the origin of what `scheme` serves at a host and port, as a Host header names them.
  public init?(scheme: [UInt8], authority: Span<UInt8>) {
    guard let parts = HostAndPort(authority) else { return nil }
    guard !parts.host.isEmpty || scheme.elementsEqual("file".utf8) else { return nil }
    self.scheme = scheme
    host = parts.host
    port = parts.port ?? WebOrigin.standardPort(of: scheme)
  }

  /// Whether the page came by HTTP or HTTPS: what a server can have served.
  public var isWeb: Bool { WebOrigin.standardPort(of: scheme) != nil }

  /// The port of a scheme that has one (RFC 9110 section 4.2).
  static func standardPort(of scheme: [UInt8]) -> UInt16? {
    scheme.elementsEqual("https".utf8) ? 443 : scheme.elementsEqual("http".utf8) ? 80 : nil
  }

  /// Finds the colon behind a scheme (RFC 3986 section 3.1) that two slashes follow.
  static func schemeEnd(_ text: Span<UInt8>) -> Int? {
    var end = 0
    while end < text.count, isSchemeByte(text[end], isFirst: end == 0) { end += 1 }
    guard end > 0, end + 2 < text.count || end + 3 == text.count, text[end] == UInt8(ascii: ":"),
      text[end + 1] == UInt8(ascii: "/"), text[end + 2] == UInt8(ascii: "/")
    else { return nil }
    return end
  }

  private static func isSchemeByte(_ byte: UInt8, isFirst: Bool) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."): !isFirst
    default: false
    }
  }

  static func lowercased(_ text: Span<UInt8>) -> [UInt8] {
    text.indices.map { text[$0] >= 0x41 && text[$0] <= 0x5A ? text[$0] | 0x20 : text[$0] }
  }
}

/// A host and perhaps a port, in the one text that browsers use.
struct HostAndPort: Equatable {
  /// In lower case; an IPv6 address in brackets and written as RFC 5952 section 4 wants.
  let host: [UInt8]
  let port: UInt16?

  /// Reads `host`, `host:port`, `[IPv6]` or `[IPv6]:port`; nil for anything else. An empty port is none.
  init?(_ text: Span<UInt8>) {
    let colon = UInt8(ascii: ":")
    var end = 0
    if text.count > 0, text[0] == UInt8(ascii: "[") {
      while end < text.count, text[end] != UInt8(ascii: "]") { end += 1 }
      guard end < text.count, let address = HostAndPort.address(text.extracting(1..<end)) else { return nil }
      host = address
      end += 1
      guard end == text.count || text[end] == colon else { return nil }
    } else {
      while end < text.count, text[end] != colon {
        guard HostAndPort.isHostByte(text[end]) else { return nil }
        end += 1
      }
      host = WebOrigin.lowercased(text.extracting(0..<end))
    }
    guard end + 1 < text.count else {
      port = nil
      return
    }
    guard let number = HostAndPort.port(text.extracting(end + 1..<text.count)) else { return nil }
    port = number
  }

  private static func address(_ text: Span<UInt8>) -> [UInt8]? {
    for index in text.indices where text[index] == UInt8(ascii: "%") { return nil }
    guard let address = IPAddress(text: text) else { return nil }
    // A mapped IPv4 address would be written without colons: it keeps its own text.
    let canonical = address.isIPv4 ? WebOrigin.lowercased(text) : address.text
    guard canonical.contains(UInt8(ascii: ":")) else { return nil }
    return [UInt8(ascii: "[")] + canonical + [UInt8(ascii: "]")]
  }

  private static func isHostByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "/"), UInt8(ascii: "?"), UInt8(ascii: "#"), UInt8(ascii: "@"), UInt8(ascii: "["),
      UInt8(ascii: "]"), UInt8(ascii: "\\"), UInt8(ascii: ","):
      false
    default: byte > 0x20 && byte < 0x7F
    }
  }

  private static func port(_ digits: Span<UInt8>) -> UInt16? {
    guard digits.count <= 5 else { return nil }
    var number: UInt32 = 0
    for index in digits.indices {
      guard digits[index] >= 0x30, digits[index] <= 0x39 else { return nil }
      number = number * 10 + UInt32(digits[index] - 0x30)
    }
    return UInt16(exactly: number)
  }
}
