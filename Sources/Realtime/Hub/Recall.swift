/// A room's recent messages, kept while clients are resuming: ten thousand of them cost one read of history.
///
/// Covers every offset above `after` up to the room's position, without holes; pure.
struct Recall {
  struct Message {
    let offset: UInt64
    let kind: PayloadKind
    let payload: [UInt8]
  }

  /// Everything above this offset is here.
  private(set) var after: UInt64
  private(set) var messages: [Message] = []
  private(set) var byteCount = 0
  /// Milliseconds at which it may be dropped, unless it is used before.
  var expiresAt: UInt64

  init(after: UInt64, expiresAt: UInt64) {
    self.after = after
    self.expiresAt = expiresAt
  }

  /// Adds the next message. Returns false when `Limits.recallBytesMax` is passed: then it is to be dropped whole.
  mutating func append(_ message: Message) -> Bool {
    byteCount += message.payload.count
    messages.append(message)
    return byteCount <= Limits.recallBytesMax
  }

  /// Puts what history held before the first message in front, if it leaves no hole up to `offset`.
  mutating func prepend(_ earlier: [Message], reaching offset: UInt64) {
    guard let first = earlier.first, earlier.last?.offset == offset, after == offset,
      UInt64(earlier.count) == offset - first.offset + 1
    else { return }
    after = first.offset - 1
    messages.insert(contentsOf: earlier, at: 0)
  }

  /// The messages above `offset`, or nil when they are not all here.
  func messages(after offset: UInt64) -> ArraySlice<Message>? {
    guard offset >= after else { return nil }
    let skipped = messages.first.map { offset >= $0.offset ? Int(offset - $0.offset) + 1 : 0 } ?? 0
    return messages.dropFirst(skipped)
  }
}
