/// Writes frames behind whatever an array holds already (RFC 6455 section 5.2).
public enum FrameWriter {
  /// Bytes a close reason may take beside its code in a control frame (RFC 6455 section 5.5).
  public static let closeReasonBytesMax = 123

  /// Writes an unmasked header, as a server sends it; `payloadBytes` bytes must follow.
  ///
  /// `rsv1` marks the first frame of a compressed message (RFC 7692 section 6).
  @inlinable
  public static func appendHeader(
    _ opcode: Opcode, fin: Bool = true, rsv1: Bool = false, payloadBytes: Int, to out: inout [UInt8]
  ) {
    appendHeader(opcode, fin, rsv1, payloadBytes, maskBit: 0, &out)
  }

  /// Writes an unmasked frame, as a server sends it.
  @inlinable
  public static func appendFrame(
    _ opcode: Opcode, fin: Bool = true, rsv1: Bool = false, payload: Span<UInt8>, to out: inout [UInt8]
  ) {
    appendHeader(opcode, fin, rsv1, payload.count, maskBit: 0, &out)
    out.append(copying: payload)
  }

  /// Writes a masked frame, as a client sends it (RFC 6455 section 5.3).
  public static func appendMaskedFrame(
    _ opcode: Opcode, fin: Bool = true, rsv1: Bool = false, key: MaskingKey, payload: Span<UInt8>, to out: inout [UInt8]
  ) {
    appendHeader(opcode, fin, rsv1, payload.count, maskBit: 0x80, &out)
    for index in 0..<4 { out.append(UInt8(truncatingIfNeeded: key.word >> UInt32(8 * index))) }
    let start = out.count
    out.append(copying: payload)
    var key = key
    // Safe because the pointer is used only inside the closure and `start` is an index of it.
    out.withUnsafeMutableBytes { key.apply(to: UnsafeMutableRawBufferPointer(rebasing: $0[start...])) }
  }

  /// Writes an unmasked close frame; a reason over 123 bytes is cut between code points (RFC 6455 section 5.5.1).
  ///
  /// The code must be valid on the wire and the reason UTF-8. Without a code there is no reason either.
  public static func appendClose(_ code: CloseCode?, reason: Span<UInt8>, to out: inout [UInt8]) {
    appendFrame(.close, payload: closeBody(code, reason: reason).span, to: &out)
  }

  /// Writes an unmasked close frame with a reason given as a literal.
  public static func appendClose(_ code: CloseCode, reason: StaticString, to out: inout [UInt8]) {
    reason.withUTF8Buffer { appendClose(code, reason: $0.span, to: &out) }
  }

  /// Makes the body of a close frame, as `appendClose` writes it; a client masks it with `appendMaskedFrame`.
  public static func closeBody(_ code: CloseCode?, reason: Span<UInt8>) -> [UInt8] {
    guard let code else { return [] }
    precondition(code.isValidOnTheWire, "close code not allowed in a frame (RFC 6455 section 7.4)")
    var end = reason.count
    if end > closeReasonBytesMax {
      end = closeReasonBytesMax
      // A continuation byte (10xxxxxx) behind the cut means that the cut is inside a code point.
      while end > 0, reason[end] & 0xC0 == 0x80 { end -= 1 }
    }
    var body = [UInt8(code.rawValue >> 8), UInt8(code.rawValue & 0xFF)]
    body.append(copying: reason.extracting(first: end))
    return body
  }

  @inlinable
  static func appendHeader(
    _ opcode: Opcode, _ fin: Bool, _ rsv1: Bool, _ payloadBytes: Int, maskBit: UInt8, _ out: inout [UInt8]
  ) {
    out.append((fin ? 0x80 : 0) | (rsv1 ? 0x40 : 0) | opcode.rawValue)
    // RFC 6455 section 5.2: the minimal number of bytes encodes the length.
    if payloadBytes < 126 {
      out.append(maskBit | UInt8(payloadBytes))
    } else {
      let wide = payloadBytes > 0xFFFF
      out.append(maskBit | (wide ? 127 : 126))
      for shift in stride(from: wide ? 56 : 8, through: 0, by: -8) {
        out.append(UInt8(truncatingIfNeeded: payloadBytes >> shift))
      }
    }
  }
}

extension [UInt8] {
  @inlinable
  mutating func append(copying span: Span<UInt8>) {
    // Safe because the pointer is used only inside the closure, while the span is alive.
    span.withUnsafeBufferPointer { append(contentsOf: $0) }
  }
}
