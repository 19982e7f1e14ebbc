/// The seven kinds of JSON value (RFC 8259 section 3).
@frozen
public enum JSONKind: UInt8, Sendable {
  case object
  case array
  case string
  case number
  case `true`
  case `false`
  case null
}

/// Says where a string stands in a text that a scanner has checked.
@frozen
public struct JSONStringRange: Equatable, Sendable {
  /// The bytes between the quotes.
  public let contents: Range<Int>
  /// Whether a backslash stands among them; without one the bytes are the string's value as they stand.
  public let hasEscapes: Bool

  /// Makes a range from the offsets of the bytes between the quotes.
  @inlinable
  public init(contents: Range<Int>, hasEscapes: Bool) {
    self.contents = contents
    self.hasEscapes = hasEscapes
  }

  /// The string with its quotes, as it can be copied into another JSON text.
  @inlinable
  public var quoted: Range<Int> { (contents.lowerBound - 1)..<(contents.upperBound + 1) }

  /// Copies the string's value out of `text`, escapes resolved; nil when an escape names half of a surrogate pair.
  public func decoded(in text: Span<UInt8>) -> [UInt8]? {
    let raw = text.extracting(contents)
    if hasEscapes { return JSONString.unescape(raw) }
    return [UInt8](copying: raw)
  }

  /// Tells whether the string's value in `text` is `name`, however it is spelled.
  public func equals(_ name: StaticString, in text: Span<UInt8>) -> Bool {
    let raw = text.extracting(contents)
    if !hasEscapes { return JSONString.equals(raw, name) }
    guard let value = JSONString.unescape(raw) else { return false }
    return JSONString.equals(value.span, name)
  }
}

/// One member of an object, as offsets into the text that a scanner checked.
@frozen
public struct JSONMember: Equatable, Sendable {
  /// The member's key.
  public let key: JSONStringRange
  /// The value as it is written; a string with its quotes, an object with its braces.
  public let value: Range<Int>
  /// The kind of the value.
  public let kind: JSONKind
  /// Whether the value is a string with a backslash in it.
  public let valueHasEscapes: Bool

  /// Makes a member from offsets into one text.
  @inlinable
  public init(key: JSONStringRange, value: Range<Int>, kind: JSONKind, valueHasEscapes: Bool) {
    self.key = key
    self.value = value
    self.kind = kind
    self.valueHasEscapes = valueHasEscapes
  }

  /// The whole member from the quote that opens its key to the end of its value.
  @inlinable
  public var range: Range<Int> { (key.contents.lowerBound - 1)..<value.upperBound }

  /// The value as a string; nil for any other kind.
  @inlinable
  public var string: JSONStringRange? {
    guard kind == .string else { return nil }
    return JSONStringRange(
      contents: (value.lowerBound + 1)..<(value.upperBound - 1), hasEscapes: valueHasEscapes)
  }
}
