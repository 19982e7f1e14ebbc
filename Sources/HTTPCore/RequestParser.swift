/// Turns the bytes of a connection into request heads (RFC 9112), however they are cut.
///
/// Owns memory only while a head is incomplete. After a head the body must be read by a `BodyReader` before the next
/// call; after a failure the connection has to be closed, because nobody knows where the next request begins.
public struct RequestParser: Sendable {
  /// Says what the bytes amounted to.
  public enum Event: Sendable {
    /// Everything in the buffer was consumed.
    case needMore
    case request(RequestHead)
    /// The status to answer before closing, and what was wrong.
    case failed(status: Int, reason: StaticString)
  }

  private let limits: HeadLimits
  private var scanner: HeadScanner
  private var partial: [UInt8] = []

  public init(limits: HeadLimits = HeadLimits()) {
    self.limits = limits
    scanner = HeadScanner(bytesMax: limits.headBytesMax, skipsLeadingLines: true)
  }

  /// Whether no part of a head has come: the connection is idle between requests.
  public var isIdle: Bool { partial.isEmpty }

  /// Reads on from `cursor`, moving it behind what was consumed, up to the next event.
  public mutating func next(in buffer: Span<UInt8>, from cursor: inout Int) -> Event {
    let start = cursor
    switch scanner.scan(buffer, from: start) {
    case .needMore:
      cursor = buffer.count
      partial.append(copying: buffer.extracting(start..<buffer.count))
      return .needMore
    case .failed(let fault):
      cursor = buffer.count
      partial = []
      return .failed(status: fault.status, reason: fault.reason)
    case .end(let end):
      cursor = end
      scanner = HeadScanner(bytesMax: limits.headBytesMax, skipsLeadingLines: true)
      var head: [UInt8]
      if partial.isEmpty {
        head = buffer.copy(start..<end)
      } else {
        head = []
        swap(&head, &partial)
        head.append(copying: buffer.extracting(start..<end))
      }
      do throws(Fault) {
        return .request(try RequestHead(head, limits))
      } catch {
        return .failed(status: error.status, reason: error.reason)
      }
    }
  }
}
