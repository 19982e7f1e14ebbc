import LoopCore
import Realtime

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

  // MARK: Fast senders

  func pauseReading(_ target: UInt32) {
    guard connections.isOccupied(target), !connections[target].isPaused else { return }
    connections[target].isPaused = true
    updateInterest(target)
  }

  func resumeReading(_ target: UInt32) {
    guard connections.isOccupied(target), connections[target].isPaused else { return }
    resuming.append(connections.id(at: target))
    loop.tickAgain()
  }

  /// Keeps what was read behind the operation at which a connection was stopped.
  func keep(_ bytes: UnsafeRawBufferPointer, of index: UInt32) { pausedBytes[index] = Array(bytes) }

  /// Goes on with those that may be read again: first with what was read before.
  func resumeReaders() {
    var ids: [SlabID] = []
    swap(&ids, &resuming)
    for id in ids where connections.contains(id) && connections[id.index].isPaused {
      connections[id.index].isPaused = false
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
