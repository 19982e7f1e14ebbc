/// One element of an array, as offsets into the text that a scanner checked.
public struct JSONElement: Equatable, Sendable {
  /// The value as it is written.
  public let value: Range<Int>
  /// The kind of the value.
  public let kind: JSONKind
  /// Whether the value is a string with a backslash in it.
  public let valueHasEscapes: Bool

  /// Makes an element from offsets into one text.
  public init(value: Range<Int>, kind: JSONKind, valueHasEscapes: Bool) {
    self.value = value
    self.kind = kind
    self.valueHasEscapes = valueHasEscapes
  }

  /// The value as a string; nil for any other kind.
  public var string: JSONStringRange? {
    guard kind == .string else { return nil }
    return JSONStringRange(
      contents: (value.lowerBound + 1)..<(value.upperBound - 1), hasEscapes: valueHasEscapes)
  }
}

extension JSONScanner {
  /// Returns the next element of the top-level array, or nil after its end: as ``nextMember()``, for texts that are arrays.
  /// Fails with ``JSONError/Reason/expectedArray`` when the text is a value of another kind.
  @_lifetime(self: copy self)
  public mutating func nextElement() throws(JSONError) -> JSONElement? {
    switch progress {
    case .finished: return nil
    case .beforeContainer:
      skipWhitespace()
      guard try peek() == ASCII.leftBracket else { throw JSONError(.expectedArray, at: position) }
      position += 1
      skipWhitespace()
      if try peek() == ASCII.rightBracket {
        try closeContainer()
        return nil
      }
    case .afterItem:
      skipWhitespace()
      let byte = try peek()
      if byte == ASCII.rightBracket {
        try closeContainer()
        return nil
      }
      guard byte == ASCII.comma else { throw JSONError(.expectedCommaOrClose, at: position) }
      position += 1
      skipWhitespace()
    }
    let start = position
    let (kind, hasEscapes) = try scanValue(depth: outerDepth + 1)
    progress = .afterItem
    return JSONElement(value: start..<position, kind: kind, valueHasEscapes: hasEscapes)
  }
}
