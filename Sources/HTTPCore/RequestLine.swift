/// Holds where the parts of a request line stand in a head (RFC 9112 section 3).
struct RequestLine {
  let method: Range<Int>
  /// Empty for an absolute form without a path, which means `/`.
  let path: Range<Int>
  let query: Range<Int>
  let versionMinor: Int
  /// Index behind the line's CR LF.
  let end: Int

  init(_ text: Span<UInt8>, from start: Int, targetBytesMax: Int) throws(Fault) {
    // Always found: the scanner saw a line that ends here.
    let lineEnd = text.firstIndex(of: ASCII.cr, in: start..<text.count) ?? text.count
    guard let methodEnd = text.firstIndex(of: ASCII.space, in: start..<lineEnd), methodEnd > start else {
      throw .bad("request line without a method (RFC 9112 section 3)")
    }
    for index in start..<methodEnd where !ASCII.isToken(text[index]) {
      throw .bad("method is not a token (RFC 9112 section 3.1)")
    }
    // RFC 9112 section 3: exactly one space each; a second one would make the version begin with a space.
    guard let targetEnd = text.firstIndex(of: ASCII.space, in: methodEnd + 1..<lineEnd), targetEnd > methodEnd + 1
    else {
      throw .bad("request line without a target or version (RFC 9112 section 3)")
    }
    versionMinor = try Self.version(text.extracting(targetEnd + 1..<lineEnd))
    let target = methodEnd + 1..<targetEnd
    guard target.count <= targetBytesMax else {
      throw Fault(status: 431, reason: "request target too long (RFC 9112 section 3)")
    }
    for index in target where text[index] <= 0x20 || text[index] >= 0x7F || text[index] == UInt8(ascii: "#") {
      throw .bad("request target is not a URI (RFC 9112 section 3.2)")
    }
    let isOptions = text.extracting(start..<methodEnd).equals("OPTIONS")
    let pathStart = try Self.pathStart(text, target, isOptions: isOptions)
    let question = text.firstIndex(of: UInt8(ascii: "?"), in: pathStart..<target.upperBound)
    method = start..<methodEnd
    path = pathStart..<(question ?? target.upperBound)
    query = min((question ?? target.upperBound) + 1, target.upperBound)..<target.upperBound
    end = lineEnd + 2
  }

  /// Gives the minor version (RFC 9112 section 2.3); 505 for another major one (RFC 9110 section 15.6.6).
  private static func version(_ text: Span<UInt8>) throws(Fault) -> Int {
    guard text.count == 8, text.extracting(0..<5).equals("HTTP/"), ASCII.isDigit(text[5]),
      text[6] == UInt8(ascii: "."), ASCII.isDigit(text[7])
    else { throw .bad("malformed HTTP version (RFC 9112 section 2.3)") }
    guard text[5] == UInt8(ascii: "1") else {
      throw Fault(status: 505, reason: "HTTP version not spoken here (RFC 9110 section 15.6.6)")
    }
    return text[7] == UInt8(ascii: "0") ? 0 : 1
  }

  /// Finds the path in any form of target but the one of CONNECT (RFC 9112 section 3.2).
  private static func pathStart(_ text: Span<UInt8>, _ target: Range<Int>, isOptions: Bool) throws(Fault) -> Int {
    let start = target.lowerBound
    if text[start] == UInt8(ascii: "/") { return start }
    if isOptions && target.count == 1 && text[start] == UInt8(ascii: "*") { return start }
    for scheme in ["http://", "https://"] as [StaticString] where target.count > scheme.utf8CodeUnitCount {
      let authority = start + scheme.utf8CodeUnitCount
      guard text.extracting(start..<authority).matches(scheme) else { continue }
      for index in authority..<target.upperBound
      where text[index] == UInt8(ascii: "/") || text[index] == UInt8(ascii: "?") {
        return index
      }
      return target.upperBound
    }
    throw .bad("request target has no path (RFC 9112 section 3.2)")
  }
}
