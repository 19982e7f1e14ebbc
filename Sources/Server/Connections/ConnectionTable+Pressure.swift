import ClientProtocol
import LoopCore
import Realtime
import WebSocketCore

// Both directions of back-pressure: readers that are slower than their rooms, and senders that are faster than the broker.

extension ConnectionTable {
  /// Bytes that a room that spares slow readers may queue before it is found out whether the socket takes them.
  private static let queuedBeforeSend = 64 * 1024

  // MARK: Slow readers

  /// Sends early what several rooms have queued in one tick: whoever takes nothing is then known before the next room.
  /// Drops no connection, because it is called inside a fan-out.
  func relieve(_ index: UInt32) {
    if connections[index].outbox.byteCount > ConnectionTable.queuedBeforeSend { sendEarly(index) }
  }

  /// Sends what a connection has queued before the tick ends. Drops no connection: a send that failed is noted.
  func sendEarly(_ index: UInt32) {
    settle(index)
    let socket = connections[index].socket
    let tls = connections[index].tls
    switch connections[index].outbox.flush(scratch: scratch, send: { tls?.send($0) ?? Socket.send(socket, $0) }) {
    case .done(let sent): metrics.bytesSent += UInt64(sent)
    case .blocked(let sent):
      metrics.bytesSent += UInt64(sent)
      stuck.append(index)
    case .failed: failed.append(connections.id(at: index))
    }
  }

  /// Tells the hub of the connections that this fan-out has found full.
  func tellWhoIsBehind() {
    while let index = stuck.popLast() { fallBehind(index) }
  }

  /// Tells the hub once that a connection takes no more.
  func fallBehind(_ index: UInt32) {
    guard hub.sparesSlowReaders, !connections[index].isBehind, connections[index].stage == .websocket,
      let session = connections[index].session
    else { return }
    connections[index].isBehind = true
    hub.blocked(session)
  }

  /// Tells the hub that all is sent: more may come, which is sent at once or at the end of the tick.
  func catchUp(_ index: UInt32) {
    connections[index].isBehind = false
    if connections[index].stage == .websocket, let session = connections[index].session { hub.drained(session) }
  }

  // MARK: Answers and their pace

  /// Bytes in a queue below which more is made that can wait: pages of history, large answers. One page is made at a time, so
  /// a queue holds little more than this and the page, and a fast connection has the next as soon as it can take it.
  static let queueRoomBytes = 64 * 1024
  /// Bytes of a connection's own answers that may wait before it is read no further: above the largest single answer that is
  /// usual, so that only who goes on asking without reading meets it.
  private static let answersBytesMax = 2 * 1024 * 1024

  func hasRoom(_ target: UInt32) -> Bool {
    !connections.isOccupied(target) || connections[target].outbox.byteCount < ConnectionTable.queueRoomBytes
  }

  func awaitRoom(_ target: UInt32) {
    if connections.isOccupied(target) { connections[target].awaitsRoom = true }
  }

  func isNearLimit(_ target: UInt32) -> Bool {
    guard connections.isOccupied(target) else { return false }
    settle(target)
    return connections[target].outbox.byteCount > limits.queueBytesMax / 2
  }

  func pauseUntilRoom(_ target: UInt32) {
    guard connections.isOccupied(target), connections[target].stage == .websocket else { return }
    connections[target].awaitsRoom = true
    pause(target, .queue)
  }

  func answer(_ message: Span<UInt8>, _ kind: EventKind, to target: UInt32) {
    guard connections.isOccupied(target), connections[target].stage == .websocket else { return }
    // A send that is in the ring leaves the queue before the answer is added, not while.
    settle(target)
    let before = connections[target].outbox.byteCount
    appendMessage(kind.opcode, message, to: target)
    noteAnswer(target, before: before)
  }

  /// Counts what was added to a queue since it held `before` bytes as asked for by its connection.
  func noteAnswer(_ index: UInt32, before: Int) {
    connections[index].outbox.noteSolicited(connections[index].outbox.byteCount - before)
    if connections[index].outbox.solicitedBytes > ConnectionTable.answersBytesMax { pauseUntilRoom(index) }
  }

  /// Tells the hub, and reads on, when a queue that was waited for has room again.
  func tellRoom(_ index: UInt32) {
    guard connections[index].awaitsRoom, connections[index].outbox.byteCount < ConnectionTable.queueRoomBytes else {
      return
    }
    connections[index].awaitsRoom = false
    resume(index, .queue)
    if connections[index].stage == .websocket, let session = connections[index].session { hub.hasRoom(session) }
  }

  /// Whether a connection takes nothing of what it has asked for: not for a time, neither into its kernel nor out of ours.
  func hasStopped(_ index: UInt32) -> Bool {
    guard connections[index].wantsWrite, connections[index].outbox.solicitedBytes > 0,
      milliseconds(since: connections[index].takenAt) >= Deadlines.unreadMilliseconds
    else { return false }
    guard hasAcknowledged(index) else { return true }
    connections[index].takenAt = wheel.tick
    return false
  }

  /// Whether the peer's kernel has acknowledged anything since this was last asked.
  func hasAcknowledged(_ index: UInt32) -> Bool {
    let acknowledged = UInt32(truncatingIfNeeded: Socket.acknowledgedBytes(connections[index].socket) ?? 0)
    defer { connections[index].acknowledged = acknowledged }
    return acknowledged != connections[index].acknowledged
  }

  /// Closes a connection that has stopped to take what it asked for.
  func closeStopped(_ index: UInt32) {
    metrics.slowConsumers += 1
    connections[index].outbox.dropUnsent()
    close(index, because: .nothingRead)
  }

  // MARK: Fast senders

  func pauseReading(_ target: UInt32) {
    if connections.isOccupied(target) { pause(target, .broker) }
  }

  func resumeReading(_ target: UInt32) {
    if connections.isOccupied(target) { resume(target, .broker) }
  }

  private func pause(_ index: UInt32, _ reason: Pauses) {
    let wasPaused = connections[index].isPaused
    connections[index].pauses.insert(reason)
    if !wasPaused { updateInterest(index) }
  }

  /// Reads again at the end of the tick, unless another reason stands against it.
  func resume(_ index: UInt32, _ reasons: Pauses) {
    guard !connections[index].pauses.isDisjoint(with: reasons) else { return }
    connections[index].pauses.subtract(reasons)
    guard connections[index].pauses.isEmpty else { return }
    connections[index].pauses = .resuming
    resuming.append(connections.id(at: index))
    loop.tickAgain()
  }

  /// Keeps what was read behind the operation at which a connection was stopped.
  func keep(_ bytes: UnsafeRawBufferPointer, of index: UInt32) { pausedBytes[index] = Array(bytes) }

  /// Goes on with those that may be read again: first with what was read before.
  func resumeReaders() {
    guard !resuming.isEmpty else { return }
    var ids: [SlabID] = []
    swap(&ids, &resuming)
    for id in ids where connections.contains(id) && connections[id.index].isPaused {
      connections[id.index].pauses.remove(.resuming)
      guard !connections[id.index].isPaused else { continue }
      // The pause was the node's: it does not count against a message that is not complete.
      if connections[id.index].unfinishedSince != nil { connections[id.index].unfinishedSince = wheel.tick }
      if var bytes = pausedBytes.removeValue(forKey: id.index) {
        // Safe because the bytes are this call's own.
        bytes.withUnsafeMutableBytes { _ = consume(id, $0) }
      }
      guard connections.contains(id), !connections[id.index].isPaused else { continue }
      updateInterest(id.index)
      // What OpenSSL holds already is no event of the socket.
      if connections[id.index].tls?.holdsBytes == true { read(id.index) }
    }
  }
}
