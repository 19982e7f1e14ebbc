/// Holds the four bytes a client frame is masked with (RFC 6455 section 5.3).
@frozen
public struct MaskingKey: Sendable {
  /// Byte `i` of the key is bits `8 i` to `8 i + 7`.
  @usableFromInline var word: UInt32

  /// Takes the key as a number whose lowest byte goes first on the wire.
  ///
  /// A client needs a fresh unpredictable one for each frame (RFC 6455 section 10.3).
  @inlinable
  public init(_ word: UInt32) { self.word = word }

  /// Masks or unmasks a piece in place and turns the key, so that the next piece of the same frame goes on rightly.
  mutating func apply(to bytes: UnsafeMutableRawBufferPointer) {
    let count = bytes.count
    var index = 0
    // Safe because every access stays below `bytes.count`, and unaligned access to trivial types is allowed.
    let wide = SIMD16<UInt32>(repeating: word.littleEndian)
    while index + 64 <= count {
      let block = bytes.loadUnaligned(fromByteOffset: index, as: SIMD16<UInt32>.self)
      bytes.storeBytes(of: block ^ wide, toByteOffset: index, as: SIMD16<UInt32>.self)
      index += 64
    }
    let double = (UInt64(word) << 32 | UInt64(word)).littleEndian
    while index + 8 <= count {
      let eight = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
      bytes.storeBytes(of: eight ^ double, toByteOffset: index, as: UInt64.self)
      index += 8
    }
    while index < count {
      bytes[index] ^= UInt8(truncatingIfNeeded: word >> UInt32(8 * (index & 3)))
      index += 1
    }
    let turn = UInt32(8 * (count & 3))
    // With a turn of 0 the left shift is by 32, which Swift's smart shift makes 0.
    word = word >> turn | word << (32 - turn)
  }
}
