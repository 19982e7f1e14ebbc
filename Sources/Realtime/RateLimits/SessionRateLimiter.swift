/// What a session may still send. Made with its first operation, and only when there is a limit: an idle session has none.
/// Confined to the loop that created its hub.
final class SessionRateLimiter {
  /// Refusals within `windowMilliseconds` after which the connection is closed with 4429, or five seconds' worth of
  /// operations if that is more: a client that sends a hundred a second too much for ten seconds does not read the answers.
  static let refusalsMax = 1000
  static let windowMilliseconds: UInt64 = 10_000

  private var operations: TokenBucket
  private var bytes: TokenBucket
  /// What it may still join of rooms that nobody is in; made with the first.
  var newRooms: NewRoomRateLimiter?
  private var reads: ReadDebt
  private var resumptions = 0
  private var refusals = 0
  private var windowBegan: UInt64

  /// - Parameters:
  ///   - operationsPerSecond: with a burst of one second's worth; 0 for no limit.
  ///   - bytesPerSecond: with a burst of one second's worth, but at least `messageBytesMax`; 0 for no limit.
  init(operationsPerSecond: UInt32, bytesPerSecond: UInt32, messageBytesMax: Int, now: UInt64) {
    operations = TokenBucket(rate: operationsPerSecond, now: now)
    bytes = TokenBucket(rate: bytesPerSecond, burst: UInt32(clamping: messageBytesMax), now: now)
    reads = ReadDebt(bytesPerSecond: bytesPerSecond, burst: messageBytesMax, now: now)
    windowBegan = now
  }

  /// Whether a new one would allow no more at `now` milliseconds.
  func isFresh(at now: UInt64) -> Bool {
    let isPatient = refusals == 0 || now < windowBegan || now - windowBegan >= SessionRateLimiter.windowMilliseconds
    return isPatient && operations.isFull(at: now) && bytes.isFull(at: now) && reads.delay(at: now) == 0
      && newRooms?.isFull(at: now) ?? true
  }

  /// Milliseconds after which nothing of what was charged counts any more; capped for rates that no one would set.
  var lifeMilliseconds: UInt64 {
    let longest = max(SessionRateLimiter.windowMilliseconds, operations.fillMilliseconds, bytes.fillMilliseconds)
    return min(longest, Limits.recentRateLimiterMillisecondsMax)
  }

  /// Allows no more than another one does: both are of one client.
  func limit(to other: SessionRateLimiter, at now: UInt64) {
    operations.limit(to: other.operations, at: now)
    bytes.limit(to: other.bytes, at: now)
    if other.reads.delay(at: now) > reads.delay(at: now) { reads = other.reads }
    if other.refusals > refusals { (refusals, windowBegan) = (other.refusals, other.windowBegan) }
  }

  /// Charges an answer that the session asked for. It delays the next large read, nothing else.
  func charge(answer bytes: Int, at now: UInt64) { reads.charge(bytes, at: now) }

  /// Milliseconds for which the next large read is to wait.
  func readDelay(at now: UInt64) -> UInt64 { reads.delay(at: now) }

  /// Counts a resumption. Returns whether it is one of the first `count`: a client that comes back resumes each of its
  /// rooms once, and is not held up by what the first of them brought.
  func isEarlyResumption(among count: Int) -> Bool {
    resumptions += 1
    return resumptions <= count
  }

  /// What became of an operation.
  enum Verdict: Equatable {
    case allowed
    case refused(by: LimitName, perSecond: UInt32)
  }

  /// Charges one operation of so many bytes at `now` milliseconds.
  func charge(bytes count: Int, at now: UInt64) -> Verdict {
    guard operations.take(at: now) else { return .refused(by: .operations, perSecond: operations.rate) }
    guard bytes.take(count, at: now) else { return .refused(by: .bytes, perSecond: bytes.rate) }
    return .allowed
  }

  /// Counts a refusal. Returns whether there were too many.
  func exceedsPatience(at now: UInt64) -> Bool {
    if now < windowBegan || now - windowBegan >= SessionRateLimiter.windowMilliseconds {
      windowBegan = now
      refusals = 0
    }
    refusals += 1
    return refusals > max(SessionRateLimiter.refusalsMax, 5 * Int(operations.rate))
  }
}

/// What may still be published in a room by way of this node. Made with the first publish that counts.
/// Confined to the loop that created its hub.
final class PublishRateLimiter {
  private var publishes: TokenBucket

  init(perSecond: UInt32, now: UInt64) { publishes = TokenBucket(rate: perSecond, now: now) }

  func take(at now: UInt64) -> Bool { publishes.take(at: now) }
}
