/// How many direct messages each user may still be sent by way of this node; pure, time comes in.
///
/// A fixed number of counters, each for the users whose names fall to it: however many names are invented, nobody's own
/// messages are refused for them. Which names share one differs from process to process, so that nobody can aim.
struct ReceiverRateLimiters {
  /// Empty until the first message is charged.
  private var buckets: [TokenBucket] = []

  /// Charges one message to its receiver at `now` milliseconds. Returns false when it has had as many as it may.
  mutating func take(for receiver: [UInt8], perSecond: UInt32, at now: UInt64) -> Bool {
    if buckets.first?.rate != perSecond {
      let fresh = TokenBucket(rate: perSecond, now: now)
      buckets = [TokenBucket](repeating: fresh, count: Limits.receiverCounters)
    }
    var hasher = Hasher()
    receiver.withUnsafeBytes { hasher.combine(bytes: $0) }  // Safe because the bytes are only read.
    return buckets[Int(UInt(bitPattern: hasher.finalize()) % UInt(buckets.count))].take(at: now)
  }

  /// Gives memory back after a crowd has left.
  mutating func shrink(at now: UInt64) {
    if buckets.allSatisfy({ $0.isFull(at: now) }) { buckets = [] }
  }
}
