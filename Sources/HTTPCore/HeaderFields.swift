/// Holds the header section of a message and the bytes it stands in (RFC 9110 section 5).
public struct HeaderFields: Sendable {
  private struct Field: Sendable {
    let name: Range<UInt32>
    let value: Range<UInt32>
  }

  /// The whole head, its first line included.
  let bytes: [UInt8]
  private var fields: [Field] = []

  /// Reads header lines from `start` to the empty line; every line of `head` is known to end with CR LF.
  init(head: [UInt8], from start: Int, headersMax: Int) throws(Fault) {
    bytes = head
    // What a browser sends with a handshake: growing step by step would copy the list four times.
    fields.reserveCapacity(16)
    let text = head.span
    var lineStart = start
    while let lineEnd = text.firstIndex(of: ASCII.cr, in: lineStart..<text.count), lineEnd > lineStart {
      guard fields.count < headersMax else {
        throw Fault(status: 431, reason: "too many header lines (RFC 6585 section 5)")
      }
      guard let colon = text.firstIndex(of: ASCII.colon, in: lineStart..<lineEnd), colon > lineStart else {
        throw .bad("header line without a name (RFC 9112 section 5)")
      }
      // A space is no token byte, so this also refuses space before the colon (RFC 9112 section 5.1) and a line that
      // continues the last one (RFC 9112 section 5.2).
      for index in lineStart..<colon where !ASCII.isToken(text[index]) {
        throw .bad("header name is not a token (RFC 9112 section 5.1)")
      }
      let value = text.trimmed(colon + 1..<lineEnd)
      fields.append(
        Field(
          name: UInt32(lineStart)..<UInt32(colon),
          value: UInt32(value.lowerBound)..<UInt32(value.upperBound)))
      lineStart = lineEnd + 2
    }
  }

  /// Counts the header lines.
  public var count: Int { fields.count }

  /// Gives the value of the first line of this name, letters in either case; nil when there is none.
  @_lifetime(borrow self)
  public func first(_ name: StaticString) -> Span<UInt8>? {
    guard let field = fields.first(where: { isNamed(name, $0) }) else { return nil }
    return bytes.span.extracting(Int(field.value.lowerBound)..<Int(field.value.upperBound))
  }

  /// Joins the values of all lines of this name with `, ` (RFC 9110 section 5.3); nil when there is none.
  public func combined(_ name: StaticString) -> [UInt8]? {
    var joined: [UInt8]?
    for field in fields where isNamed(name, field) {
      let value = Int(field.value.lowerBound)..<Int(field.value.upperBound)
      if joined == nil {
        joined = bytes.span.copy(value)
      } else {
        joined?.append(literal: ", ")
        joined?.append(contentsOf: bytes[value])
      }
    }
    return joined
  }

  /// Shows the value of each line of this name to `body`, in their order.
  func forEach(_ name: StaticString, _ body: (Span<UInt8>) -> Void) {
    let text = bytes.span
    for field in fields where isNamed(name, field) {
      body(text.extracting(Int(field.value.lowerBound)..<Int(field.value.upperBound)))
    }
  }

  /// Counts the lines of this name.
  public func count(of name: StaticString) -> Int {
    fields.reduce(0) { isNamed(name, $1) ? $0 + 1 : $0 }
  }

  /// Looks for a token, letters in either case, in the comma-separated lists of all lines of this name.
  public func contains(_ name: StaticString, token: StaticString) -> Bool {
    let text = bytes.span
    for field in fields where isNamed(name, field) {
      var start = Int(field.value.lowerBound)
      let lineEnd = Int(field.value.upperBound)
      while start <= lineEnd {
        let end = text.firstIndex(of: ASCII.comma, in: start..<lineEnd) ?? lineEnd
        if text.extracting(text.trimmed(start..<end)).matches(token) { return true }
        start = end + 1
      }
    }
    return false
  }

  private func isNamed(_ name: StaticString, _ field: Field) -> Bool {
    bytes.span.extracting(Int(field.name.lowerBound)..<Int(field.name.upperBound)).matches(name)
  }
}
