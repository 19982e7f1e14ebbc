import Realtime

/// A transport whose connections are sockets with a queue each: what is the same for all wire formats.
protocol QueueTransport: SessionTransport {
  var connections: ConnectionStore { get }
  var queues: SendQueues { get }
}

extension QueueTransport {
  func rostersChanged(of target: UInt32, by change: Int32) {
    if connections.isOccupied(target) { connections[target].rosterCount += change }
  }

  func hasRoom(_ target: UInt32) -> Bool { !connections.isOccupied(target) || queues.hasRoom(target) }

  func awaitRoom(_ target: UInt32) {
    if connections.isOccupied(target) { connections[target].awaitsRoom = true }
  }

  func isNearLimit(_ target: UInt32) -> Bool {
    guard connections.isOccupied(target) else { return false }
    queues.settle(target)
    return connections[target].outbox.byteCount > queues.queueBytesMax / 2
  }
}
