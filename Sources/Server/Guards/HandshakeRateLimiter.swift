import Realtime
import TimeCore

/// Limits handshakes a second, and refuses the others before they cost anything. Pure.
///
/// After a node or a network comes back, everyone reconnects at once: a node that answers what it can and asks the rest
/// to return later recovers sooner than one that tries to answer all.
struct HandshakeRateLimiter {
  /// Seconds after which refused clients return, each at its own random moment.
  static let retrySeconds = 1...10

  private let limit: PeerLimit
  private var bucket: TokenBucket

  init(_ limit: PeerLimit, now: Instant) {
    self.limit = limit
    bucket = TokenBucket(rate: limit.value(isLocal: false), now: now.milliseconds)
  }

  /// Returns whether a handshake may go on at `now`.
  mutating func admit(isLocal: Bool, at now: Instant) -> Bool {
    limit.value(isLocal: isLocal) == 0 || bucket.take(at: now.milliseconds)
  }
}
