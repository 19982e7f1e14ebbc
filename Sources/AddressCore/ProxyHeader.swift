/// Reads the header by which a proxy tells, ahead of a connection's own bytes, whom the connection is for: the PROXY
/// protocol, versions 1 and 2 (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt).
public enum ProxyHeader {
  /// Bytes of a whole header. Version 1 has at most 107. Version 2 announces its length and may carry further fields,
  /// of which none is needed here; what is longer than a page is refused.
  public static let bytesMax = 4096

  /// What the bytes so far amount to.
  public enum Outcome: Sendable {
    /// All of the bytes belong to the header, and more of it must come.
    case needMore
    /// The first `bytes` bytes are the header. `source` is the client, or nil when the proxy speaks for itself, as it
    /// does in its health checks.
    case header(bytes: Int, source: IPAddress?)
    case failed(StaticString)
  }

  private static let signature: InlineArray<12, UInt8> = [
    0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
  ]
  private static let textBytesMax = 107
  private static let textWord: StaticString = "PROXY "

  /// Looks at the beginning of a connection.
  public static func read(_ bytes: Span<UInt8>) -> Outcome {
    guard bytes.count > 0 else { return .needMore }
    return bytes[0] == signature[0] ? readBinary(bytes) : readText(bytes)
  }

  // MARK: Version 2

  private static func readBinary(_ bytes: Span<UInt8>) -> Outcome {
    for i in 0..<min(bytes.count, signature.count) where bytes[i] != signature[i] {
      return .failed("no PROXY header")
    }
    guard bytes.count >= 16 else { return .needMore }
    guard bytes[12] >> 4 == 2 else { return .failed("a PROXY header of an unknown version") }
    let length = Int(bytes[14]) << 8 | Int(bytes[15])
    let end = 16 + length
    guard end <= bytesMax else { return .failed("a PROXY header that is too long") }
    let command = bytes[12] & 0x0F
    guard command <= 1 else { return .failed("a PROXY header with an unknown command") }
    guard bytes.count >= end else { return .needMore }
    if command == 0 { return .header(bytes: end, source: nil) }
    switch bytes[13] {
    case 0x11:
      guard length >= 12 else { return .failed("a PROXY header without its addresses") }
      return .header(bytes: end, source: IPAddress(networkOrder: bytes.extracting(16..<20)))
    case 0x21:
      guard length >= 36 else { return .failed("a PROXY header without its addresses") }
      return .header(bytes: end, source: IPAddress(networkOrder: bytes.extracting(16..<32)))
    case 0x00, 0x12, 0x22, 0x31, 0x32: return .header(bytes: end, source: nil)
    default: return .failed("a PROXY header of an unknown family")
    }
  }

  // MARK: Version 1: `PROXY TCP4 SOURCE DESTINATION PORT PORT` and CR LF

  private static func readText(_ bytes: Span<UInt8>) -> Outcome {
    for i in 0..<min(bytes.count, textWord.utf8CodeUnitCount)
    where textWord.withUTF8Buffer({ $0[i] }) != bytes[i] {
      return .failed("no PROXY header")
    }
    var end = 0
    while end < bytes.count, bytes[end] != 0x0A {
      end += 1
      guard end < textBytesMax else { return .failed("a PROXY line that is too long") }
    }
    guard end < bytes.count else { return .needMore }
    guard end >= 1, bytes[end - 1] == 0x0D else { return .failed("a PROXY line without CR") }
    return readFields(bytes.extracting(0..<(end - 1)), headerBytes: end + 1)
  }

  private static func readFields(_ line: Span<UInt8>, headerBytes: Int) -> Outcome {
    var fields: [Range<Int>] = []
    var start = 0
    for i in 0...line.count where i == line.count || line[i] == 0x20 {
      fields.append(start..<i)
      start = i + 1
    }
    func isWord(_ n: Int, _ word: StaticString) -> Bool {
      guard n < fields.count, fields[n].count == word.utf8CodeUnitCount else { return false }
      let field = fields[n]
      return word.withUTF8Buffer { word in word.indices.allSatisfy { word[$0] == line[field.lowerBound + $0] } }
    }
    if isWord(1, "UNKNOWN") { return .header(bytes: headerBytes, source: nil) }
    guard isWord(1, "TCP4") || isWord(1, "TCP6"), fields.count == 6,
      let source = IPAddress(text: line.extracting(fields[2])),
      let destination = IPAddress(text: line.extracting(fields[3])),
      isPort(line.extracting(fields[4])), isPort(line.extracting(fields[5]))
    else { return .failed("a PROXY line that cannot be read") }
    if isWord(1, "TCP4"), !source.isIPv4 || !destination.isIPv4 {
      return .failed("a PROXY line whose addresses are not of its family")
    }
    return .header(bytes: headerBytes, source: source)
  }

  private static func isPort(_ text: Span<UInt8>) -> Bool {
    guard (1...5).contains(text.count), text[0] != 0x30 || text.count == 1 else { return false }
    var value = 0
    for i in text.indices {
      guard text[i] >= 0x30, text[i] <= 0x39 else { return false }
      value = value * 10 + Int(text[i] - 0x30)
    }
    return value <= 65_535
  }
}
