/// Holds a response as a client received it.
public struct ReceivedResponse: Sendable {
  public let status: Int
  public let headers: HeaderFields
  public let body: [UInt8]
}

/// Turns the bytes a server sent into responses, however they are cut (RFC 9112 sections 4 and 6).
public struct ResponseParser: Sendable {
  /// Says what the bytes amounted to.
  public enum Event: Sendable {
    /// Everything in the buffer was consumed.
    case needMore
    /// A final response; interim ones (1xx) are skipped, but for 101, behind which another protocol begins.
    case response(ReceivedResponse)
    case failed(reason: StaticString)
  }

  private let limits: HeadLimits
  private let bodyBytesMax: Int
  private let answersHead: Bool
  private var scanner: HeadScanner
  private var partial: [UInt8] = []
  private var status = 0
  private var headers: HeaderFields?
  private var body: BodyReader

  /// `answersHead` says that the requests are HEAD, whose answers have no body (RFC 9112 section 6.3).
  public init(bodyBytesMax: Int, limits: HeadLimits = HeadLimits(), answersHead: Bool = false) {
    self.limits = limits
    self.bodyBytesMax = bodyBytesMax
    self.answersHead = answersHead
    scanner = HeadScanner(bytesMax: limits.headBytesMax, skipsLeadingLines: true)
    body = BodyReader(.none, bodyBytesMax: bodyBytesMax)
  }

  /// Reads on from `cursor`, moving it behind what was consumed, up to the next event.
  public mutating func next(in buffer: Span<UInt8>, from cursor: inout Int) -> Event {
    do throws(Fault) {
      while true {
        if headers == nil, try !readHead(buffer, &cursor) { return .needMore }
        if headers == nil { continue }
        return try finish(body.next(in: buffer, from: &cursor))
      }
    } catch {
      return .failed(reason: error.reason)
    }
  }

  /// The status of the response whose body is being read; nil before its head is whole.
  public var receivedStatus: Int? { headers == nil ? nil : status }

  /// Takes out what of the body has come so far, for a body that is used as it comes: the response brings the rest.
  public mutating func takeBody() -> [UInt8] { body.takePart() }

  /// Ends the reading when the server closed: completes a body that only this ends.
  public mutating func end() -> Event {
    guard headers != nil else { return .failed(reason: "connection closed before a response (RFC 9112 section 8)") }
    do throws(Fault) {
      return try finish(body.end())
    } catch {
      return .failed(reason: error.reason)
    }
  }

  private mutating func finish(_ event: BodyReader.Event) throws(Fault) -> Event {
    switch event {
    case .needMore: return .needMore
    case .failed(let status, let reason): throw Fault(status: status, reason: reason)
    case .complete(let bytes):
      guard let received = headers.take() else { return .needMore }
      return .response(ReceivedResponse(status: status, headers: received, body: bytes))
    }
  }

  /// Reads one head; false when it is not whole yet. An interim head leaves `headers` nil.
  private mutating func readHead(_ buffer: Span<UInt8>, _ cursor: inout Int) throws(Fault) -> Bool {
    let start = cursor
    let step = scanner.scan(buffer, from: start)
    if case .failed(let fault) = step { throw fault }
    guard case .end(let end) = step else {
      cursor = buffer.count
      partial.append(copying: buffer.extracting(start..<buffer.count))
      return false
    }
    cursor = end
    scanner = HeadScanner(bytesMax: limits.headBytesMax, skipsLeadingLines: true)
    var head: [UInt8] = []
    swap(&head, &partial)
    head.append(copying: buffer.extracting(start..<end))
    let line = try Self.statusLine(head.span)
    let fields = try HeaderFields(head: head, from: line.end, headersMax: limits.headersMax)
    status = line.status
    // RFC 9110 section 15.2: an interim response precedes the final one.
    guard status >= 200 || status == 101 else { return true }
    headers = fields
    let framing = try BodyFraming(response: fields, status: status, answersHead: answersHead)
    body = BodyReader(framing, bodyBytesMax: bodyBytesMax)
    return true
  }

  /// Reads `HTTP/1.1 200 OK`; the phrase and the space before it may be absent (RFC 9112 section 4).
  private static func statusLine(_ text: Span<UInt8>) throws(Fault) -> (status: Int, end: Int) {
    var start = 0
    while text[start] == ASCII.cr { start += 2 }
    let lineEnd = text.firstIndex(of: ASCII.cr, in: start..<text.count) ?? text.count
    let line = text.extracting(start..<lineEnd)
    guard line.count >= 12, line.extracting(0..<7).equals("HTTP/1."), ASCII.isDigit(line[7]), line[8] == ASCII.space,
      ASCII.isDigit(line[9]), ASCII.isDigit(line[10]), ASCII.isDigit(line[11]), line[9] != 0x30,
      line.count == 12 || line[12] == ASCII.space
    else { throw .bad("malformed status line (RFC 9112 section 4)") }
    let status = Int(line[9] - 0x30) * 100 + Int(line[10] - 0x30) * 10 + Int(line[11] - 0x30)
    return (status, lineEnd + 2)
  }
}
