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
  /// Path as sent, beginning with a slash and without empty or dot segments; `*` for `OPTIONS *`.
  ///
  /// Escapes stay: a route is its own text and no other, so that a proxy's rule on the raw path holds here too. Code that
  /// takes a name out of a path decodes that segment (`PercentCoding.decode`, which cannot fail on it).
  public let path: [UInt8]
  public let query: Query
  public let headers: HeaderFields
  public let framing: BodyFraming
  /// Whether the client wants the connection to go on after the answer (RFC 9112 section 9.3).
  public let keepAlive: Bool
  /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1).
  public let expectsContinue: Bool
  private let methodRange: Range<Int>
  private let authorityRange: Range<Int>?
  private let queryRange: Range<Int>

  /// The method as sent, for the answer to those called `other`.
  public var methodName: Span<UInt8> {
    @_lifetime(borrow self) get { headers.bytes.span.extracting(methodRange) }
  }

  /// The host and port that the request is for; nil when it names none. The absolute form of a target counts more than
  /// Host (RFC 9112 section 3.2.2).
  public var authority: Span<UInt8>? {
    @_lifetime(borrow self) get {
      if let authorityRange { return headers.bytes.span.extracting(authorityRange) }
      return headers.first(.host)
    }
  }

  /// Copies `authority`; nil when there is none.
  public func copyAuthority() -> [UInt8]? {
    guard let text = authority else { return nil }
    return text.copy(0..<text.count)
  }

  /// The host of `authority` without the port; nil when there is none or it is empty.
  public var host: Span<UInt8>? {
    @_lifetime(borrow self) get {
      guard let text = authority, let parts = Authority(text), parts.hostEnd > 0 else { return nil }
      return text.extracting(0..<parts.hostEnd)
    }
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

  /// Decodes a whole head, in which the scanner found no bare CR or LF and no control character.
  init(_ bytes: [UInt8], _ limits: HeadLimits) throws(Fault) {
    let text = bytes.span
    var start = 0
    // RFC 9112 section 2.2: empty lines before the request line are ignored.
    while text[start] == ASCII.cr { start += 2 }
    let line = try RequestLine(text, from: start, targetBytesMax: limits.targetBytesMax)
    let headers = try HeaderFields(head: bytes, from: line.end, headersMax: limits.headersMax)
    guard PercentCoding.isWellFormed(text.extracting(line.path)) else {
      throw .bad("invalid escape in the path (RFC 3986 section 2.1)")
    }
    // A header that holds one value stands once (RFC 9110 section 5.3).
    if headers.repeatsSingle {
      throw .bad("a header that may stand once is repeated: Host, Origin, Authorization … (RFC 9110 section 5.3)")
    }
    try Self.checkHost(headers, line.versionMinor)
    method = Method(text.extracting(line.method))
    versionMinor = line.versionMinor
    path = line.path.isEmpty ? [UInt8(ascii: "/")] : text.copy(line.path)
    query = Query(in: bytes, line.query)
    framing = try BodyFraming(request: headers, versionMinor: line.versionMinor)
    // RFC 9112 section 9.3.
    keepAlive =
      !headers.contains(.connection, token: "close")
      && (line.versionMinor > 0 || headers.contains(.connection, token: "keep-alive"))
    // RFC 9110 section 10.1.1: ignored from HTTP/1.0.
    expectsContinue = line.versionMinor > 0 && headers.contains(.expect, token: "100-continue")
    self.headers = headers
    methodRange = line.method
    authorityRange = line.authority
    queryRange = line.query
  }

  /// RFC 9112 section 3.2: a Host in HTTP/1.1, and nothing in it that is no host and port.
  private static func checkHost(_ headers: HeaderFields, _ versionMinor: Int) throws(Fault) {
    guard let host = headers.first(.host) else {
      if versionMinor > 0 { throw .bad("Host is missing (RFC 9112 section 3.2)") }
      return
    }
    guard Authority(host) != nil else { throw .bad("Host is not a host and port (RFC 9112 section 3.2)") }
  }
}
