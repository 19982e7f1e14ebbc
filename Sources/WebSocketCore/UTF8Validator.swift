/// Checks UTF-8 that arrives in pieces, failing on the first byte that no valid text can contain (RFC 3629 section 4).
///
/// Four bytes of state; pieces may end inside a code point.
@frozen
public struct UTF8Validator: Sendable {
  /// Continuation bytes still due for the code point at hand, 0 to 3.
  @usableFromInline var due: UInt8 = 0
  /// Bounds of the next continuation byte; narrower than 80...BF only after E0, ED, F0 and F4, which is what keeps out
  /// overlong forms, surrogates and values above U+10FFFF.
  @usableFromInline var lower: UInt8 = 0x80
  @usableFromInline var upper: UInt8 = 0xBF

  @inlinable
  public init() {}

  /// Tells whether the text may end here, that is, not inside a code point.
  @inlinable
  public var isComplete: Bool { due == 0 }

  /// Takes the next piece; false as soon as the text cannot be UTF-8, after which the validator is of no use.
  public mutating func accept(_ bytes: Span<UInt8>) -> Bool {
    // Safe because the pointer is used only inside the closure, while the span is alive.
    bytes.withUnsafeBytes { accept(raw: $0) }
  }

  /// Checks one whole text.
  public static func isValid(_ bytes: Span<UInt8>) -> Bool {
    var validator = UTF8Validator()
    return validator.accept(bytes) && validator.isComplete
  }

  mutating func accept(raw bytes: UnsafeRawBufferPointer) -> Bool {
    var index = 0
    let count = bytes.count
    while index < count {
      if due == 0 {
        index = Self.skipASCII(bytes, from: index)
        guard index < count else { return true }
        guard begin(bytes[index]) else { return false }
      } else {
        let byte = bytes[index]
        guard byte >= lower, byte <= upper else { return false }
        due -= 1
        lower = 0x80
        upper = 0xBF
      }
      index += 1
    }
    return true
  }

  /// Takes the first byte of a code point (RFC 3629 section 4, the ABNF).
  private mutating func begin(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x00...0x7F: due = 0
    case 0xC2...0xDF: due = 1
    case 0xE0: (due, lower) = (2, 0xA0)
    case 0xED: (due, upper) = (2, 0x9F)
    case 0xE1...0xEF: due = 2
    case 0xF0: (due, lower) = (3, 0x90)
    case 0xF1...0xF3: due = 3
    case 0xF4: (due, upper) = (3, 0x8F)
    default: return false
    }
    return true
  }

  /// Gives the index of the first byte from `start` that is not ASCII, or the count.
  private static func skipASCII(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
    var index = start
    // Safe because every load stays below `bytes.count`, and unaligned loads of trivial types are allowed.
    while index + 64 <= bytes.count {
      let block = bytes.loadUnaligned(fromByteOffset: index, as: SIMD8<UInt64>.self)
      if (block & 0x8080_8080_8080_8080) != .zero { break }
      index += 64
    }
    while index + 8 <= bytes.count {
      let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self).littleEndian & 0x8080_8080_8080_8080
      if word != 0 { return index + word.trailingZeroBitCount / 8 }
      index += 8
    }
    while index < bytes.count, bytes[index] < 0x80 { index += 1 }
    return index
  }
}
