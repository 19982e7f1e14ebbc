/// Turns the bytes of one direction of a connection into messages (RFC 6455 section 5, RFC 7692 section 6).
///
/// A value of 64 bytes that owns no memory between messages. Input may be cut anywhere: whatever does not fill an event
/// yet is kept by the reader, so the caller's buffer is always free again after `needMore`.
public struct MessageReader: Sendable {
  /// Says which end reads: a server expects masked frames, a client unmasked ones (RFC 6455 section 5.1).
  @frozen
  public enum Role: UInt8, Sendable {
    case server
    case client
  }

  /// Says where the bytes of a payload are, unmasked.
  @frozen
  public enum Payload: Sendable {
    /// In the buffer given to `next`, valid as long as the caller leaves that alone.
    case inPlace(Range<Int>)
    case owned([UInt8])
  }

  /// Says what the bytes amounted to.
  public enum Event: Sendable {
    /// Everything in the buffer was consumed.
    case needMore
    /// A whole message; text that was not compressed is valid UTF-8, compressed text is the caller's to check.
    case message(kind: MessageKind, compressed: Bool, payload: Payload)
    case ping(Payload)
    case pong(Payload)
    /// The peer's close frame; the code is nil when it carried none. All later bytes are dropped (RFC 6455 section 5.5.1).
    case close(CloseCode?, reason: Payload)
    /// A breach of the protocol: what to close with, and what was wrong. All later bytes are dropped.
    case failed(CloseCode, StaticString)
  }

  @usableFromInline enum Phase: UInt8, Sendable {
    case header
    case payload
    case ended
  }

  /// What of the message has come so far, when it did not come in one piece.
  private var message: [UInt8] = []
  /// What of a control frame has come so far; apart from `message` because it may stand between fragments.
  private var control: [UInt8] = []
  private let messageBytesMax: UInt32
  /// Sum of the announced lengths of the message's frames.
  private var announced: UInt32 = 0
  /// Payload bytes of the frame at hand that have not come yet.
  private var remaining: UInt32 = 0
  private var key = MaskingKey(0)
  /// Beginning of a header that was cut: at most 2 bytes, 8 of extended length and 4 of masking key.
  private var header = InlineArray<14, UInt8>(repeating: 0)
  @usableFromInline var headerCount: UInt8 = 0
  private var text = UTF8Validator()
  @usableFromInline var phase = Phase.header
  private var opcode = Opcode.continuation
  private var fin = false
  @usableFromInline var kind: MessageKind?
  private var compressed = false
  private let role: Role
  private let deflate: Bool

  /// Makes a reader for one direction.
  ///
  /// A message whose frames announce more than `messageBytesMax` bytes in sum fails with 1009; a compressed message is
  /// measured compressed here, and again by the inflater. `deflate` says that permessage-deflate was negotiated.
  public init(role: Role, messageBytesMax: Int, deflate: Bool) {
    self.role = role
    self.messageBytesMax = UInt32(clamping: messageBytesMax)
    self.deflate = deflate
  }

  /// Whether a frame or a message has begun that is not complete.
  ///
  /// Inlinable, because otherwise every question from another module copies the reader.
  @inlinable
  public var isMidMessage: Bool { phase == .payload || headerCount > 0 || kind != nil }

  /// Whether a message has begun, its first header at least, that is not complete: what control frames may stand between.
  @inlinable
  public var holdsMessage: Bool { kind != nil }

  /// Reads on from `cursor`, moving it behind what was consumed, up to the next event.
  ///
  /// Unmasks in place. A message that came in one frame and wholly within the buffer is neither copied nor allocated.
  public mutating func next(in buffer: UnsafeMutableRawBufferPointer, from cursor: inout Int) -> Event {
    while true {
      switch phase {
      case .ended:
        cursor = buffer.count
        return .needMore
      case .header:
        switch readHeader(UnsafeRawBufferPointer(buffer), &cursor) {
        case .needMore: return .needMore
        case .failed(let violation): return fail(violation)
        case .header(let header): begin(header)
        }
      case .payload:
        if let event = readPayload(buffer, &cursor) { return event }
        if phase == .payload { return .needMore }
      }
    }
  }

  /// Decodes a header from the buffer, or from its kept beginning when it was cut.
  private mutating func readHeader(_ buffer: UnsafeRawBufferPointer, _ cursor: inout Int) -> FrameHeader.Step {
    let rules = FrameHeader.Rules(
      masked: role == .server, deflate: deflate, insideMessage: kind != nil,
      dataBytesLeft: messageBytesMax - announced)
    if headerCount == 0 {
      // Safe because the caller's buffer outlives this call and bytes have no other type.
      let rest = UnsafeRawBufferPointer(rebasing: buffer[cursor...]).assumingMemoryBound(to: UInt8.self)
      let step = FrameHeader.decode(rest.span, rules)
      if case .header(let header) = step { cursor += header.bytes }
      guard case .needMore = step else { return step }
    }
    while cursor < buffer.count {
      header[Int(headerCount)] = buffer[cursor]
      headerCount += 1
      cursor += 1
      let step = FrameHeader.decode(header.span.extracting(first: Int(headerCount)), rules)
      guard case .needMore = step else {
        headerCount = 0
        return step
      }
    }
    return .needMore
  }

  private mutating func begin(_ header: FrameHeader) {
    opcode = header.opcode
    fin = header.fin
    remaining = header.length
    key = header.key
    phase = .payload
    guard !opcode.isControl else { return }
    announced += header.length
    if opcode != .continuation {
      kind = opcode == .text ? .text : .binary
      compressed = header.rsv1
    }
  }

  /// Takes what the buffer holds of the frame's payload; nil when that completed nothing.
  private mutating func readPayload(_ buffer: UnsafeMutableRawBufferPointer, _ cursor: inout Int) -> Event? {
    let count = min(Int(remaining), buffer.count - cursor)
    let range = cursor..<cursor + count
    // Safe because `count` is at most what the buffer holds behind the cursor; the pointer does not outlive this call.
    let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[range])
    if role == .server { key.apply(to: piece) }
    cursor += count
    remaining -= UInt32(count)
    if remaining == 0 { phase = .header }
    return opcode.isControl
      ? takeControl(UnsafeRawBufferPointer(piece), range) : takeData(UnsafeRawBufferPointer(piece), range)
  }

  private mutating func takeData(_ piece: UnsafeRawBufferPointer, _ range: Range<Int>) -> Event? {
    let ends = remaining == 0 && fin
    if kind == .text && !compressed {
      // RFC 6455 section 8.1: text is UTF-8; checked as it comes, so that a bad byte ends the connection at once.
      guard text.accept(raw: piece), !ends || text.isComplete else {
        return fail(Violation(code: .invalidPayload, what: "text is not UTF-8 (RFC 6455 section 8.1)"))
      }
    }
    guard ends, let finished = kind else {
      message.append(contentsOf: piece)
      return nil
    }
    kind = nil
    announced = 0
    if message.isEmpty { return .message(kind: finished, compressed: compressed, payload: .inPlace(range)) }
    message.append(contentsOf: piece)
    return .message(kind: finished, compressed: compressed, payload: .owned(Self.take(&message)))
  }

  private mutating func takeControl(_ piece: UnsafeRawBufferPointer, _ range: Range<Int>) -> Event? {
    guard remaining == 0 else {
      control.append(contentsOf: piece)
      return nil
    }
    if opcode == .close { return takeClose(piece, range) }
    let payload: Payload
    if control.isEmpty {
      payload = .inPlace(range)
    } else {
      control.append(contentsOf: piece)
      payload = .owned(Self.take(&control))
    }
    return opcode == .ping ? .ping(payload) : .pong(payload)
  }

  private mutating func takeClose(_ piece: UnsafeRawBufferPointer, _ range: Range<Int>) -> Event {
    guard control.isEmpty else {
      control.append(contentsOf: piece)
      let owned = Self.take(&control)
      // Safe because the pointer is used only inside the closure.
      let (code, violation) = owned.withUnsafeBytes { Self.closeCode($0) }
      if let violation { return fail(violation) }
      end()
      return .close(code, reason: .owned(Array(owned.dropFirst(2))))
    }
    let (code, violation) = Self.closeCode(piece)
    if let violation { return fail(violation) }
    end()
    return .close(code, reason: .inPlace(min(range.lowerBound + 2, range.upperBound)..<range.upperBound))
  }

  private static func closeCode(_ body: UnsafeRawBufferPointer) -> (CloseCode?, Violation?) {
    guard !body.isEmpty else { return (nil, nil) }
    // RFC 6455 section 5.5.1: a body, if there is one, begins with a two-byte code.
    guard body.count >= 2 else { return (nil, .error("close body of one byte (RFC 6455 section 5.5.1)")) }
    let code = CloseCode(rawValue: UInt16(body[0]) << 8 | UInt16(body[1]))
    // RFC 6455 section 7.4: reserved and undefined codes never stand in a frame.
    guard code.isValidOnTheWire else {
      return (nil, .error("close code not allowed in a frame (RFC 6455 section 7.4)"))
    }
    // RFC 6455 sections 5.5.1 and 8.1: the reason is UTF-8.
    var reason = UTF8Validator()
    guard reason.accept(raw: UnsafeRawBufferPointer(rebasing: body[2...])), reason.isComplete else {
      return (nil, Violation(code: .invalidPayload, what: "close reason is not UTF-8 (RFC 6455 section 8.1)"))
    }
    return (code, nil)
  }

  private mutating func fail(_ violation: Violation) -> Event {
    end()
    return .failed(violation.code, violation.what)
  }

  private mutating func end() {
    phase = .ended
    message = []
    control = []
  }

  /// Moves an array out without a copy.
  private static func take(_ bytes: inout [UInt8]) -> [UInt8] {
    var taken: [UInt8] = []
    swap(&taken, &bytes)
    return taken
  }
}

extension MessageReader.Payload {
  /// Counts the payload's bytes.
  @inlinable
  public var count: Int {
    switch self {
    case .inPlace(let range): range.count
    case .owned(let bytes): bytes.count
    }
  }

  /// Shows the payload's bytes to `body`; `buffer` is the one that was given to `next`.
  @inlinable
  public func withSpan<R, E: Error>(
    in buffer: UnsafeMutableRawBufferPointer, _ body: (Span<UInt8>) throws(E) -> R
  ) throws(E) -> R {
    switch self {
    case .owned(let bytes): return try body(bytes.span)
    case .inPlace(let range):
      // Safe because the range was made from this buffer, which the caller keeps alive over the call.
      let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[range]).assumingMemoryBound(to: UInt8.self)
      return try body(UnsafeBufferPointer(bytes).span)
    }
  }
}
