/// Names a breach of the protocol: the close code to answer with, and what was wrong with its section.
struct Violation {
  let code: CloseCode
  let what: StaticString

  static func error(_ what: StaticString) -> Violation { Violation(code: .protocolError, what: what) }
}

/// Holds a decoded frame header that passed every check (RFC 6455 section 5.2).
struct FrameHeader {
  let opcode: Opcode
  let fin: Bool
  let rsv1: Bool
  /// Payload bytes; within the reader's limit, so 32 bits hold it.
  let length: UInt32
  let key: MaskingKey
  /// Bytes the header itself took.
  let bytes: Int

  enum Step {
    case needMore
    case header(FrameHeader)
    case failed(Violation)
  }

  /// Holds what the reader knows that decides whether a header is right.
  struct Rules {
    let masked: Bool
    let deflate: Bool
    /// A message has begun and its final frame has not come.
    let insideMessage: Bool
    /// Payload bytes a data frame may still add to its message.
    let dataBytesLeft: UInt32
  }

  /// Decodes a header, checking every byte as soon as it is there.
  static func decode(_ bytes: Span<UInt8>, _ rules: Rules) -> Step {
    guard bytes.count >= 1 else { return .needMore }
    let first = bytes[0]
    guard let opcode = Opcode(rawValue: first & 0x0F) else {
      return .failed(.error("unknown opcode (RFC 6455 section 5.2)"))
    }
    if let violation = check(first: first, opcode, rules) { return .failed(violation) }
    guard bytes.count >= 2 else { return .needMore }
    let second = bytes[1]
    if let violation = check(second: second, opcode, rules) { return .failed(violation) }

    let extended = second & 0x7F < 126 ? 0 : second & 0x7F == 126 ? 2 : 8
    guard bytes.count >= 2 + extended else { return .needMore }
    var length = UInt64(second & 0x7F)
    if extended > 0 {
      length = 0
      for index in 2..<2 + extended { length = length << 8 | UInt64(bytes[index]) }
    }
    if let violation = check(length: length, extended, opcode, rules) { return .failed(violation) }

    let start = 2 + extended
    guard rules.masked else { return .header(make(first, opcode, length, key: 0, bytes: start)) }
    guard bytes.count >= start + 4 else { return .needMore }
    var key: UInt32 = 0
    for index in 0..<4 { key |= UInt32(bytes[start + index]) << UInt32(8 * index) }
    return .header(make(first, opcode, length, key: key, bytes: start + 4))
  }

  private static func make(_ first: UInt8, _ opcode: Opcode, _ length: UInt64, key: UInt32, bytes: Int) -> FrameHeader {
    FrameHeader(
      opcode: opcode, fin: first & 0x80 != 0, rsv1: first & 0x40 != 0, length: UInt32(length), key: MaskingKey(key),
      bytes: bytes)
  }

  private static func check(first: UInt8, _ opcode: Opcode, _ rules: Rules) -> Violation? {
    // RFC 6455 section 5.2: reserved bits are 0 unless an extension gave them a meaning.
    if first & 0x30 != 0 { return .error("reserved bit RSV2 or RSV3 set (RFC 6455 section 5.2)") }
    if first & 0x40 != 0 {
      if !rules.deflate { return .error("reserved bit RSV1 set without an extension (RFC 6455 section 5.2)") }
      // RFC 7692 section 6: RSV1 marks a compressed message on its first frame, and never stands on a control frame.
      if opcode != .text && opcode != .binary {
        return .error("RSV1 set on a frame that begins no message (RFC 7692 section 6)")
      }
    }
    if opcode.isControl {
      // RFC 6455 section 5.5: control frames are not fragmented.
      return first & 0x80 == 0 ? .error("fragmented control frame (RFC 6455 section 5.5)") : nil
    }
    // RFC 6455 section 5.4: fragments of different messages are not interleaved.
    if opcode == .continuation && !rules.insideMessage {
      return .error("continuation of no message (RFC 6455 section 5.4)")
    }
    if opcode != .continuation && rules.insideMessage {
      return .error("new message before the last one ended (RFC 6455 section 5.4)")
    }
    return nil
  }

  private static func check(second: UInt8, _ opcode: Opcode, _ rules: Rules) -> Violation? {
    // RFC 6455 section 5.1: a client masks every frame, a server none.
    if (second & 0x80 != 0) != rules.masked {
      return rules.masked
        ? .error("client frame not masked (RFC 6455 section 5.1)")
        : .error("server frame masked (RFC 6455 section 5.1)")
    }
    // RFC 6455 section 5.5: control frames carry at most 125 bytes, so no extended length either.
    if opcode.isControl && second & 0x7F > 125 {
      return .error("control frame over 125 bytes (RFC 6455 section 5.5)")
    }
    return nil
  }

  private static func check(length: UInt64, _ extended: Int, _ opcode: Opcode, _ rules: Rules) -> Violation? {
    // RFC 6455 section 5.2: the most significant bit of a 64-bit length is 0.
    if length >> 63 != 0 { return .error("length over 63 bits (RFC 6455 section 5.2)") }
    // RFC 6455 section 5.2: the minimal number of bytes encodes the length.
    if (extended == 2 && length < 126) || (extended == 8 && length <= 0xFFFF) {
      return .error("length not encoded in the fewest bytes (RFC 6455 section 5.2)")
    }
    // RFC 6455 section 7.4.1, code 1009: refused on the announced length, before any of it is stored.
    if !opcode.isControl && length > UInt64(rules.dataBytesLeft) {
      return Violation(code: .messageTooBig, what: "message over the limit (RFC 6455 section 7.4.1)")
    }
    return nil
  }
}
