/// One element of an array, as offsets into the text that a scanner checked.
public struct JSONElement: Equatable, Sendable {
  /// The value as it is written.
  public let value: Range<Int>
  /// The kind of the value.
  public let kind: JSONKind
  /// Whether the value is a string with a backslash in it.
  public let valueHasEscapes: Bool

  /// The value as a string; nil for any other kind.
  public var string: JSONStringRange? {
    guard kind == .string else { return nil }
    return JSONStringRange(
      contents: (value.lowerBound + 1)..<(value.upperBound - 1), hasEscapes: valueHasEscapes)
  }
}
