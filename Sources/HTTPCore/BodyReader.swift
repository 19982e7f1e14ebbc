/// Gathers the body of one message, however it is cut (RFC 9112 sections 6 and 7).
public struct BodyReader: Sendable {
  /// Says what the bytes amounted to.
  public enum Event: Sendable {
    /// Everything in the buffer was consumed.
    case needMore
    /// The whole body; empty when there is none. The reader is done.
    case complete([UInt8])
    /// The status to answer before closing, and what was wrong.
    case failed(status: Int, reason: StaticString)
  }

  private enum State {
    /// So many bytes are left.
    case length(Int)
    case chunked(ChunkFraming)
    case untilClose
  }

  private let bodyBytesMax: Int
  private var body: [UInt8] = []
  private var state: State

  /// Makes a reader; a body of more than `bodyBytesMax` bytes fails with 413, as soon as its announced length is known.
  public init(_ framing: BodyFraming, bodyBytesMax: Int) {
    self.bodyBytesMax = bodyBytesMax
    switch framing {
    case .none: state = .length(0)
    case .length(let length): state = .length(length)
    case .chunked: state = .chunked(ChunkFraming())
    case .untilClose: state = .untilClose
    }
  }

  /// Reads on from `cursor`, moving it behind what was consumed; no bytes beyond the body are touched.
  public mutating func next(in buffer: Span<UInt8>, from cursor: inout Int) -> Event {
    switch state {
    case .length(let left):
      guard left <= bodyBytesMax - body.count else { return Self.tooLong }
      let count = min(left, buffer.count - cursor)
      take(buffer, count, &cursor)
      state = .length(left - count)
      return count == left ? .complete(body) : .needMore
    case .chunked(var framing):
      defer { state = .chunked(framing) }
      return readChunks(&framing, buffer, &cursor)
    case .untilClose:
      guard buffer.count - cursor <= bodyBytesMax - body.count else { return Self.tooLong }
      take(buffer, buffer.count - cursor, &cursor)
      return .needMore
    }
  }

  /// Takes out what of the body has come so far: `complete` brings the rest. The limit counts what is not taken out.
  public mutating func takePart() -> [UInt8] {
    defer { body = [] }
    return body
  }

  /// Ends the reading when the peer closed: completes a body that only this ends, else fails.
  public mutating func end() -> Event {
    if case .untilClose = state { return .complete(body) }
    return .failed(status: 400, reason: "connection closed inside the body (RFC 9112 section 8)")
  }

  private mutating func readChunks(
    _ framing: inout ChunkFraming, _ buffer: Span<UInt8>, _ cursor: inout Int
  ) -> Event {
    while true {
      switch framing.next(buffer, &cursor) {
      case .needMore: return .needMore
      case .end: return .complete(body)
      case .failed(let fault): return .failed(status: fault.status, reason: fault.reason)
      case .begin(let length):
        guard length <= UInt64(bodyBytesMax - body.count) else { return Self.tooLong }
      case .data(let count): take(buffer, count, &cursor)
      }
    }
  }

  private mutating func take(_ buffer: Span<UInt8>, _ count: Int, _ cursor: inout Int) {
    body.append(copying: buffer.extracting(cursor..<cursor + count))
    cursor += count
  }

  private static var tooLong: Event { .failed(status: 413, reason: "body too long (RFC 9110 section 15.5.14)") }
}
