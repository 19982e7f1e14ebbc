import LoopCore
import Realtime

extension ConnectionTable {
  /// Queues bytes of one connection alone; they leave at the end of the tick.
  func append(to index: UInt32, _ write: (inout [UInt8]) -> Void) {
    settle(index)
    connections[index].outbox.append(write)
    markDirty(index)
  }

  func markDirty(_ index: UInt32) {
    guard !connections[index].isDirty else { return }
    connections[index].isDirty = true
    dirty.append(index)
  }

  /// Sends what a connection has queued, and does what is due when nothing is left, or not everything was taken.
  func flush(_ index: UInt32) {
    settle(index)
    connections[index].isDirty = false
    let socket = connections[index].socket
    let tls = connections[index].tls
    let result = connections[index].outbox.flush(scratch: scratch) { tls?.send($0) ?? Socket.send(socket, $0) }
    switch result {
    case .done(let sent):
      metrics.bytesSent += UInt64(sent)
      if connections[index].wantsWrite {
        connections[index].wantsWrite = false
        updateInterest(index)
      }
      if connections[index].stage == .finishing {
        tls?.finishSending()
        if connections[index].isPeerDone { return drop(index) }
        Socket.finishSending(socket)
        enter(.lingering, index)
      } else if connections[index].isBehind {
        catchUp(index)
      } else if hasWaitingRequests(index) {
        continuing.append(connections.id(at: index))
        loop.tickAgain()
      } else if connections[index].stage == .echo, connections[index].isPaused {
        resumeReading(index)
      }
      noteSpace(index)
      if connections[index].awaitsRoom { tellRoom(index) }
    case .blocked(let sent):
      metrics.bytesSent += UInt64(sent)
      if sent > 0 || !connections[index].wantsWrite { connections[index].takenAt = wheel.tick }
      fallBehind(index)
      noteSpace(index)
      if connections[index].awaitsRoom { tellRoom(index) }
      guard !connections[index].wantsWrite else { return }
      connections[index].wantsWrite = true
      updateInterest(index)
    case .failed: drop(index)
    }
  }

  func tickEnds() {
    // First, so that nothing is framed behind a close frame or for a connection that is gone.
    endSessions()
    resumeReaders()
    continueRequests()
    isTickEnding = true
    hub.flush()
    var writing: [UInt32] = []
    swap(&writing, &dirty)
    // A place may be listed and meanwhile empty, or taken by a newcomer with nothing to say: both are harmless.
    for index in writing where connections.isOccupied(index) && connections[index].isDirty {
      if !postponeFlush(index) { flush(index) }
    }
    writing.removeAll(keepingCapacity: true)
    if dirty.isEmpty { swap(&writing, &dirty) }
    finishSends()
    endSessions()
    assert(ring?.count ?? 0 == 0, "a send outlives the end of its tick")
    if hub.hasWork || !dirty.isEmpty || !ending.isEmpty { loop.tickAgain() }
  }

  private func endSessions() {
    while let session = ending.popLast() { hub.close(session) }
    while let id = failed.popLast() { if connections.contains(id) { drop(id.index) } }
  }
}
