extension JSONScanner {
  /// Scans a string that starts at `position`; tells whether it contains escapes (RFC 8259 section 7).
  ///
  /// Looks at eight bytes at a time for the three things that matter: a quote, a backslash, a control character.
  @_lifetime(self: copy self)
  mutating func scanString() throws(JSONError) -> Bool {
    let bytes = text.bytes
    let count = text.count
    var index = position + 1
    var hasEscapes = false
    while true {
      while index &+ 8 <= count {
        // Safe because the loop's condition keeps all eight bytes inside the span, and any bits are a UInt64.
        let word = unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self)
        let marks = Self.specialBytes(in: UInt64(littleEndian: word))
        if marks == 0 {
          index &+= 8
        } else {
          index &+= marks.trailingZeroBitCount >> 3
          break
        }
      }
      while index < count, !Self.isSpecial(text[index]) { index += 1 }
      guard index < count else { throw JSONError(.unexpectedEnd, at: count) }
      switch text[index] {
      case ASCII.quote:
        position = index + 1
        return hasEscapes
      case ASCII.backslash:
        index = try scanEscape(at: index)
        hasEscapes = true
      default:
        throw JSONError(.controlCharacter, at: index)
      }
    }
  }

  /// Marks the high bit of each byte that is a quote, a backslash or below 0x20.
  ///
  /// Borrows travel upward only, so the lowest mark is always right; those above it may not be.
  @inline(__always)
  static func specialBytes(in word: UInt64) -> UInt64 {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let quotes = word ^ (ones &* UInt64(ASCII.quote))
    let backslashes = word ^ (ones &* UInt64(ASCII.backslash))
    let below = (word &- ones &* 0x20) & ~word
    return (below | ((quotes &- ones) & ~quotes) | ((backslashes &- ones) & ~backslashes)) & (ones &* 0x80)
  }

  @inline(__always)
  static func isSpecial(_ byte: UInt8) -> Bool {
    byte == ASCII.quote || byte == ASCII.backslash || byte < 0x20
  }

  /// Checks the escape whose backslash is at `index`; returns the offset behind it.
  ///
  /// The grammar allows an escape that names half of a surrogate pair, so it is accepted here (RFC 8259 section 8.2).
  private func scanEscape(at index: Int) throws(JSONError) -> Int {
    guard index + 1 < text.count else { throw JSONError(.unexpectedEnd, at: text.count) }
    switch text[index + 1] {
    case ASCII.quote, ASCII.backslash, UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"),
      UInt8(ascii: "r"), UInt8(ascii: "t"):
      return index + 2
    case UInt8(ascii: "u"):
      for digit in (index + 2)..<(index + 6) {
        guard digit < text.count else { throw JSONError(.unexpectedEnd, at: text.count) }
        guard ASCII.hexValue(text[digit]) != nil else { throw JSONError(.invalidEscape, at: digit) }
      }
      return index + 6
    default:
      throw JSONError(.invalidEscape, at: index)
    }
  }

  /// Scans a number that starts at `position` with its minus sign or first digit (RFC 8259 section 6).
  @_lifetime(self: copy self)
  mutating func scanNumber() throws(JSONError) {
    if text[position] == ASCII.minus { position += 1 }
    if position < text.count, text[position] == ASCII.zero {
      position += 1
      if position < text.count, ASCII.isDigit(text[position]) { throw JSONError(.invalidNumber, at: position) }
    } else {
      try scanDigits()
    }
    if position < text.count, text[position] == UInt8(ascii: ".") {
      position += 1
      try scanDigits()
    }
    if position < text.count, text[position] | 0x20 == UInt8(ascii: "e") {
      position += 1
      if position < text.count, text[position] == ASCII.minus || text[position] == UInt8(ascii: "+") { position += 1 }
      try scanDigits()
    }
  }

  /// Scans one digit or more.
  @_lifetime(self: copy self)
  private mutating func scanDigits() throws(JSONError) {
    guard ASCII.isDigit(try peek()) else { throw JSONError(.invalidNumber, at: position) }
    while position < text.count, ASCII.isDigit(text[position]) { position += 1 }
  }

  /// Scans `true`, `false` or `null`.
  @_lifetime(self: copy self)
  mutating func scanLiteral(_ literal: StaticString) throws(JSONError) {
    let end = position + literal.utf8CodeUnitCount
    guard end <= text.count, JSONString.equals(text.extracting(position..<end), literal) else {
      throw JSONError(.expectedValue, at: position)
    }
    position = end
  }
}
