/// Decodes and encodes the escapes of URIs (RFC 3986 section 2.1).
public enum PercentCoding {
  /// Decodes a path or a part of one; nil when a `%` is not followed by two hexadecimal digits.
  ///
  /// The result may hold any byte, NUL and slash among them.
  public static func decode(_ text: Span<UInt8>) -> [UInt8]? {
    isWellFormed(text) ? decode(text, plusIsSpace: false) : nil
  }

  /// Whether every `%` begins an escape.
  static func isWellFormed(_ text: Span<UInt8>) -> Bool {
    for index in text.indices where text[index] == UInt8(ascii: "%") && escape(text, index) == nil { return false }
    return true
  }

  /// Decodes a part of a query: `+` is a space, and a `%` that begins no escape stays as it is (WHATWG URL,
  /// application/x-www-form-urlencoded parsing).
  static func decodeLeniently(_ text: Span<UInt8>) -> [UInt8] { decode(text, plusIsSpace: true) }

  private static func decode(_ text: Span<UInt8>, plusIsSpace: Bool) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(text.count)
    var index = 0
    while index < text.count {
      let byte = text[index]
      if byte == UInt8(ascii: "%"), let escaped = escape(text, index) {
        out.append(escaped)
        index += 3
      } else {
        out.append(plusIsSpace && byte == UInt8(ascii: "+") ? ASCII.space : byte)
        index += 1
      }
    }
    return out
  }

  /// Gives the byte that the escape at `index` stands for; nil when there is none.
  private static func escape(_ text: Span<UInt8>, _ index: Int) -> UInt8? {
    guard index + 2 < text.count, let high = ASCII.hexValue(text[index + 1]), let low = ASCII.hexValue(text[index + 2])
    else { return nil }
    return high << 4 | low
  }

  /// Encodes every byte that is not unreserved (RFC 3986 section 2.3), so that the result is one path segment or one
  /// part of a query.
  public static func encode(_ bytes: Span<UInt8>) -> [UInt8] {
    var out: [UInt8] = []
    for index in bytes.indices {
      switch bytes[index] {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        out.append(bytes[index])
      default: out += [UInt8(ascii: "%"), hexDigit(bytes[index] >> 4), hexDigit(bytes[index] & 0xF)]
      }
    }
    return out
  }

  private static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x41 + value - 10 }
}
