/// Says where a message's body ends (RFC 9112 section 6.3).
public enum BodyFraming: Equatable, Sendable {
  case none
  /// So many bytes; 0 when Content-Length says so.
  case length(Int)
  case chunked
  /// A response's body that only the end of the connection ends.
  case untilClose

  /// Reads a request's framing; nothing that two readers could understand differently is let through.
  init(request headers: HeaderFields, versionMinor: Int) throws(Fault) {
    let length = try Self.contentLength(headers)
    guard let coding = headers.combined(.transferEncoding) else {
      self = length.map(BodyFraming.length) ?? .none
      return
    }
    // RFC 9112 section 6.1: with both, someone in between may have read the other one; HTTP/1.0 knows no codings.
    if length != nil { throw .bad("both Transfer-Encoding and Content-Length (RFC 9112 section 6.1)") }
    if versionMinor == 0 { throw .bad("Transfer-Encoding in HTTP/1.0 (RFC 9112 section 6.1)") }
    // RFC 9112 section 6.1: a coding the server does not understand is answered with 501.
    guard coding.span.matches("chunked") else {
      throw Fault(status: 501, reason: "transfer coding other than chunked (RFC 9112 section 6.1)")
    }
    self = .chunked
  }

  /// Reads a response's framing; `answersHead` says that the request was a HEAD.
  init(response headers: HeaderFields, status: Int, answersHead: Bool) throws(Fault) {
    let length = try Self.contentLength(headers)
    if answersHead || status < 200 || status == 204 || status == 304 {
      self = .none
    } else if let coding = headers.combined(.transferEncoding) {
      guard coding.span.matches("chunked"), length == nil else {
        throw .bad("body framing not understood (RFC 9112 section 6.3)")
      }
      self = .chunked
    } else {
      self = length.map(BodyFraming.length) ?? .untilClose
    }
  }

  /// Reads Content-Length; the same value repeated counts as one (RFC 9112 section 6.3).
  private static func contentLength(_ headers: HeaderFields) throws(Fault) -> Int? {
    guard let value = headers.combined(.contentLength) else { return nil }
    let text = value.span
    var length: Int?
    var start = 0
    while start <= text.count {
      let end = text.firstIndex(of: ASCII.comma, in: start..<text.count) ?? text.count
      let number = try decimal(text.extracting(text.trimmed(start..<end)))
      if let length, length != number { throw .bad("Content-Length contradicts itself (RFC 9112 section 6.3)") }
      length = number
      start = end + 1
    }
    return length
  }

  private static func decimal(_ digits: Span<UInt8>) throws(Fault) -> Int {
    guard !digits.isEmpty else { throw .bad("Content-Length is not a number (RFC 9110 section 8.6)") }
    var number = 0
    for index in digits.indices {
      guard ASCII.isDigit(digits[index]) else { throw .bad("Content-Length is not a number (RFC 9110 section 8.6)") }
      let (tens, overflow) = number.multipliedReportingOverflow(by: 10)
      let (sum, carry) = tens.addingReportingOverflow(Int(digits[index] - 0x30))
      if overflow || carry {
        throw Fault(status: 413, reason: "Content-Length beyond any limit (RFC 9110 section 8.6)")
      }
      number = sum
    }
    return number
  }
}
