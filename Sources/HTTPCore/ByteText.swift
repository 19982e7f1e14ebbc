extension Span<UInt8> {
  /// Compares with an ASCII literal, letters in either case.
  func matches(_ literal: StaticString) -> Bool {
    guard count == literal.utf8CodeUnitCount else { return false }
    return literal.withUTF8Buffer { other in
      for index in indices where ASCII.lowercase(self[index]) != ASCII.lowercase(other[index]) { return false }
      return true
    }
  }

  /// Compares with another text in ASCII, letters in either case.
  func matchesName(_ other: [UInt8]) -> Bool {
    guard count == other.count else { return false }
    for index in indices where ASCII.lowercase(self[index]) != ASCII.lowercase(other[index]) { return false }
    return true
  }

  /// Compares with an ASCII literal exactly.
  func equals(_ literal: StaticString) -> Bool {
    guard count == literal.utf8CodeUnitCount else { return false }
    return literal.withUTF8Buffer { other in
      for index in indices where self[index] != other[index] { return false }
      return true
    }
  }

  /// Gives the bytes of a range without the spaces and tabs at its ends.
  func trimmed(_ range: Range<Int>) -> Range<Int> {
    var (start, end) = (range.lowerBound, range.upperBound)
    while start < end, self[start] == ASCII.space || self[start] == ASCII.tab { start += 1 }
    while start < end, self[end - 1] == ASCII.space || self[end - 1] == ASCII.tab { end -= 1 }
    return start..<end
  }

  /// Finds a byte; nil when it is not in the range.
  func firstIndex(of byte: UInt8, in range: Range<Int>) -> Int? {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "a range beyond the bytes")
    // Safe because the range was checked, once and not for every byte.
    return withUnsafeBufferPointer { bytes in
      for index in range where bytes[index] == byte { return index }
      return nil
    }
  }

  /// Counts the bytes at the beginning of a range that are no control characters.
  func plainCount(in range: Range<Int>) -> Int {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "a range beyond the bytes")
    // Safe because the range was checked, once and not for every byte.
    return withUnsafeBufferPointer { bytes in
      for index in range where bytes[index] < ASCII.space || bytes[index] == 0x7F { return index - range.lowerBound }
      return range.count
    }
  }

  /// Whether a range holds bytes only that may stand in the target of a request.
  func isURI(_ range: Range<Int>) -> Bool {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "a range beyond the bytes")
    // Safe because the range was checked, once and not for every byte.
    return withUnsafeBufferPointer { bytes in
      for index in range where bytes[index] <= 0x20 || bytes[index] >= 0x7F || bytes[index] == UInt8(ascii: "#") {
        return false
      }
      return true
    }
  }

  /// Copies the bytes of a range.
  func copy(_ range: Range<Int>) -> [UInt8] {
    // Safe because the pointer is used only inside the closure, while the span is alive.
    extracting(range).withUnsafeBufferPointer { Array($0) }
  }
}

extension [UInt8] {
  mutating func append(copying span: Span<UInt8>) {
    // Safe because the pointer is used only inside the closure, while the span is alive.
    span.withUnsafeBufferPointer { append(contentsOf: $0) }
  }

  mutating func append(literal: StaticString) {
    literal.withUTF8Buffer { append(contentsOf: $0) }
  }

  mutating func append(decimal number: Int) {
    if number >= 10 { append(decimal: number / 10) }
    append(0x30 + UInt8(number % 10))
  }
}
