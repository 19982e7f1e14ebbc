import CHiredis

/// Parses what Redis sends: hiredis' reader, fed from our own socket.
package final class ReplyReader {
  private let reader: UnsafeMutablePointer<redisReader>

  package init() {
    guard let reader = redisReaderCreate() else { fatalError("hiredis could not allocate a reader") }
    self.reader = reader
  }

  deinit { redisReaderFree(reader) }

  /// Takes bytes and gives every reply they complete to `receive`, which returns whether to go on.
  /// Returns false when the bytes are no RESP.
  package func feed(_ bytes: UnsafeRawBufferPointer, _ receive: (Reply) -> Bool) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let slice = UnsafeRawBufferPointer(rebasing: rest.prefix(RedisLimits.feedBytes))
      rest = rest.dropFirst(slice.count)
      // Safe because hiredis copies the bytes during the call.
      let start = slice.baseAddress?.assumingMemoryBound(to: CChar.self)
      guard redisReaderFeed(reader, start, slice.count) == REDIS_OK else { return false }
      while true {
        var pointer: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &pointer) == REDIS_OK else { return false }
        guard let pointer else { break }
        defer { freeReplyObject(pointer) }
        // Safe because a reader with the default functions makes every reply a redisReply.
        guard receive(Reply(pointer.assumingMemoryBound(to: redisReply.self))) else { return true }
      }
    }
    return true
  }
}
