import ClientProtocol
import LoopCore
import Realtime

/// A transport whose connections are sockets with a queue each: what is the same for all wire formats.
protocol QueueTransport: SessionTransport {
  /// The stage in which connections of this transport are open.
  static var openStage: Connection.Stage { get }

  var connections: ConnectionStore { get }
  var queues: SendQueues { get }
  var sessions: ConnectionSessions { get }
  var metrics: Metrics { get }
}

/// Bytes that a room that spares slow readers may queue before the socket is tried.
private let queuedBeforeSend = 64 * 1024

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

  func queuedBytes(of target: UInt32) -> Int {
    connections.isOccupied(target) ? connections[target].outbox.byteCount : 0
  }

  func close(_ target: UInt32, because reason: CloseReason) {
    if connections.isOccupied(target) { sessions.close(target, because: reason) }
  }

  /// Whether a connection may be given something.
  @inline(__always)
  func isOpen(_ target: UInt32) -> Bool {
    connections.isOccupied(target) && connections[target].stage == Self.openStage
  }

  // MARK: A fan-out

  /// How a fan-out gives a member a block. A connection may have begun to close in this very fan-out, as a slow consumer:
  /// nothing follows its end.
  ///
  /// - Parameter isAlone: whether nothing else of this tick can be for it.
  @inline(__always)
  func way(of target: UInt32, isAlone: Bool) -> Connection.Way {
    guard connections.isOccupied(target) else { return .none }
    let way = connections[target].way(isAlone: isAlone)
    guard way == .unsettled else { return way }
    queues.settle(target)
    return connections[target].way(isAlone: isAlone)
  }

  /// Queues a block for a member without a send in the ring.
  func queue(_ block: [UInt8], for index: UInt32, sparing: Bool, isBacklog: Bool) {
    connections[index].outbox.push(block)
    queues.markDirty(index)
    noteQueued(block.count, for: index, sparing: sparing, isBacklog: isBacklog)
  }

  /// Holds a member to the limit of its queue after a fan-out has queued so many bytes for it.
  func noteQueued(_ count: Int, for index: UInt32, sparing: Bool, isBacklog: Bool) {
    if isBacklog { return connections[index].outbox.noteSolicited(count) }
    // A connection that is in the roster although the hub knows it to be unwritable is not spared here.
    guard sparing, !connections[index].isUnwritable else { return limitQueue(index) }
    // Several rooms may queue in one tick: a socket that takes nothing is found out before the next room.
    if connections[index].outbox.byteCount > queuedBeforeSend { queues.sendEarly(index) }
  }

  /// Past the limit a reader is too slow: what it has not read yet it can ask for when it returns.
  @inline(__always)
  func limitQueue(_ index: UInt32) {
    if connections[index].outbox.unsolicitedBytes > queues.queueBytesMax { closeSlow(index) }
  }

  private func closeSlow(_ index: UInt32) {
    guard isOpen(index) else { return }
    metrics.slowConsumers += 1
    sessions.closeSlow(index, because: .slowConsumer)
  }

  // MARK: Offers

  /// Gives messages that a connection's user has not asked for. They have a part of its queue, so that they neither fill it
  /// nor leave less than half of it to its rooms; what does not fit is refused, and the connection stays.
  ///
  /// - Parameter block: the bytes for a connection.
  /// - Returns: those who were refused.
  func offer(
    bytes count: Int, _ allotment: Allotment, toEach targets: [UInt32], _ block: (UInt32) -> [UInt8]
  ) -> [UInt32] {
    let bytesMax = queues.queueBytesMax / (allotment == .clients ? 2 : 1)
    var refused: [UInt32] = []
    for target in targets {
      if isOpen(target), queues.mayOffer(count, within: bytesMax, to: target) {
        queues.push(block(target), to: target)
      } else {
        refused.append(target)
      }
    }
    return refused
  }
}
