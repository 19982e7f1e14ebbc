/// Reads and writes whole numbers as JSON spells them (RFC 8259 section 6).
public enum JSONNumber {
  /// Reads decimal digits; nil for an empty text, a leading zero, any other byte, or a value over 64 bits.
  public static func unsigned(_ text: Span<UInt8>) -> UInt64? {
    guard text.count > 0, text.count == 1 || text[0] != ASCII.zero else { return nil }
    var value: UInt64 = 0
    for index in text.indices {
      guard ASCII.isDigit(text[index]) else { return nil }
      let (shifted, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = shifted.addingReportingOverflow(UInt64(text[index] - ASCII.zero))
      if overflow || carry { return nil }
      value = sum
    }
    return value
  }

  /// Reads an optional minus sign and decimal digits; nil for fractions, exponents and what does not fit an `Int`.
  public static func integer(_ text: Span<UInt8>) -> Int? {
    guard text.count > 1, text[0] == ASCII.minus else { return unsigned(text).flatMap { Int(exactly: $0) } }
    guard let magnitude = unsigned(text.extracting(1..<text.count)) else { return nil }
    return magnitude == Int.min.magnitude ? Int.min : Int(exactly: magnitude).map { -$0 }
  }

  /// Appends the decimal digits of `value`.
  public static func append(_ value: UInt64, to output: inout [UInt8]) {
    // Most lengths and counts have one or two digits.
    if value < 100 {
      if value >= 10 { output.append(ASCII.zero + UInt8(truncatingIfNeeded: value / 10)) }
      return output.append(ASCII.zero + UInt8(truncatingIfNeeded: value % 10))
    }
    var digits = InlineArray<20, UInt8>(repeating: ASCII.zero)
    var start = digits.count
    var rest = value
    repeat {
      start -= 1
      digits[start] = ASCII.zero + UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    } while rest > 0
    output.append(copying: digits.span.extracting(start..<digits.count))
  }

  /// Appends `value` with a minus sign when it is negative.
  public static func append(_ value: Int, to output: inout [UInt8]) {
    if value < 0 { output.append(ASCII.minus) }
    append(UInt64(value.magnitude), to: &output)
  }
}
