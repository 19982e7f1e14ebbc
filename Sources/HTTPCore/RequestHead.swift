/// Names the methods the server tells apart (RFC 9110 section 9, RFC 5789); `other` is any further token.
@frozen
public enum Method: Sendable {
  case get, head, post, put, delete, options, patch, other

  /// Methods are case-sensitive (RFC 9110 section 9.1).
  init(_ name: Span<UInt8>) {
    if name.equals("GET") {
      self = .get
    } else if name.equals("POST") {
      self = .post
    } else if name.equals("HEAD") {
      self = .head
    } else if name.equals("OPTIONS") {
      self = .options
    } else if name.equals("PUT") {
      self = .put
    } else if name.equals("DELETE") {
      self = .delete
    } else if name.equals("PATCH") {
      self = .patch
    } else {
      self = .other
    }
  }
}

/// Holds a request's line and headers, checked and decoded (RFC 9112 sections 3 and 5). Owns its bytes.
public struct RequestHead: Sendable {
  public let method: Method
  /// 0 or 1; a higher minor version counts as 1 (RFC 9110 section 2.5).
  public let versionMinor: Int
  /// Path with its escapes decoded: any bytes, beginning with a slash; `*` for `OPTIONS *`.
  public let path: [UInt8]
  public let query: Query
  public let headers: HeaderFields
  public let framing: BodyFraming
  /// Whether the client wants the connection to go on after the answer (RFC 9112 section 9.3).
  public let keepAlive: Bool
  /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1).
  public let expectsContinue: Bool
  private let methodRange: Range<Int>
  private let pathRange: Range<Int>
  private let queryRange: Range<Int>

  /// The method as sent, for the answer to those called `other`.
  public var methodName: Span<UInt8> {
    @_lifetime(borrow self) get { headers.bytes.span.extracting(methodRange) }
  }

  /// The path as sent, without the query: for routes whose segments may hold an escaped slash.
  public var rawPath: Span<UInt8> {
    @_lifetime(borrow self) get { headers.bytes.span.extracting(pathRange) }
  }

  /// The query as sent, without the question mark; empty when there is none.
  public var rawQuery: Span<UInt8> {
    @_lifetime(borrow self) get { headers.bytes.span.extracting(queryRange) }
  }

  /// Announced length of the body; nil when chunked, 0 when there is no body.
  public var contentLength: Int? {
    switch framing {
    case .length(let length): length
    case .none: 0
    case .chunked, .untilClose: nil
    }
  }

  /// Whether the body comes in chunks (RFC 9112 section 7.1).
  public var isChunked: Bool { framing == .chunked }

  /// Gives the value of the first header line of this name, letters in either case.
  @_lifetime(borrow self)
  public func header(_ name: StaticString) -> Span<UInt8>? { headers.first(name) }

  /// Joins all header lines of this name with `, ` (RFC 9110 section 5.3).
  public func headerList(_ name: StaticString) -> [UInt8]? { headers.combined(name) }

  /// Decodes a whole head, in which the scanner found no bare CR or LF and no control character.
  init(_ bytes: [UInt8], _ limits: HeadLimits) throws(Fault) {
    let text = bytes.span
    var start = 0
    // RFC 9112 section 2.2: empty lines before the request line are ignored.
    while text[start] == ASCII.cr { start += 2 }
    let line = try RequestLine(text, from: start, targetBytesMax: limits.targetBytesMax)
    let headers = try HeaderFields(head: bytes, from: line.end, headersMax: limits.headersMax)
    guard let path = line.path.isEmpty ? [UInt8(ascii: "/")] : PercentCoding.decode(text.extracting(line.path)) else {
      throw .bad("invalid escape in the path (RFC 3986 section 2.1)")
    }
    guard let query = Query(text.extracting(line.query)) else {
      throw .bad("invalid escape in the query (RFC 3986 section 2.1)")
    }
    try Self.checkHost(headers, line.versionMinor)
    method = Method(text.extracting(line.method))
    versionMinor = line.versionMinor
    self.path = path
    self.query = query
    framing = try BodyFraming(request: headers, versionMinor: line.versionMinor)
    // RFC 9112 section 9.3.
    keepAlive =
      !headers.contains("Connection", token: "close")
      && (line.versionMinor > 0 || headers.contains("Connection", token: "keep-alive"))
    // RFC 9110 section 10.1.1: ignored from HTTP/1.0.
    expectsContinue = line.versionMinor > 0 && headers.contains("Expect", token: "100-continue")
    self.headers = headers
    methodRange = line.method
    pathRange = line.path
    queryRange = line.query
  }

  /// RFC 9112 section 3.2: one Host in HTTP/1.1, never two, and nothing in it that is no host and port.
  private static func checkHost(_ headers: HeaderFields, _ versionMinor: Int) throws(Fault) {
    let count = headers.count(of: "Host")
    if count > 1 { throw .bad("more than one Host (RFC 9112 section 3.2)") }
    guard let host = headers.first("Host") else {
      if versionMinor > 0 { throw .bad("Host is missing (RFC 9112 section 3.2)") }
      return
    }
    for index in host.indices {
      switch host[index] {
      case 0x00...0x20, UInt8(ascii: "/"), UInt8(ascii: "?"), UInt8(ascii: "#"), UInt8(ascii: "@"),
        UInt8(ascii: "\\"), UInt8(ascii: ","), 0x7F...0xFF:
        throw .bad("Host is not a host and port (RFC 9112 section 3.2)")
      default: continue
      }
    }
  }
}
