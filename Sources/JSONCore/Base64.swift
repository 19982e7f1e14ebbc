/// Writes bytes as text and reads them back (RFC 4648 section 4): the only way that JSON can carry them.
public enum Base64 {
  /// Returns the digits of `bytes`, with padding.
  public static func encode(_ bytes: Span<UInt8>) -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity((bytes.count + 2) / 3 * 4)
    append(bytes, to: &output)
    return output
  }

  /// Appends the digits of `bytes`, with padding.
  public static func append(_ bytes: Span<UInt8>, to output: inout [UInt8]) {
    let alphabet: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    var at = 0
    while at < bytes.count {
      let rest = bytes.count - at
      var group = UInt32(bytes[at]) << 16
      if rest > 1 { group |= UInt32(bytes[at + 1]) << 8 }
      if rest > 2 { group |= UInt32(bytes[at + 2]) }
      for digit in 0..<4 {
        // Safe because six bits index an alphabet of 64.
        let letter = alphabet.utf8Start[Int(group >> UInt32(18 - 6 * digit)) & 63]
        output.append(digit <= rest ? letter : UInt8(ascii: "="))
      }
      at += 3
    }
  }

  /// Returns the bytes that `text` stands for; nil when it is no base64.
  public static func decode(_ text: Span<UInt8>) -> [UInt8]? {
    var bytes: [UInt8] = []
    return append(decoding: text, to: &bytes) ? bytes : nil
  }

  /// Appends the bytes that `text` stands for. False, and nothing appended, for any byte outside of the alphabet, a length that
  /// no bytes have, and bits behind the last byte that are not zero. The padding may be left out.
  public static func append(decoding text: Span<UInt8>, to output: inout [UInt8]) -> Bool {
    var count = text.count
    if count % 4 == 0 {
      for _ in 0..<2 where count > 0 && text[count - 1] == UInt8(ascii: "=") { count -= 1 }
    }
    guard count % 4 != 1 else { return false }
    let start = output.count
    output.reserveCapacity(start + count / 4 * 3 + 2)
    var bits: UInt32 = 0
    var bitCount: UInt32 = 0
    for index in 0..<count {
      guard let digit = value(of: text[index]) else {
        output.removeSubrange(start...)
        return false
      }
      bits = bits << 6 | digit
      bitCount += 6
      guard bitCount >= 8 else { continue }
      bitCount -= 8
      output.append(UInt8(truncatingIfNeeded: bits >> bitCount))
      bits &= 1 << bitCount - 1
    }
    if bits != 0 { output.removeSubrange(start...) }
    return bits == 0
  }

  private static func value(of digit: UInt8) -> UInt32? {
    switch digit {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(digit - UInt8(ascii: "A"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(digit - UInt8(ascii: "a")) + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit - UInt8(ascii: "0")) + 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
  }
}
