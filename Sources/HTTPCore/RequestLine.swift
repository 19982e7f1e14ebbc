/// Holds where the parts of a request line stand in a head (RFC 9112 section 3).
struct RequestLine {
  let method: Range<Int>
  /// Host and port of an absolute form; nil for any other.
  let authority: Range<Int>?
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
    guard text.isURI(target) else { throw .bad("request target is not a URI (RFC 9112 section 3.2)") }
    let isOptions = text.extracting(start..<methodEnd).equals("OPTIONS")
    authority = try Self.authority(text, target)
    let pathStart = authority?.upperBound ?? target.lowerBound
    let isAsterisk = isOptions && target.count == 1 && text[pathStart] == UInt8(ascii: "*")
    guard authority != nil || text[pathStart] == UInt8(ascii: "/") || isAsterisk else {
      throw .bad("request target has no path (RFC 9112 section 3.2)")
    }
    let question = text.firstIndex(of: UInt8(ascii: "?"), in: pathStart..<target.upperBound)
    method = start..<methodEnd
    path = pathStart..<(question ?? target.upperBound)
    try Self.checkPath(text.extracting(path))
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

  /// Finds host and port in the absolute form of a target (RFC 9112 section 3.2.2); nil when it has another form.
  private static func authority(_ text: Span<UInt8>, _ target: Range<Int>) throws(Fault) -> Range<Int>? {
    guard text[target.lowerBound] != UInt8(ascii: "/") else { return nil }
    for scheme in ["http://", "https://"] as [StaticString] where target.count > scheme.utf8CodeUnitCount {
      let start = target.lowerBound + scheme.utf8CodeUnitCount
      guard text.extracting(target.lowerBound..<start).matches(scheme) else { continue }
      var end = start
      while end < target.upperBound, text[end] != UInt8(ascii: "/"), text[end] != UInt8(ascii: "?") { end += 1 }
      guard let authority = Authority(text.extracting(start..<end)) else {
        throw .bad("host of the request target is not a host and port (RFC 9110 section 4.2)")
      }
      guard authority.hostEnd > 0 else { throw .bad("request target without a host (RFC 9110 section 4.2.1)") }
      return start..<end
    }
    return nil
  }

  /// Refuses paths that a proxy in front may read as another path than this server does: a rule on the one would then
  /// not hold for the other. These are a backslash, which browsers take for a slash, an empty segment, and the segments
  /// `.` and `..`, escaped or not (RFC 3986 sections 3.3 and 6.2.2.3).
  private static func checkPath(_ path: Span<UInt8>) throws(Fault) {
    guard path.count > 1 else { return }
    var start = 1
    while start <= path.count {
      let end = path.firstIndex(of: UInt8(ascii: "/"), in: start..<path.count) ?? path.count
      if end == start && end < path.count {
        throw .bad("path with an empty segment: write / once (RFC 3986 section 3.3)")
      }
      if isDotSegment(path.extracting(start..<end)) {
        throw .bad("path with a segment . or ..: send the path that is meant (RFC 3986 section 6.2.2.3)")
      }
      start = end + 1
    }
    for index in path.indices where path[index] == UInt8(ascii: "\\") {
      throw .bad("backslash in the path: send / or %5C (RFC 3986 section 3.3)")
    }
  }

  /// Tells `.` and `..`, each dot as it is or as `%2e`.
  private static func isDotSegment(_ segment: Span<UInt8>) -> Bool {
    var dots = 0
    var index = 0
    while index < segment.count, dots < 3 {
      if segment[index] == UInt8(ascii: ".") {
        index += 1
      } else if index + 3 <= segment.count, segment.extracting(index..<index + 3).matches("%2e") {
        index += 3
      } else {
        return false
      }
      dots += 1
    }
    return dots == 1 || dots == 2
  }
}
