import JSONCore

/// Decides which names a room may have.
public enum RoomName {
  /// The shortest name in bytes.
  public static let bytesMin = 1
  /// The longest name in bytes: one length byte of a binary frame must hold it, and Redis keys stay short.
  public static let bytesMax = 200
  /// What a name must be, for the messages of errors.
  public static let rule = "a room is 1 to 200 bytes of UTF-8 without control characters"
  /// What a wildcard cannot be used for, for the messages of errors.
  public static let wildcardRule = "a name that ends in * is a wildcard: it can be joined and left, nothing else"

  /// Says why `name` names no single room, or nil when it does.
  public static func problem(_ name: Span<UInt8>) -> String? {
    guard isValid(name) else { return rule }
    return isWildcard(name) ? wildcardRule : nil
  }

  /// Tells whether a valid name stands for every room that begins as it does: it ends in `*`. Such a name can be joined
  /// and left, nothing else. A `*` elsewhere is a byte like any other.
  public static func isWildcard(_ name: Span<UInt8>) -> Bool {
    name.count > 0 && name[name.count - 1] == UInt8(ascii: "*")
  }

  /// Tells whether `name` is 1 to 200 bytes of UTF-8 with no control character.
  ///
  /// Control characters are those of Unicode's category Cc: U+0000 to U+001F and U+007F to U+009F.
  public static func isValid(_ name: Span<UInt8>) -> Bool {
    guard name.count >= bytesMin, name.count <= bytesMax else { return false }
    var isASCII = true
    for index in name.indices {
      let byte = name[index]
      if byte < 0x20 || byte == 0x7F { return false }
      if byte >= 0x80 {
        isASCII = false
        // U+0080 to U+009F are the two bytes C2 80 to C2 9F.
        if byte == 0xC2, index + 1 < name.count, name[index + 1] < 0xA0 { return false }
      }
    }
    return isASCII || JSONScanner.isValidUTF8(name)
  }
}
