/// Finds the empty line that ends a head, over any number of pieces, each byte looked at once.
///
/// Refuses on the way what no head may contain: bare CR, bare LF and control characters (RFC 9112 section 2.2, RFC 9110
/// section 5.5), so that a sender of rubbish is answered at once and not after a timeout.
struct HeadScanner {
  enum Step {
    case needMore
    /// The head ends before this index of the piece.
    case end(Int)
    case failed(Fault)
  }

  private let bytesMax: Int
  private var count = 0
  private var lineBytes = 0
  private var isFirstLine: Bool
  private var afterCR = false

  /// `skipsLeadingLines` is set for a head, which empty lines may precede (RFC 9112 section 2.2); not for trailers, which
  /// may consist of the empty line alone. The skipped lines count towards `bytesMax`.
  init(bytesMax: Int, skipsLeadingLines: Bool) {
    self.bytesMax = bytesMax
    isFirstLine = skipsLeadingLines
  }

  mutating func scan(_ bytes: Span<UInt8>, from start: Int) -> Step {
    let end = start + min(bytes.count - start, bytesMax - count)
    var index = start
    while index < end {
      // Nearly all bytes: no CR, no LF, no control character.
      let plain = afterCR ? 0 : bytes.plainCount(in: index..<end)
      lineBytes += plain
      index += plain
      guard index < end else { break }
      let byte = bytes[index]
      defer { index += 1 }
      if byte == ASCII.lf {
        guard afterCR else { return .failed(.bad("line feed without carriage return (RFC 9112 section 2.2)")) }
        afterCR = false
        if lineBytes == 0 && !isFirstLine { return .end(index + 1) }
        if lineBytes > 0 { isFirstLine = false }
        lineBytes = 0
      } else {
        if afterCR { return .failed(.bad("carriage return without line feed (RFC 9112 section 2.2)")) }
        if byte == ASCII.cr {
          afterCR = true
        } else {
          if ASCII.isControl(byte) { return .failed(.bad("control character in the head (RFC 9110 section 5.5)")) }
          lineBytes += 1
        }
      }
    }
    count += end - start
    guard count == bytesMax else { return .needMore }
    return .failed(
      isFirstLine
        ? Fault(status: 431, reason: "request line too long (RFC 9112 section 3)")
        : Fault(status: 431, reason: "header section too long (RFC 6585 section 5)"))
  }
}
