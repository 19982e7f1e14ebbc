import LoopCore
import Realtime
import TimeCore

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
  var delivery = DurationHistogram(bounds: DurationHistogram.millisecondBounds)

  /// Counts a batch that was delivered to so many members, and how long its messages took from their acceptance.
  func count(_ batch: RoomBatch, members: Int) {
    messagesDelivered += UInt64(members * batch.entries.count)
    let now = Clock.wallMilliseconds()
    for entry in batch.entries where entry.acceptedAt > 0 {
      delivery.observe(milliseconds: entry.acceptedAt, to: now)
    }
  }
}
