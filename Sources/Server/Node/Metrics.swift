import LoopCore
import Realtime

/// A node's counts since its start. Plain numbers: everything happens on one thread.
final class Metrics {
  var messagesDelivered: UInt64 = 0
  var bytesSent: UInt64 = 0
  var slowConsumers: UInt64 = 0
  /// Requests for connections of other nodes.
  var forwarded = ForwardedRequests()
  /// Peers that answered no ping.
  var ghosts: UInt64 = 0
  var protocolErrors: UInt64 = 0
  var requestsRefused: UInt64 = 0
  var connectionsRefused: UInt64 = 0
  /// Deliveries of incoming hooks that were published, or had been before.
  var hooksPublished: UInt64 = 0
  var hooksRefused: UInt64 = 0
  /// What the limits of connections have refused; those of sessions are counted by the hub.
  var refusals = LimitRefusals()
  var deliverySeconds = Histogram()

  /// Counts a batch that was delivered to so many members, and how long its messages took from their acceptance.
  func count(_ batch: RoomBatch, members: Int) {
    messagesDelivered += UInt64(members * batch.entries.count)
    let now = Clock.wallMilliseconds()
    for entry in batch.entries where entry.acceptedAt > 0 {
      deliverySeconds.observe(milliseconds: now > entry.acceptedAt ? now - entry.acceptedAt : 0)
    }
  }
}

/// Counts durations in the buckets that a Prometheus histogram shows.
struct Histogram {
  /// Upper bounds in milliseconds.
  static let bounds: [UInt64] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000]

  /// One count per bound, and one for everything above; not cumulative.
  private(set) var counts = [UInt64](repeating: 0, count: Histogram.bounds.count + 1)
  private(set) var sumMilliseconds: UInt64 = 0

  mutating func observe(milliseconds: UInt64) {
    sumMilliseconds += milliseconds
    counts[Histogram.bounds.firstIndex { milliseconds <= $0 } ?? Histogram.bounds.count] += 1
  }
}
