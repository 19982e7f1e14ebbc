/// Reads what stands around the data of a chunked body (RFC 9112 section 7.1).
struct ChunkFraming: Sendable {
  /// Bytes all chunk extensions of a body may take together (RFC 9112 section 7.1.1 asks for such a limit).
  static let extensionBytesMax = 4096
  /// Bytes the trailer section may take (RFC 9112 section 7.1.2); it is skipped.
  static let trailerBytesMax = 8192
  /// Digits a chunk size may have; more are leading zeros or more than 64 bits.
  static let sizeDigitsMax = 16

  enum Step {
    case needMore
    /// A chunk of so many bytes begins.
    case begin(UInt64)
    /// So many bytes from the cursor are data; the caller takes them all.
    case data(Int)
    /// The body and its trailers ended.
    case end
    case failed(Fault)
  }

  private enum Phase {
    case size
    /// Between the size and the semicolon of an extension.
    case spaceAfterSize
    case ext
    case sizeLF
    case data
    case dataCR
    case dataLF
    case trailers
  }

  private var phase = Phase.size
  private var digits = 0
  /// Bytes of the chunk that have not come yet; while its size is read, that.
  private var left: UInt64 = 0
  private var extensionBytes = 0
  private var trailers = HeadScanner(bytesMax: trailerBytesMax, skipsLeadingLines: false)

  mutating func next(_ buffer: Span<UInt8>, _ cursor: inout Int) -> Step {
    while cursor < buffer.count {
      if phase == .trailers { return readTrailers(buffer, &cursor) }
      if phase == .data && left > 0 {
        let count = Int(min(left, UInt64(buffer.count - cursor)))
        left -= UInt64(count)
        return .data(count)
      }
      if phase == .data { phase = .dataCR }
      let byte = buffer[cursor]
      cursor += 1
      if let fault = take(byte) { return .failed(fault) }
      if byte == ASCII.lf && phase == .data { return .begin(left) }
    }
    return .needMore
  }

  /// Takes one byte that is no data.
  private mutating func take(_ byte: UInt8) -> Fault? {
    switch phase {
    case .size: return takeSize(byte)
    case .spaceAfterSize, .ext: return takeExtension(byte)
    case .sizeLF:
      guard byte == ASCII.lf else { return .bad("chunk size line not ended by CR LF (RFC 9112 section 7.1)") }
      phase = left > 0 ? .data : .trailers
    case .dataCR:
      guard byte == ASCII.cr else { return .bad("chunk longer than its size (RFC 9112 section 7.1)") }
      phase = .dataLF
    case .dataLF:
      guard byte == ASCII.lf else { return .bad("chunk not ended by CR LF (RFC 9112 section 7.1)") }
      phase = .size
      digits = 0
    case .data, .trailers: preconditionFailure("data and trailers are read by next")
    }
    return nil
  }

  private mutating func takeSize(_ byte: UInt8) -> Fault? {
    if let value = ASCII.hexValue(byte) {
      guard digits < Self.sizeDigitsMax else { return .bad("chunk size too long (RFC 9112 section 7.1)") }
      digits += 1
      left = left << 4 | UInt64(value)
      return nil
    }
    guard digits > 0 else { return .bad("chunk size missing (RFC 9112 section 7.1)") }
    switch byte {
    case ASCII.cr: phase = .sizeLF
    case UInt8(ascii: ";"): phase = .ext
    case ASCII.space, ASCII.tab: phase = .spaceAfterSize
    default: return .bad("chunk size is not hexadecimal (RFC 9112 section 7.1)")
    }
    return nil
  }

  private mutating func takeExtension(_ byte: UInt8) -> Fault? {
    extensionBytes += 1
    guard extensionBytes <= Self.extensionBytesMax else {
      return .bad("chunk extensions too long (RFC 9112 section 7.1.1)")
    }
    if phase == .spaceAfterSize {
      if byte == UInt8(ascii: ";") {
        phase = .ext
      } else if byte != ASCII.space && byte != ASCII.tab {
        return .bad("space after a chunk size without an extension (RFC 9112 section 7.1.1)")
      }
    } else if byte == ASCII.cr {
      phase = .sizeLF
    } else if ASCII.isControl(byte) {
      return .bad("control character in a chunk extension (RFC 9112 section 7.1.1)")
    }
    return nil
  }

  private mutating func readTrailers(_ buffer: Span<UInt8>, _ cursor: inout Int) -> Step {
    switch trailers.scan(buffer, from: cursor) {
    case .needMore:
      cursor = buffer.count
      return .needMore
    case .end(let end):
      cursor = end
      return .end
    case .failed(let fault):
      return .failed(fault)
    }
  }
}
