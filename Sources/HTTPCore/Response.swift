/// Says what a response tells about the connection (RFC 9112 section 9).
@frozen
public enum ConnectionOption: Sendable {
  /// Says nothing: an HTTP/1.1 connection goes on by itself.
  case implied
  /// Says `keep-alive`, which an HTTP/1.0 client waits for.
  case keepAlive
  case close

  /// Chooses what to answer to a request, when the server has no reason of its own to close.
  @inlinable
  public init(answering request: RequestHead) {
    self = !request.keepAlive ? .close : request.versionMinor == 0 ? .keepAlive : .implied
  }
}

/// Builds a response; encoding adds the framing (RFC 9112 sections 4 and 6).
///
/// Date is the caller's to add, because pure code has no clock (RFC 9110 section 6.6.1).
public struct Response: Sendable {
  public var status: Int
  public var body: [UInt8]
  private let endsWithConnection: Bool
  /// Header lines, encoded.
  private var lines: [UInt8] = []

  /// Makes a response with a body of known length.
  public init(status: Int, contentType: StaticString? = nil, body: [UInt8] = []) {
    self.init(status: status, contentType, body, endsWithConnection: false)
  }

  private init(status: Int, _ contentType: StaticString?, _ body: [UInt8], endsWithConnection: Bool) {
    self.status = status
    self.body = body
    self.endsWithConnection = endsWithConnection
    if let contentType { addHeader("Content-Type", contentType) }
  }

  /// Makes a response whose body follows piece by piece and ends with the connection (RFC 9112 section 6.3, 8).
  public static func stream(status: Int = 200, contentType: StaticString) -> Response {
    Response(status: status, contentType, [], endsWithConnection: true)
  }

  /// Makes a JSON response from encoded JSON.
  public static func json(status: Int = 200, _ body: [UInt8]) -> Response {
    Response(status: status, contentType: "application/json", body: body)
  }

  /// Makes a plain text response.
  public static func text(status: Int = 200, _ body: [UInt8]) -> Response {
    Response(status: status, contentType: "text/plain; charset=utf-8", body: body)
  }

  /// Makes a plain text response from a literal.
  public static func text(status: Int = 200, _ body: StaticString) -> Response {
    text(status: status, body.withUTF8Buffer { Array($0) })
  }

  /// Makes an HTML response.
  public static func html(status: Int = 200, _ body: [UInt8]) -> Response {
    Response(status: status, contentType: "text/html; charset=utf-8", body: body)
  }

  /// Adds a header line; Content-Length and Connection are not for the caller.
  public mutating func addHeader(_ name: StaticString, _ value: StaticString) {
    value.withUTF8Buffer { addHeader(name, $0.span) }
  }

  /// Adds a header line whose value came from elsewhere.
  ///
  /// A control character in it, which would let a stranger add lines of its own, is a programming error in a debug build
  /// and left out in a release build (RFC 9110 section 5.5).
  public mutating func addHeader(_ name: StaticString, _ value: Span<UInt8>) {
    lines.append(literal: name)
    lines.append(literal: ": ")
    for index in value.indices {
      let isControl = ASCII.isControl(value[index])
      assert(!isControl, "control character in a header value (RFC 9110 section 5.5)")
      if !isControl { lines.append(value[index]) }
    }
    lines.append(literal: "\r\n")
  }

  /// Forbids caches to keep the response (RFC 9111 section 5.2.2.5).
  public mutating func forbidStoring() { addHeader("Cache-Control", "no-store") }

  /// Writes the response behind whatever `out` holds; the body is left out for a HEAD (RFC 9110 section 9.3.2).
  public func append(to out: inout [UInt8], answering method: Method = .get, connection: ConnectionOption = .implied) {
    appendHead(to: &out, connection: connection)
    out.append(contentsOf: content(answering: method))
  }

  /// RFC 9110 sections 8.6, 15.2, 15.3.5 and 15.4.5: these have no body, and of them only a 304 might tell a length.
  private var hasBody: Bool { status >= 200 && status != 204 && status != 304 }

  /// What follows the head: the body as it is, which is not copied by being handed on; empty where there is none.
  public func content(answering method: Method) -> [UInt8] { hasBody && method != .head ? body : [] }

  /// Writes the head behind whatever `out` holds.
  public func appendHead(to out: inout [UInt8], connection: ConnectionOption) {
    out.append(literal: "HTTP/1.1 ")
    out.append(decimal: status)
    out.append(ASCII.space)
    out.append(literal: Self.reasonPhrase(status))
    out.append(literal: "\r\n")
    out.append(contentsOf: lines)
    if hasBody && !endsWithConnection {
      out.append(literal: "Content-Length: ")
      out.append(decimal: body.count)
      out.append(literal: "\r\n")
    }
    if connection == .close || endsWithConnection {
      out.append(literal: "Connection: close\r\n")
    } else if connection == .keepAlive {
      out.append(literal: "Connection: keep-alive\r\n")
    }
    out.append(literal: "\r\n")
  }

  /// Asks a client that waits for it to send its body (RFC 9110 section 15.2.1).
  public static func appendContinue(to out: inout [UInt8]) { out.append(literal: "HTTP/1.1 100 Continue\r\n\r\n") }
}
