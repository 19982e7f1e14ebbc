/// Encodes and recognises Base 64 as the opening handshake uses it (RFC 4648 section 4).
public enum Base64 {
  /// Encodes with padding; `+` and `/` are the last two digits.
  public static func encode(_ bytes: Span<UInt8>) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity((bytes.count + 2) / 3 * 4)
    var index = 0
    while index < bytes.count {
      let left = min(3, bytes.count - index)
      var group = UInt32(bytes[index]) << 16
      if left > 1 { group |= UInt32(bytes[index + 1]) << 8 }
      if left > 2 { group |= UInt32(bytes[index + 2]) }
      for place in 0..<4 {
        out.append(place <= left ? digit(UInt8(group >> UInt32(18 - 6 * place) & 0x3F)) : UInt8(ascii: "="))
      }
      index += 3
    }
    return out
  }

  /// Tells whether the text decodes to exactly 16 bytes: 22 digits and two `=`.
  ///
  /// Bits beyond the sixteenth byte may be set, as RFC 4648 section 3.5 leaves to the reader; nothing is decoded from them.
  static func isSixteenBytes(_ text: Span<UInt8>) -> Bool {
    guard text.count == 24, text[22] == UInt8(ascii: "="), text[23] == UInt8(ascii: "=") else { return false }
    for index in 0..<22 where !isDigit(text[index]) { return false }
    return true
  }

  private static func digit(_ value: UInt8) -> UInt8 {
    switch value {
    case 0..<26: UInt8(ascii: "A") + value
    case 26..<52: UInt8(ascii: "a") + value - 26
    case 52..<62: UInt8(ascii: "0") + value - 52
    case 62: UInt8(ascii: "+")
    default: UInt8(ascii: "/")
    }
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"):
      true
    default: false
    }
  }
}
