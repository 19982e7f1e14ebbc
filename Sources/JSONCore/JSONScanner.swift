/// Checks a JSON text against RFC 8259 in one pass and hands out the members of its top-level object.
///
/// Allocates nothing and never recurses; nesting is limited to ``depthMax``. The text must be valid UTF-8 already
/// (see ``isValidUTF8(_:)``): a byte above 0x7F inside a string is taken as it is. All offsets count bytes from
/// the start of the text.
public struct JSONScanner: ~Escapable {
  /// The deepest nesting accepted, the outermost value included; deeper text fails with ``JSONError/Reason/tooDeep``.
  public static let depthMax = 512

  let text: Span<UInt8>
  var position = 0
  var progress = Progress.beforeContainer
  /// How many containers are taken to be open around the text.
  let outerDepth: Int

  enum Progress {
    case beforeContainer
    case afterItem
    case finished
  }

  /// Starts at the first byte of `text`.
  @_lifetime(copy text)
  public init(_ text: Span<UInt8>) {
    self.init(text, outerDepth: 0)
  }

  /// Starts at the first byte of a text that will stand inside `outerDepth` containers: it may nest that much less.
  @_lifetime(copy text)
  public init(_ text: Span<UInt8>, outerDepth: Int) {
    self.text = text
    self.outerDepth = outerDepth
  }

  /// Checks that `text` is exactly one JSON value of any kind with nothing but whitespace around it (RFC 8259 section 2).
  public static func validate(_ text: Span<UInt8>) throws(JSONError) {
    var scanner = JSONScanner(text)
    scanner.skipWhitespace()
    _ = try scanner.scanValue(depth: 0)
    try scanner.finish()
  }

  /// Tells whether `bytes` are well-formed UTF-8 (RFC 3629).
  public static func isValidUTF8(_ bytes: Span<UInt8>) -> Bool {
    do {
      _ = try UTF8Span(validating: bytes)
      return true
    } catch {
      return false
    }
  }

  /// Returns the next member of an object that was found to be valid before; nil after its end.
  @_lifetime(self: copy self)
  public mutating func nextValidMember() -> JSONMember? {
    do throws(JSONError) { return try nextMember() } catch { return nil }
  }

  /// Returns the next member of the top-level object, or nil after its end.
  ///
  /// Every member is checked wholly before it is returned, and nil comes only after the rest of the text was checked too,
  /// so a caller that has seen nil knows that the text is valid. Fails with ``JSONError/Reason/expectedObject`` when the
  /// text is a value of another kind.
  @_lifetime(self: copy self)
  public mutating func nextMember() throws(JSONError) -> JSONMember? {
    switch progress {
    case .finished: return nil
    case .beforeContainer:
      skipWhitespace()
      guard try peek() == ASCII.leftBrace else { throw JSONError(.expectedObject, at: position) }
      position += 1
      skipWhitespace()
      if try peek() == ASCII.rightBrace { return try close() }
    case .afterItem:
      skipWhitespace()
      let byte = try peek()
      if byte == ASCII.rightBrace { return try close() }
      guard byte == ASCII.comma else { throw JSONError(.expectedCommaOrClose, at: position) }
      position += 1
      skipWhitespace()
    }
    let key = try scanKey()
    let start = position
    let (kind, hasEscapes) = try scanValue(depth: outerDepth + 1)
    progress = .afterItem
    return JSONMember(key: key, value: start..<position, kind: kind, valueHasEscapes: hasEscapes)
  }

  @_lifetime(self: copy self)
  private mutating func close() throws(JSONError) -> JSONMember? {
    try closeContainer()
    return nil
  }

  /// Takes the bracket that ends the top-level container, and checks what follows it.
  @_lifetime(self: copy self)
  mutating func closeContainer() throws(JSONError) {
    position += 1
    try finish()
    progress = .finished
  }

  /// Checks that nothing but whitespace follows.
  @_lifetime(self: copy self)
  mutating func finish() throws(JSONError) {
    skipWhitespace()
    guard position == text.count else { throw JSONError(.trailingBytes, at: position) }
  }
}

extension JSONScanner {
  @inline(__always)
  func peek() throws(JSONError) -> UInt8 {
    guard position < text.count else { throw JSONError(.unexpectedEnd, at: text.count) }
    return text[position]
  }

  /// Skips what RFC 8259 section 2 calls `ws`.
  @inline(__always)
  @_lifetime(self: copy self)
  mutating func skipWhitespace() {
    while position < text.count {
      let byte = text[position]
      if byte > 0x20 { return }
      guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
      position += 1
    }
  }

  /// Scans a key, its colon and the whitespace around the colon; ends at the value.
  @_lifetime(self: copy self)
  mutating func scanKey() throws(JSONError) -> JSONStringRange {
    guard try peek() == ASCII.quote else { throw JSONError(.expectedKey, at: position) }
    let start = position + 1
    let hasEscapes = try scanString()
    let contents = start..<(position - 1)
    skipWhitespace()
    guard try peek() == ASCII.colon else { throw JSONError(.expectedColon, at: position) }
    position += 1
    skipWhitespace()
    return JSONStringRange(contents: contents, hasEscapes: hasEscapes)
  }

  /// Scans one value that starts at `position`, `depth` containers being open around it.
  @_lifetime(self: copy self)
  mutating func scanValue(depth: Int) throws(JSONError) -> (kind: JSONKind, hasEscapes: Bool) {
    switch try peek() {
    case ASCII.leftBrace:
      try scanContainer(depth: depth)
      return (.object, false)
    case ASCII.leftBracket:
      try scanContainer(depth: depth)
      return (.array, false)
    default:
      return try scanScalar()
    }
  }

  @_lifetime(self: copy self)
  mutating func scanScalar() throws(JSONError) -> (kind: JSONKind, hasEscapes: Bool) {
    switch try peek() {
    case ASCII.quote:
      return (.string, try scanString())
    case ASCII.minus, ASCII.zero...ASCII.nine:
      try scanNumber()
      return (.number, false)
    case UInt8(ascii: "t"):
      try scanLiteral("true")
      return (.true, false)
    case UInt8(ascii: "f"):
      try scanLiteral("false")
      return (.false, false)
    case UInt8(ascii: "n"):
      try scanLiteral("null")
      return (.null, false)
    default:
      throw JSONError(.expectedValue, at: position)
    }
  }

  /// Scans an object or array with all that it contains, keeping one bit for each open container.
  @_lifetime(self: copy self)
  private mutating func scanContainer(depth: Int) throws(JSONError) {
    var open = NestingStack(outerDepth: depth)
    try open.push(isObject: text[position] == ASCII.leftBrace, at: position)
    position += 1
    var isFirst = true
    while true {
      skipWhitespace()
      let isObject = open.topIsObject
      let byte = try peek()
      if byte == (isObject ? ASCII.rightBrace : ASCII.rightBracket) {
        position += 1
        open.pop()
        if open.isEmpty { return }
        isFirst = false
        continue
      }
      if !isFirst {
        guard byte == ASCII.comma else { throw JSONError(.expectedCommaOrClose, at: position) }
        position += 1
        skipWhitespace()
      }
      if isObject { _ = try scanKey() }
      let start = try peek()
      if start == ASCII.leftBrace || start == ASCII.leftBracket {
        try open.push(isObject: start == ASCII.leftBrace, at: position)
        position += 1
        isFirst = true
      } else {
        _ = try scanScalar()
        isFirst = false
      }
    }
  }
}

/// Remembers for each open container whether it is an object, one bit a level.
///
/// The innermost 64 levels are the bits of one word, innermost lowest; words of levels further out wait in an array.
private struct NestingStack {
  private var word: UInt64 = 0
  private var outerWords = InlineArray<8, UInt64>(repeating: 0)
  private var depth = 0
  private let depthMax: Int

  init(outerDepth: Int) {
    depthMax = JSONScanner.depthMax - outerDepth
  }

  var isEmpty: Bool {
    @inline(__always) get { depth == 0 }
  }

  var topIsObject: Bool {
    @inline(__always) get { word & 1 == 1 }
  }

  @inline(__always)
  mutating func push(isObject: Bool, at offset: Int) throws(JSONError) {
    guard depth < depthMax else { throw JSONError(.tooDeep, at: offset) }
    if depth & 63 == 0 { outerWords[depth >> 6] = word }
    word = word << 1 | (isObject ? 1 : 0)
    depth += 1
  }

  @inline(__always)
  mutating func pop() {
    depth -= 1
    word = depth & 63 == 0 ? outerWords[depth >> 6] : word >> 1
  }
}
