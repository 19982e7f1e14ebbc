/// Decides which web pages may open connections (RFC 6455 section 10.2): an allow-list, exact or by a leading `*.`.
struct OriginPolicy {
  /// Lower-case entries; empty: everyone.
  private let allowed: [[UInt8]]

  /// - Parameter origins: such as `https://chat.example.com`, `chat.example.com` or `*.example.com`.
  init(_ origins: [String]) { allowed = origins.map { Array($0.lowercased().utf8) } }

  /// Whether there is a list at all.
  var isList: Bool { !allowed.isEmpty }

  /// Whether a request with that `Origin` may go on. Programs send none and are not meant.
  func allows(_ origin: [UInt8]?) -> Bool {
    guard !allowed.isEmpty, let origin else { return true }
    let whole = origin.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }
    let host = OriginPolicy.host(of: whole)
    return allowed.contains { entry in
      if entry.starts(with: [UInt8(ascii: "*"), UInt8(ascii: ".")]) {
        // The dot stays, so that `*.example.com` does not let `evilexample.com` in.
        return host.count > entry.count - 1 && host.suffix(entry.count - 1).elementsEqual(entry.dropFirst())
      }
      return entry == whole || entry.elementsEqual(host)
    }
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
