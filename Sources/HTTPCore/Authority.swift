/// Finds the parts of `uri-host [ ":" port ]`, as Host and the absolute form of a target hold it (RFC 3986 section 3.2,
/// RFC 9110 section 7.2). One grammar for both, so that no two readers see different hosts.
struct Authority {
  /// Digits that a port may have; 65535 has five.
  private static let portDigitsMax = 5
  /// Bytes of the longest text of an IPv6 address (RFC 4291 section 2.2).
  private static let addressBytesMax = 45

  /// Index behind the host, where the colon of a port stands, if there is one.
  let hostEnd: Int

  /// Reads a whole text; nil when it is no host and port. The host may be empty; user information is never accepted
  /// (RFC 9110 section 4.2.4).
  init?(_ text: Span<UInt8>) {
    guard let end = text.isEmpty ? 0 : text[0] == UInt8(ascii: "[") ? Self.addressEnd(text) : Self.nameEnd(text) else {
      return nil
    }
    hostEnd = end
    guard end < text.count else { return }
    guard text[end] == ASCII.colon, text.count - end - 1 <= Self.portDigitsMax else { return nil }
    var port = 0
    for index in end + 1..<text.count {
      guard ASCII.isDigit(text[index]) else { return nil }
      port = port * 10 + Int(text[index] - 0x30)
    }
    guard port <= 65_535 else { return nil }
  }

  /// Finds the end of an IPv6 address in brackets. Zones and future versions are refused: no browser sends them.
  private static func addressEnd(_ text: Span<UInt8>) -> Int? {
    guard let close = text.firstIndex(of: UInt8(ascii: "]"), in: 1..<text.count), close <= addressBytesMax + 1 else {
      return nil
    }
    var colons = 0
    for index in 1..<close {
      switch text[index] {
      case ASCII.colon: colons += 1
      case UInt8(ascii: "."): continue
      default: guard ASCII.hexValue(text[index]) != nil else { return nil }
      }
    }
    return colons >= 2 ? close + 1 : nil
  }

  /// Finds the end of a name or an IPv4 address: unreserved characters, escapes and sub-delims but the comma, which would
  /// join two headers (RFC 3986 section 3.2.2).
  private static func nameEnd(_ text: Span<UInt8>) -> Int? {
    for index in text.indices {
      switch text[index] {
      case ASCII.colon: return index
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"), UInt8(ascii: "!"), UInt8(ascii: "$"), UInt8(ascii: "&")...UInt8(ascii: "+"),
        UInt8(ascii: ";"), UInt8(ascii: "="):
        continue
      case UInt8(ascii: "%"):
        guard index + 2 < text.count, ASCII.hexValue(text[index + 1]) != nil, ASCII.hexValue(text[index + 2]) != nil
        else { return nil }
      default: return nil
      }
    }
    return text.count
  }
}
