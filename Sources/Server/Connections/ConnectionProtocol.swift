import LoopCore
import Realtime

/// What a connection does with the bytes that it receives, whatever stage it is in. Needs no socket: bytes come by
/// `receive`, and what is sent is in the connection's outbox.
final class ConnectionProtocol {
  private let connections: ConnectionStore
  private let timers: ConnectionTimers
  private let input: HeldInput
  private let requests: RequestProtocol
  private let webSockets: WebSocketProtocol
  weak var host: (any ConnectionHost)?

  init(
    _ connections: ConnectionStore, timers: ConnectionTimers, input: HeldInput, requests: RequestProtocol,
    webSockets: WebSocketProtocol
  ) {
    self.connections = connections
    self.timers = timers
    self.input = input
    self.requests = requests
    self.webSockets = webSockets
  }

  /// Takes what was read. The bytes are only lent, and may be changed.
  func receive(_ id: SlabID, _ bytes: UnsafeMutableRawBufferPointer) {
    connections[id.index].lastReceived = timers.tick
    // A peer that sends anything is alive, a pong or not.
    connections[id.index].pingedAt = nil
    let used = consume(id, bytes)
    if used < bytes.count { readAhead(id, UnsafeRawBufferPointer(rebasing: bytes[used...])) }
  }

  /// Feeds bytes to the stage that the connection is in, which may change in the middle of them. Returns how many are used:
  /// the others are requests whose turn has not come, and the caller keeps them.
  private func consume(_ id: SlabID, _ bytes: UnsafeMutableRawBufferPointer) -> Int {
    var cursor = 0
    while cursor < bytes.count, connections.contains(id) {
      if connections[id.index].isPaused {
        input.keep(UnsafeRawBufferPointer(rebasing: bytes[cursor...]), of: id.index)
        return bytes.count
      }
      switch connections[id.index].stage {
      case .request: requests.read(id, bytes, &cursor)
      case .idle:
        // No request is parsed before the last answer is sent: a reader of none would make the node keep them all.
        guard connections[id.index].outbox.isEmpty else { return cursor }
        timers.enter(.request, id.index)
      case .websocket, .echo, .engine, .admin, .closing: webSockets.readFrames(id, bytes, &cursor)
      case .answering: return cursor
      case .preamble, .handshake, .eventStream, .finishing, .lingering: return bytes.count
      }
    }
    return bytes.count
  }

  /// Keeps what was read before its turn; nothing more is read until it is used.
  private func readAhead(_ id: SlabID, _ bytes: UnsafeRawBufferPointer) {
    guard connections.contains(id) else { return }
    connections[id.index].exchange?.waiting.append(bytes)
    host?.updateInterest(id.index)
  }

  /// Goes on with the connections that may be read again: first with what was read before.
  func resumeReaders() {
    for id in input.takeResuming() where connections.contains(id) && connections[id.index].isPaused {
      connections[id.index].pauses.remove(.resuming)
      guard !connections[id.index].isPaused else { continue }
      // The pause was the node's: it does not count against a message that is not complete.
      if connections[id.index].unfinishedSince != nil { connections[id.index].unfinishedSince = timers.tick }
      if var bytes = input.takeKept(of: id.index) {
        // Safe because the bytes are this call's own.
        bytes.withUnsafeMutableBytes { _ = consume(id, $0) }
      }
      guard connections.contains(id), !connections[id.index].isPaused else { continue }
      host?.resumeInput(id.index)
    }
  }

  /// Goes on with the requests that came before the last answer was sent. A connection that still has something to send
  /// parses no further one, so what is queued for it is bounded by one answer, and one tick answers one.
  func continueRequests() {
    for id in input.takeContinuing() where connections.contains(id) && connections[id.index].stage == .idle {
      guard let exchange = connections[id.index].exchange, connections[id.index].outbox.isEmpty else { continue }
      // Taken out, because the request may be answered, and more kept, in the middle of it.
      var waiting = ReadAhead()
      swap(&waiting, &exchange.waiting)
      waiting.take { consume(id, $0) }
      guard connections.contains(id) else { continue }
      connections[id.index].exchange?.waiting = waiting
      host?.resumeInput(id.index)
    }
  }
}
