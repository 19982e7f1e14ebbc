import JSONCore

/// The text of a session's number in its connection's name: base 32, which takes three bytes less than hexadecimal in
/// each of the names that a node keeps.
enum SessionNumber {
  /// Digits of the largest number.
  static let digitsMax = 13

  /// Counts the digits of a number without leading zeros.
  static func digits(of number: UInt64) -> Int { max(1, (68 - number.leadingZeroBitCount) / 5) }

  /// Appends a number without leading zeros.
  static func append(_ number: UInt64, to output: inout [UInt8]) {
    var digits = InlineArray<13, UInt8>(repeating: 0)
    var start = digits.count
    var rest = number
    repeat {
      start -= 1
      let digit = UInt8(truncatingIfNeeded: rest & 31)
      digits[start] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
      rest >>= 5
    } while rest > 0
    output.append(copying: digits.span.extracting(start..<digits.count))
  }

  /// Reads what `append` writes; nil for anything else, so that a number has one text.
  static func parse(_ text: Span<UInt8>) -> UInt64? {
    guard (1...digitsMax).contains(text.count), text.count == 1 || text[0] != UInt8(ascii: "0") else { return nil }
    var number: UInt64 = 0
    for i in text.indices {
      guard number >> 59 == 0 else { return nil }
      switch text[i] {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): number = number << 5 | UInt64(text[i] - UInt8(ascii: "0"))
      case UInt8(ascii: "a")...UInt8(ascii: "v"): number = number << 5 | UInt64(text[i] - UInt8(ascii: "a") + 10)
      default: return nil
      }
    }
    return number
  }
}
