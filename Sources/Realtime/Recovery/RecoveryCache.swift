import ClientProtocol

/// A room's recent messages, kept while clients resume or catch up: ten thousand of them cost one read of history.
///
/// Covers every offset above `after` up to the room's position, without holes; pure.
struct RecoveryCache {
  struct Message {
    let offset: UInt64
    let kind: EventKind
    let payload: [UInt8]
    /// The session that shall not receive it, or nil.
    var origin: SlabID?
  }

  /// Everything above this offset is here.
  private(set) var after: UInt64
  private var messages: [Message] = []
  /// What stands before it was dropped and waits to be cleared away in one go.
  private var head = 0
  private(set) var byteCount = 0
  /// Milliseconds at which it may be dropped, unless it is used before.
  var expiresAt: UInt64

  init(after: UInt64, expiresAt: UInt64) {
    self.after = after
    self.expiresAt = expiresAt
  }

  /// Adds the next message, and drops the oldest ones beyond `Limits.recoveryCacheBytesMax`.
  mutating func append(_ message: Message) {
    byteCount += message.payload.count
    messages.append(message)
    while byteCount > Limits.recoveryCacheBytesMax { dropOldest() }
  }

  /// Puts what history held before the first message in front, if it leaves no hole up to `after` and fits.
  mutating func prepend(_ earlier: [Message]) {
    guard let first = earlier.first, earlier.last?.offset == after, UInt64(earlier.count) == after - first.offset + 1
    else { return }
    let added = earlier.reduce(0) { $0 + $1.payload.count }
    guard byteCount + added <= Limits.recoveryCacheBytesMax else { return }
    after = first.offset - 1
    messages.replaceSubrange(..<head, with: earlier)
    head = 0
    byteCount += added
  }

  /// The messages above `offset`, or nil when they are not all here.
  func messages(after offset: UInt64) -> ArraySlice<Message>? {
    guard offset >= after else { return nil }
    return messages[min(messages.count, head + Int(clamping: offset - after))...]
  }

  private mutating func dropOldest() {
    let message = messages[head]
    byteCount -= message.payload.count
    after = message.offset
    messages[head] = Message(offset: message.offset, kind: message.kind, payload: [])
    head += 1
    guard head > 64, head * 2 > messages.count else { return }
    messages.removeFirst(head)
    head = 0
  }
}
