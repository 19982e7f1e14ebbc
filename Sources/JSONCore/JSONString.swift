/// Translates between the value of a string and its spelling in JSON (RFC 8259 section 7).
public enum JSONString {
  /// Resolves the escapes in `contents`, the checked bytes between two quotes.
  ///
  /// Returns nil when an escape names half of a surrogate pair, which no UTF-8 can express. The result is never
  /// longer than `contents`.
  public static func unescape(_ contents: Span<UInt8>) -> [UInt8]? {
    var value: [UInt8] = []
    value.reserveCapacity(contents.count)
    var index = 0
    while index < contents.count {
      let start = index
      while index < contents.count, contents[index] != ASCII.backslash { index += 1 }
      value.append(copying: contents.extracting(start..<index))
      guard index + 1 < contents.count else { break }
      if contents[index + 1] != UInt8(ascii: "u") {
        value.append(simpleEscape(contents[index + 1]))
        index += 2
        continue
      }
      guard let (scalar, length) = unicodeEscape(contents, at: index) else { return nil }
      value.append(contentsOf: Unicode.UTF8.encode(scalar) ?? Unicode.UTF8.encodedReplacementCharacter)
      index += length
    }
    return value
  }

  /// Tells whether a JSON text that is valid otherwise has an escape that names half of a surrogate pair without the other
  /// half (RFC 8259 section 8.2): anywhere, keys included. Allocates nothing.
  public static func hasLoneSurrogate(_ text: Span<UInt8>) -> Bool {
    var index = 0
    while index < text.count {
      guard text[index] == ASCII.backslash else {
        index += 1
        continue
      }
      guard index + 1 < text.count, text[index + 1] == UInt8(ascii: "u") else {
        index += 2
        continue
      }
      guard let (_, length) = unicodeEscape(text, at: index) else { return true }
      index += length
    }
    return false
  }

  /// Tells whether `bytes` are exactly the bytes of `name`.
  @inlinable
  public static func equals(_ bytes: Span<UInt8>, _ name: StaticString) -> Bool {
    guard bytes.count == name.utf8CodeUnitCount else { return false }
    // Safe because the bytes of a static string live as long as the process, and the index stays below its count.
    let start = unsafe name.utf8Start
    for index in bytes.indices where unsafe bytes[index] != start[index] { return false }
    return true
  }

  /// Appends `value` to `output` as a JSON string with its quotes.
  ///
  /// `value` must be valid UTF-8. Escapes what RFC 8259 requires and nothing else: the quote, the backslash and, as
  /// `\u00XX`, the bytes below 0x20.
  public static func append(_ value: Span<UInt8>, to output: inout [UInt8]) {
    output.append(ASCII.quote)
    var start = 0
    for index in value.indices where JSONScanner.isSpecial(value[index]) {
      output.append(copying: value.extracting(start..<index))
      start = index + 1
      let byte = value[index]
      output.append(ASCII.backslash)
      if byte >= 0x20 {
        output.append(byte)
      } else {
        output.append(UInt8(ascii: "u"))
        output.append(ASCII.zero)
        output.append(ASCII.zero)
        output.append(ASCII.hexDigit(byte >> 4))
        output.append(ASCII.hexDigit(byte & 15))
      }
    }
    output.append(copying: value.extracting(start..<value.count))
    output.append(ASCII.quote)
  }

  /// The string with its quotes.
  public static func quoting(_ value: [UInt8]) -> [UInt8] {
    var json: [UInt8] = []
    append(value.span, to: &json)
    return json
  }

  private static func simpleEscape(_ letter: UInt8) -> UInt8 {
    switch letter {
    case UInt8(ascii: "b"): 0x08
    case UInt8(ascii: "f"): 0x0C
    case UInt8(ascii: "n"): 0x0A
    case UInt8(ascii: "r"): 0x0D
    case UInt8(ascii: "t"): 0x09
    default: letter
    }
  }

  /// Reads `\uXXXX`, or two of them that form a surrogate pair; nil when half of a pair stands alone.
  private static func unicodeEscape(_ contents: Span<UInt8>, at index: Int) -> (Unicode.Scalar, length: Int)? {
    guard let high = codeUnit(contents, at: index) else { return nil }
    if let scalar = Unicode.Scalar(high) { return (scalar, 6) }
    guard (0xD800...0xDBFF).contains(high), let low = codeUnit(contents, at: index + 6),
      (0xDC00...0xDFFF).contains(low),
      let scalar = Unicode.Scalar(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    else { return nil }
    return (scalar, 12)
  }

  private static func codeUnit(_ contents: Span<UInt8>, at index: Int) -> UInt32? {
    guard index + 6 <= contents.count, contents[index] == ASCII.backslash, contents[index + 1] == UInt8(ascii: "u")
    else { return nil }
    var unit: UInt32 = 0
    for digit in (index + 2)..<(index + 6) {
      guard let value = ASCII.hexValue(contents[digit]) else { return nil }
      unit = unit << 4 | value
    }
    return unit
  }
}
