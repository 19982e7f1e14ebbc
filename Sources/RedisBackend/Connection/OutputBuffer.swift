/// Commands on their way to Redis, sent once per tick.
struct OutputBuffer {
  var writer = CommandWriter()
  private var sentBytes = 0

  /// What is not yet sent, in bytes.
  var unsentCount: Int { writer.bytes.count - sentBytes }

  func withUnsentBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    writer.bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[sentBytes...])) }
  }

  /// Drops `count` bytes that the kernel has taken.
  mutating func sent(_ count: Int) {
    sentBytes += count
    if unsentCount == 0 {
      writer.bytes.removeAll(keepingCapacity: writer.bytes.capacity <= RedisLimits.keptOutputBytes)
      sentBytes = 0
    } else if sentBytes > RedisLimits.keptOutputBytes {
      writer.bytes.removeFirst(sentBytes)
      sentBytes = 0
    }
  }
}
