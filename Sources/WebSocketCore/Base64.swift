/// Recognises Base 64 as the opening handshake uses it (RFC 4648 section 4).
enum Base64 {
  /// Tells whether the text decodes to exactly 16 bytes: 22 digits and two `=`.
  ///
  /// Bits beyond the sixteenth byte may be set, as RFC 4648 section 3.5 leaves to the reader; nothing is decoded from them.
  static func isSixteenBytes(_ text: Span<UInt8>) -> Bool {
    guard text.count == 24, text[22] == UInt8(ascii: "="), text[23] == UInt8(ascii: "=") else { return false }
    for index in 0..<22 where !isDigit(text[index]) { return false }
    return true
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
