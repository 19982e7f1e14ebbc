/// Builds a JSON text as bytes and sets the commas by itself.
///
/// The caller keeps the order of calls sensible: inside an object a ``key(_:)-(StaticString)`` before every value, and an end for every
/// begin. Several texts may be written into one buffer by starting from ``init(appendingTo:)``.
public struct JSONWriter: Sendable {
  /// What has been written so far.
  public private(set) var bytes: [UInt8]
  /// One bit is enough: a value, or the end of a container, needs a comma before whatever comes next; a begin or a key does not.
  private var needsComma = false

  /// Starts with an empty text that has room for `capacity` bytes.
  public init(capacity: Int = 128) {
    bytes = []
    bytes.reserveCapacity(capacity)
  }

  /// Starts behind the bytes of `prefix`, which stay as they are.
  public init(appendingTo prefix: consuming [UInt8]) {
    bytes = prefix
  }

  /// Continues an object whose bytes, at least one member among them, are in `prefix`.
  public init(continuing prefix: consuming [UInt8]) {
    bytes = prefix
    needsComma = true
  }

  /// Ends the writing and hands over the bytes without a copy.
  public consuming func finish() -> [UInt8] { bytes }

  /// Opens an object.
  public mutating func beginObject() { begin(ASCII.leftBrace) }
  /// Closes the innermost open container, which must be an object.
  public mutating func endObject() { end(ASCII.rightBrace) }
  /// Opens an array.
  public mutating func beginArray() { begin(ASCII.leftBracket) }
  /// Closes the innermost open container, which must be an array.
  public mutating func endArray() { end(ASCII.rightBracket) }

  /// Writes the key of the next value; `name` must need no escapes.
  public mutating func key(_ name: StaticString) {
    separate()
    bytes.append(ASCII.quote)
    bytes.append(name)
    bytes.append(ASCII.quote)
    bytes.append(ASCII.colon)
    needsComma = false
  }

  /// Writes a key that is known at run time only; `name` must be valid UTF-8.
  public mutating func key(bytes name: Span<UInt8>) {
    separate()
    JSONString.append(name, to: &bytes)
    bytes.append(ASCII.colon)
    needsComma = false
  }

  /// Writes a string from valid UTF-8.
  public mutating func string(_ value: Span<UInt8>) {
    separate()
    JSONString.append(value, to: &bytes)
    needsComma = true
  }

  /// Writes a string from valid UTF-8.
  public mutating func string(_ value: [UInt8]) { string(value.span) }

  /// Writes a string; copies it once.
  public mutating func string(_ value: String) { string(Array(value.utf8).span) }

  /// Writes a literal, which must need no escapes.
  public mutating func string(_ value: StaticString) {
    separate()
    bytes.append(ASCII.quote)
    bytes.append(value)
    bytes.append(ASCII.quote)
    needsComma = true
  }

  /// Writes a whole number.
  public mutating func integer(_ value: Int) {
    separate()
    JSONNumber.append(value, to: &bytes)
    needsComma = true
  }

  /// Writes a whole number of up to 20 digits.
  public mutating func unsigned(_ value: UInt64) {
    separate()
    JSONNumber.append(value, to: &bytes)
    needsComma = true
  }

  /// Writes the shortest digits that read back as `value`; null for infinities and NaN, which JSON cannot express.
  public mutating func double(_ value: Double) {
    guard value.isFinite else { return null() }
    separate()
    bytes.append(contentsOf: value.description.utf8)
    needsComma = true
  }

  /// Writes `true` or `false`.
  public mutating func bool(_ value: Bool) { literal(value ? "true" : "false") }

  /// Writes `null`.
  public mutating func null() { literal("null") }

  /// Writes one value, or several members or elements with commas between them, that are valid JSON already.
  ///
  /// An empty `text` writes nothing, no comma either.
  public mutating func raw(_ text: Span<UInt8>) {
    guard text.count > 0 else { return }
    separate()
    bytes.append(copying: text)
    needsComma = true
  }

  /// Writes one value, or several members or elements with commas between them, that are valid JSON already.
  public mutating func raw(_ text: [UInt8]) { raw(text.span) }

  /// Writes a tree as ``JSONValue/parse(_:depthMax:)`` has read it: numbers with the digits of their text, members in
  /// their order. Calls itself as deep as the tree is.
  public mutating func value(_ tree: JSONValue) {
    switch tree {
    case .null: null()
    case .bool(let isTrue): bool(isTrue)
    case .number(let digits): raw(digits)
    case .string(let text): string(text)
    case .array(let elements):
      beginArray()
      for element in elements { value(element) }
      endArray()
    case .object(let members):
      beginObject()
      for member in members {
        key(bytes: member.key.span)
        value(member.value)
      }
      endObject()
    }
  }

  private mutating func literal(_ text: StaticString) {
    separate()
    bytes.append(text)
    needsComma = true
  }

  private mutating func begin(_ bracket: UInt8) {
    separate()
    bytes.append(bracket)
    needsComma = false
  }

  private mutating func end(_ bracket: UInt8) {
    bytes.append(bracket)
    needsComma = true
  }

  @inline(__always)
  private mutating func separate() {
    if needsComma { bytes.append(ASCII.comma) }
  }
}
