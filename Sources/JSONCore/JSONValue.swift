/// A JSON document as a tree, for what is read rarely: settings files, bodies of the admin endpoint, tokens.
///
/// Strings are decoded UTF-8; numbers keep their spelling, so that no digit is lost.
public indirect enum JSONValue: Equatable, Sendable {
  case null
  case bool(Bool)
  case number([UInt8])
  case string([UInt8])
  case array([JSONValue])
  case object([Member])

  /// A key with its value, in the order of the text.
  public struct Member: Equatable, Sendable {
    /// The decoded UTF-8 of the key.
    public let key: [UInt8]
    /// The value behind the key.
    public let value: JSONValue

    /// Pairs a key with its value.
    public init(key: [UInt8], value: JSONValue) {
      self.key = key
      self.value = value
    }
  }

  /// Parses exactly one value with nothing but whitespace around it.
  ///
  /// Checks UTF-8 as well. Nesting is limited to `depthMax` (at most ``JSONScanner/depthMax``). Fails with
  /// ``JSONError/Reason/loneSurrogate`` when a string cannot be expressed in UTF-8.
  public static func parse(_ text: Span<UInt8>, depthMax: Int = 128) throws(JSONError) -> JSONValue {
    guard JSONScanner.isValidUTF8(text) else { throw JSONError(.invalidUTF8, at: 0) }
    var scanner = JSONScanner(text)
    scanner.skipWhitespace()
    let value = try scanner.readValue(depthLeft: min(depthMax, JSONScanner.depthMax))
    try scanner.finish()
    return value
  }

  /// Looks up a member of an object; the last one wins when a key is repeated, nil for other kinds.
  public subscript(key: StaticString) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.last { JSONString.equals($0.key.span, key) }?.value
  }

  /// The truth of a boolean; nil for other kinds.
  public var asBool: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  /// The decoded UTF-8 of a string; nil for other kinds.
  public var asBytes: [UInt8]? {
    if case .string(let value) = self { value } else { nil }
  }

  /// The value of a string; nil for other kinds.
  public var asString: String? { asBytes.map { String(decoding: $0, as: UTF8.self) } }

  /// The value of a number written without fraction and exponent; nil for other kinds and beyond 64 bits.
  public var asInt: Int? {
    if case .number(let digits) = self { JSONNumber.integer(digits.span) } else { nil }
  }

  /// The nearest double of a number; nil for other kinds and for what is beyond every double.
  public var asDouble: Double? {
    guard case .number(let digits) = self, let value = Double(String(decoding: digits, as: UTF8.self)), value.isFinite
    else { return nil }
    return value
  }

  /// The elements of an array; nil for other kinds.
  public var asArray: [JSONValue]? {
    if case .array(let elements) = self { elements } else { nil }
  }

  /// The members of an object in the order of the text; nil for other kinds.
  public var asObject: [Member]? {
    if case .object(let members) = self { members } else { nil }
  }
}

extension JSONScanner {
  /// Reads one value at `position`; `depthLeft` containers may still be opened.
  @_lifetime(self: copy self)
  fileprivate mutating func readValue(depthLeft: Int) throws(JSONError) -> JSONValue {
    let start = position
    switch try peek() {
    case ASCII.leftBrace:
      return .object(try readObject(depthLeft: depthLeft))
    case ASCII.leftBracket:
      return .array(try readArray(depthLeft: depthLeft))
    default:
      let (kind, hasEscapes) = try scanScalar()
      switch kind {
      case .true: return .bool(true)
      case .false: return .bool(false)
      case .number: return .number([UInt8](copying: text.extracting(start..<position)))
      case .string:
        return .string(
          try decoded(JSONStringRange(contents: (start + 1)..<(position - 1), hasEscapes: hasEscapes)))
      case .null, .object, .array: return .null
      }
    }
  }

  @_lifetime(self: copy self)
  private mutating func readObject(depthLeft: Int) throws(JSONError) -> [JSONValue.Member] {
    var members: [JSONValue.Member] = []
    try open(depthLeft: depthLeft)
    while try !closes(with: ASCII.rightBrace, isFirst: members.isEmpty) {
      let key = try decoded(try scanKey())
      members.append(JSONValue.Member(key: key, value: try readValue(depthLeft: depthLeft - 1)))
    }
    return members
  }

  @_lifetime(self: copy self)
  private mutating func readArray(depthLeft: Int) throws(JSONError) -> [JSONValue] {
    var elements: [JSONValue] = []
    try open(depthLeft: depthLeft)
    while try !closes(with: ASCII.rightBracket, isFirst: elements.isEmpty) {
      elements.append(try readValue(depthLeft: depthLeft - 1))
    }
    return elements
  }

  @_lifetime(self: copy self)
  private mutating func open(depthLeft: Int) throws(JSONError) {
    guard depthLeft > 0 else { throw JSONError(.tooDeep, at: position) }
    position += 1
  }

  /// Consumes the closing bracket and tells so, or else the comma that must precede all entries but the first.
  @_lifetime(self: copy self)
  private mutating func closes(with bracket: UInt8, isFirst: Bool) throws(JSONError) -> Bool {
    skipWhitespace()
    let byte = try peek()
    if byte == bracket {
      position += 1
      return true
    }
    if !isFirst {
      guard byte == ASCII.comma else { throw JSONError(.expectedCommaOrClose, at: position) }
      position += 1
      skipWhitespace()
    }
    return false
  }

  private func decoded(_ string: JSONStringRange) throws(JSONError) -> [UInt8] {
    guard let value = string.decoded(in: text) else {
      throw JSONError(.loneSurrogate, at: string.contents.lowerBound)
    }
    return value
  }
}
