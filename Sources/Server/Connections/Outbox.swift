import LoopCore

/// The bytes that a connection has still to send: shared blocks and its own small frames, in order; pure but for the one send.
///
/// The usual case, one shared block, allocates nothing: the first slot is inline. An empty outbox owns no memory.
struct Outbox: ~Copyable {
  private var first: [UInt8]?
  private var rest: [[UInt8]] = []
  /// Small frames of this connection alone, gathered after the blocks.
  private var tail: [UInt8] = []
  // Four bytes each: every idle connection owns this record, and no queue comes near 4 GiB.
  private var headOffset32: UInt32 = 0
  private var solicitedBytes32: UInt32 = 0
  private var byteCount32: UInt32 = 0

  /// Bytes waiting.
  private(set) var byteCount: Int {
    get { Int(byteCount32) }
    set { byteCount32 = UInt32(newValue) }
  }

  /// Bytes of `first` that are sent already.
  private var headOffset: Int {
    get { Int(headOffset32) }
    set { headOffset32 = UInt32(newValue) }
  }

  /// Bytes among those waiting that the connection has asked for, or that are a backlog. What is sent counts as the others
  /// first, so that this never exceeds what was added at a time.
  private(set) var solicitedBytes: Int {
    get { Int(solicitedBytes32) }
    set { solicitedBytes32 = UInt32(newValue) }
  }

  /// Bytes that others cause: what the limit of the queue is for.
  var unsolicitedBytes: Int { byteCount - solicitedBytes }

  /// Counts the last `count` bytes that were added among those that the connection has asked for.
  mutating func noteSolicited(_ count: Int) { solicitedBytes = min(byteCount, solicitedBytes + max(0, count)) }

  var isEmpty: Bool { byteCount == 0 }

  /// Adds a block that others may share. `sent` bytes of it are out already.
  mutating func push(_ block: [UInt8], sent: Int = 0) {
    seal()
    if first == nil {
      first = block
      headOffset = sent
    } else {
      rest.append(block)
    }
    byteCount += block.count - sent
  }

  /// Adds this connection's own bytes.
  mutating func append(_ write: (inout [UInt8]) -> Void) {
    let before = tail.count
    write(&tail)
    byteCount += tail.count - before
  }

  /// Drops everything but the block that is partly sent, whose end the peer must see to stay in step.
  mutating func dropUnsent() {
    rest = []
    tail = []
    if headOffset == 0 { first = nil }
    byteCount = first.map { $0.count - headOffset } ?? 0
    solicitedBytes = min(solicitedBytes, byteCount)
  }

  /// Copies all that is waiting into `bytes`, which has room for exactly that.
  func copy(into bytes: UnsafeMutableRawBufferPointer) {
    var filled = 0
    if let first { Outbox.copy(first, from: headOffset, into: bytes, &filled) }
    for block in rest { Outbox.copy(block, from: 0, into: bytes, &filled) }
    Outbox.copy(tail, from: 0, into: bytes, &filled)
  }

  /// Takes away what the kernel has taken, in bytes.
  mutating func remove(_ count: Int) {
    seal()
    consume(count)
  }

  private mutating func seal() {
    guard !tail.isEmpty else { return }
    var block: [UInt8] = []
    swap(&block, &tail)
    if first == nil {
      first = block
      headOffset = 0
    } else {
      rest.append(block)
    }
  }

  /// The result of a flush.
  enum Flush {
    case done(sent: Int)
    /// The kernel took a part: wait until it can take more.
    case unwritable(sent: Int)
    case failed
  }

  /// Sends what is waiting, several blocks in one system call by way of `scratch`.
  mutating func flush(scratch: UnsafeMutableRawBufferPointer, send: (UnsafeRawBufferPointer) -> Transfer) -> Flush {
    seal()
    var sent = 0
    while !isEmpty {
      let transfer =
        rest.isEmpty || first!.count - headOffset >= scratch.count  // Safe because it is not empty.
        ? sendFirst(send) : sendGathered(scratch, send)
      switch transfer {
      case .bytes(let count):
        sent += count
        consume(count)
      case .wouldBlock: return .unwritable(sent: sent)
      case .end, .failed: return .failed
      }
    }
    return .done(sent: sent)
  }

  private func sendFirst(_ send: (UnsafeRawBufferPointer) -> Transfer) -> Transfer {
    // Safe because the bytes are only read during the call.
    first!.withUnsafeBytes { send(UnsafeRawBufferPointer(rebasing: $0[headOffset...])) }
  }

  private func sendGathered(
    _ scratch: UnsafeMutableRawBufferPointer, _ send: (UnsafeRawBufferPointer) -> Transfer
  ) -> Transfer {
    var filled = 0
    Outbox.copy(first!, from: headOffset, into: scratch, &filled)
    for block in rest {
      guard filled < scratch.count else { break }
      Outbox.copy(block, from: 0, into: scratch, &filled)
    }
    // Safe because the copied bytes lie within the scratch buffer, which outlives the call.
    return send(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(scratch)[..<filled]))
  }

  private static func copy(
    _ block: [UInt8], from start: Int, into scratch: UnsafeMutableRawBufferPointer, _ filled: inout Int
  ) {
    let count = min(block.count - start, scratch.count - filled)
    // Safe because the count is bounded by both the block and the room left in the scratch buffer.
    block.withUnsafeBytes {
      UnsafeMutableRawBufferPointer(rebasing: scratch[filled..<(filled + count)])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[start..<(start + count)]))
    }
    filled += count
  }

  private mutating func consume(_ count: Int) {
    byteCount -= count
    if solicitedBytes > byteCount { solicitedBytes = byteCount }
    var left = count
    var taken = 0
    while let block = first, left >= block.count - headOffset {
      left -= block.count - headOffset
      headOffset = 0
      first = taken < rest.count ? rest[taken] : nil
      taken += 1
    }
    if taken > 1 || (taken == 1 && !rest.isEmpty) { rest.removeFirst(min(taken, rest.count)) }
    headOffset += left
  }
}
