/// Bytes that a peer has sent before it was their turn: further requests after the one that is being answered.
///
/// Bounded by one read, because a connection that has some is not read. Taking requests off its front copies nothing.
struct ReadAhead {
  private var bytes: [UInt8] = []
  private var start = 0

  var isEmpty: Bool { start == bytes.count }
  var count: Int { bytes.count - start }

  /// Adds what was read.
  mutating func append(_ more: UnsafeRawBufferPointer) {
    if isEmpty { clear() }
    bytes.append(contentsOf: more)
  }

  /// Lends the bytes to `body`, which returns how many it has used: those are gone.
  mutating func take(_ body: (UnsafeMutableRawBufferPointer) -> Int) {
    let from = start
    // Safe because the pointer is used only inside the closure, and `start` lies within the bytes.
    let used = bytes.withUnsafeMutableBytes { body(UnsafeMutableRawBufferPointer(rebasing: $0[from...])) }
    start += used
    if isEmpty { clear() }
  }

  /// Copies the bytes.
  func copy() -> [UInt8] { Array(bytes[start...]) }

  /// Forgets the bytes and gives their memory back.
  mutating func clear() { (bytes, start) = ([], 0) }
}
