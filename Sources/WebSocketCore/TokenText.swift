/// Reads the tokens, quoted strings and separators that header values are made of (RFC 9110 section 5.6).
struct TokenText: ~Escapable {
  private let bytes: Span<UInt8>
  private var index = 0

  @_lifetime(copy bytes)
  init(_ bytes: Span<UInt8>) { self.bytes = bytes }

  var isAtEnd: Bool { index == bytes.count }

  /// Skips spaces and tabs.
  mutating func skipSpace() {
    while index < bytes.count, bytes[index] == 0x20 || bytes[index] == 0x09 { index += 1 }
  }

  /// Takes one given byte, with the space around it.
  mutating func skip(_ byte: UInt8) -> Bool {
    skipSpace()
    guard index < bytes.count, bytes[index] == byte else { return false }
    index += 1
    skipSpace()
    return true
  }

  /// Takes a token; nil when there is none.
  mutating func token() -> [UInt8]? {
    let start = index
    while index < bytes.count, Self.isTokenByte(bytes[index]) { index += 1 }
    guard index > start else { return nil }
    var token: [UInt8] = []
    token.append(copying: bytes.extracting(start..<index))
    return token
  }

  /// Takes a quoted string without its quotes and escapes; nil when there is no whole one.
  mutating func quoted() -> [UInt8]? {
    guard index < bytes.count, bytes[index] == UInt8(ascii: "\"") else { return nil }
    index += 1
    var text: [UInt8] = []
    while index < bytes.count {
      var byte = bytes[index]
      index += 1
      if byte == UInt8(ascii: "\"") { return text }
      if byte == UInt8(ascii: "\\") {
        guard index < bytes.count else { return nil }
        byte = bytes[index]
        index += 1
      }
      text.append(byte)
    }
    return nil
  }

  /// Reads a whole comma-separated list of tokens; nil when it is none. Empty elements are skipped (RFC 9110 section 5.6.1).
  static func list(_ bytes: Span<UInt8>) -> [[UInt8]]? {
    var text = TokenText(bytes)
    var tokens: [[UInt8]] = []
    while true {
      while text.skip(UInt8(ascii: ",")) {}
      if text.isAtEnd { return tokens }
      guard let token = text.token() else { return nil }
      tokens.append(token)
      guard text.skip(UInt8(ascii: ",")) || text.isAtEnd else { return nil }
    }
  }

  static func isTokenByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "!"), UInt8(ascii: "#")...UInt8(ascii: "'"),
      UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "^"),
      UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
      true
    default: false
    }
  }
}

extension [UInt8] {
  /// Compares with an ASCII literal, letters in either case.
  func matches(_ literal: StaticString) -> Bool {
    literal.withUTF8Buffer { other in
      count == other.count && zip(self, other).allSatisfy { Self.lowercase($0) == Self.lowercase($1) }
    }
  }

  mutating func append(literal: StaticString) {
    literal.withUTF8Buffer { append(contentsOf: $0) }
  }

  private static func lowercase(_ byte: UInt8) -> UInt8 {
    byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
  }
}
