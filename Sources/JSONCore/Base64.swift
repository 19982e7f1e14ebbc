/// Writes bytes as text (RFC 4648 section 4), the only way that JSON can carry them.
public enum Base64 {
  /// Returns the digits of `bytes`, with padding.
  public static func encode(_ bytes: Span<UInt8>) -> [UInt8] {
    var output: [UInt8] = []
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
}
