/// Says why a text is not the JSON that was asked for, and at which byte.
public struct JSONError: Error, Equatable, CustomStringConvertible {
  /// Names what was wrong.
  public enum Reason: UInt8, Sendable {
    case unexpectedEnd
    case expectedValue
    case expectedObject
    case expectedArray
    case expectedKey
    case expectedColon
    case expectedCommaOrClose
    case trailingBytes
    case invalidNumber
    case invalidEscape
    case controlCharacter
    case loneSurrogate
    case invalidUTF8
    case tooDeep
  }

  /// What was wrong.
  public let reason: Reason
  /// The offset in bytes of the first byte that does not fit; the length of the text when it ended too early.
  public let offset: Int

  /// Makes an error for the byte at `offset`.
  public init(_ reason: Reason, at offset: Int) {
    self.reason = reason
    self.offset = offset
  }

  /// Reads as a clause, such as "a value is missing at byte 7".
  public var description: String { "\(reason.text) at byte \(offset)" }
}

extension JSONError.Reason {
  /// Describes the reason without its place.
  public var text: StaticString {
    switch self {
    case .unexpectedEnd: "the text ends too early"
    case .expectedValue: "a value is missing"
    case .expectedObject: "an object is missing"
    case .expectedArray: "an array is missing"
    case .expectedKey: "a key in quotes is missing"
    case .expectedColon: "a colon is missing"
    case .expectedCommaOrClose: "a comma or a closing bracket is missing"
    case .trailingBytes: "more text follows the value"
    case .invalidNumber: "a number is malformed"
    case .invalidEscape: "an escape is malformed"
    case .controlCharacter: "a control character stands unescaped in a string"
    case .loneSurrogate: "an escape names half of a surrogate pair"
    case .invalidUTF8: "the text is not UTF-8"
    case .tooDeep: "the nesting is too deep"
    }
  }
}
