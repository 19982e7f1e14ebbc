/// Holds the header section of a message and the bytes it stands in (RFC 9110 section 5).
public struct HeaderFields: Sendable {
  private struct Field: Sendable {
    let name: Range<UInt32>
    let value: Range<UInt32>
    let known: KnownHeader
  }

  /// The whole head, its first line included.
  let bytes: [UInt8]
  private var fields: [Field] = []
  /// The known headers that stand here, a bit each.
  private var present: UInt32 = 0
  /// Whether a known header that may stand once in a request is repeated.
  private(set) var repeatsSingle = false

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
      // A space is no token byte, so this also refuses space before the colon (RFC 9112 section 5.1) and a line that
      // continues the last one (RFC 9112 section 5.2).
      var colon = lineStart
      while colon < lineEnd, ASCII.isToken(text[colon]) { colon += 1 }
      guard colon < lineEnd, text[colon] == ASCII.colon, colon > lineStart else {
        throw Self.faultOfName(text.extracting(lineStart..<lineEnd))
      }
      let value = text.trimmed(colon + 1..<lineEnd)
      let known = KnownHeader(text.extracting(lineStart..<colon))
      if known.isSingle, present & known.bit != 0 { repeatsSingle = true }
      present |= known.bit
      fields.append(
        Field(
          name: UInt32(lineStart)..<UInt32(colon),
          value: UInt32(value.lowerBound)..<UInt32(value.upperBound), known: known))
      lineStart = lineEnd + 2
    }
  }

  /// Says what is wrong with a line that does not begin with a name and a colon.
  private static func faultOfName(_ line: Span<UInt8>) -> Fault {
    guard let colon = line.firstIndex(of: ASCII.colon, in: 0..<line.count), colon > 0 else {
      return .bad("header line without a name (RFC 9112 section 5)")
    }
    return .bad("header name is not a token (RFC 9112 section 5.1)")
  }

  /// Counts the header lines.
  public var count: Int { fields.count }

  // MARK: By name, for headers that nobody here reads in requests

  /// Gives the value of the first line of this name, letters in either case; nil when there is none.
  @_lifetime(borrow self)
  public func first(_ name: StaticString) -> Span<UInt8>? {
    guard let field = fields.first(where: { isNamed(name, $0) }) else { return nil }
    return bytes.span.extracting(range(field))
  }

  /// Joins the values of all lines of this name with `, ` (RFC 9110 section 5.3); nil when there is none.
  public func combined(_ name: StaticString) -> [UInt8]? { joined { isNamed(name, $0) } }

  /// Looks for a token, letters in either case, in the comma-separated lists of all lines of this name.
  public func contains(_ name: StaticString, token: StaticString) -> Bool {
    fields.contains { isNamed(name, $0) && isListed(token, in: $0) }
  }

  /// Joins the values of all lines of a name that an operator chose, letters in either case: with `; ` those of Cookie (RFC
  /// 9113 section 8.2.3), with `, ` all others; nil when there is none.
  public func combined(named name: [UInt8]) -> [UInt8]? {
    let text = bytes.span
    let isCookie = KnownHeader(name.span) == .cookie
    var joined: [UInt8]?
    for field in fields where text.extracting(place(field)).matchesName(name) {
      if joined != nil { joined?.append(literal: isCookie ? "; " : ", ") }
      joined = (joined ?? []) + bytes[range(field)]
    }
    return joined
  }

  /// Whether there is a line of a name that an operator chose, letters in either case.
  public func has(_ name: [UInt8]) -> Bool {
    fields.contains { bytes.span.extracting(place($0)).matchesName(name) }
  }

  // MARK: Known headers

  /// Gives the value of a header's first line; nil when there is none.
  @_lifetime(borrow self)
  func first(_ header: KnownHeader) -> Span<UInt8>? {
    guard has(header), let field = fields.first(where: { $0.known == header }) else { return nil }
    return bytes.span.extracting(range(field))
  }

  /// Joins the values of all lines of a header with `, ` (RFC 9110 section 5.3); nil when there is none.
  func combined(_ header: KnownHeader) -> [UInt8]? { has(header) ? joined { $0.known == header } : nil }

  /// Looks for a token, letters in either case, in the comma-separated lists of all lines of a header.
  func contains(_ header: KnownHeader, token: StaticString) -> Bool {
    has(header) && fields.contains { $0.known == header && isListed(token, in: $0) }
  }

  /// Shows the value of each line of a header to `body`, in their order.
  func forEach(_ header: KnownHeader, _ body: (Span<UInt8>) -> Void) {
    guard has(header) else { return }
    let text = bytes.span
    for field in fields where field.known == header { body(text.extracting(range(field))) }
  }

  private func has(_ header: KnownHeader) -> Bool { present & header.bit != 0 }

  // MARK: Fields

  private func joined(_ isWanted: (Field) -> Bool) -> [UInt8]? {
    var joined: [UInt8]?
    for field in fields where isWanted(field) {
      if joined == nil {
        joined = bytes.span.copy(range(field))
      } else {
        joined?.append(literal: ", ")
        joined?.append(contentsOf: bytes[range(field)])
      }
    }
    return joined
  }

  private func isListed(_ token: StaticString, in field: Field) -> Bool {
    let text = bytes.span
    var start = Int(field.value.lowerBound)
    let lineEnd = Int(field.value.upperBound)
    while start <= lineEnd {
      let end = text.firstIndex(of: ASCII.comma, in: start..<lineEnd) ?? lineEnd
      if text.extracting(text.trimmed(start..<end)).matches(token) { return true }
      start = end + 1
    }
    return false
  }

  private func range(_ field: Field) -> Range<Int> { Int(field.value.lowerBound)..<Int(field.value.upperBound) }

  private func place(_ field: Field) -> Range<Int> { Int(field.name.lowerBound)..<Int(field.name.upperBound) }

  private func isNamed(_ name: StaticString, _ field: Field) -> Bool {
    bytes.span.extracting(place(field)).matches(name)
  }
}
