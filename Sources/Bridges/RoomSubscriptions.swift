import RedisBackend

/// The channels of rooms that a Redis Cluster needs subscribed one by one, because sharded channels have no patterns; with
/// one Redis a pattern covers them. Shared by all bridges of the process. Confined to the loop.
final class RoomSubscriptions {
  private let broker: RedisBroker
  private var counts: [[UInt8]: Int] = [:]

  init(_ broker: RedisBroker) { self.broker = broker }

  func enter(_ room: [UInt8]) {
    guard broker.isSharded else { return }
    counts[room, default: 0] += 1
    // Without a subscription the next scan finds what was published.
    if counts[room] == 1 { broker.subscribe(room: room) { _ in } }
  }

  func leave(_ room: [UInt8]) {
    guard let count = counts[room] else { return }
    counts[room] = count > 1 ? count - 1 : nil
    if count == 1 { broker.unsubscribe(room: room) }
  }
}
