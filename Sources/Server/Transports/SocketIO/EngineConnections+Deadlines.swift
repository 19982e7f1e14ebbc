import Realtime
import SocketIOCore
import TimeCore

// What is due by time: pings, and what clients must have done by then.

extension EngineConnections {
  /// Has a connection without a namespace end, unless it connects to one in time.
  func awaitConnect(_ index: UInt32) { timers.set(.connect, of: index, in: limits.connect) }

  func deadlineDue(_ index: UInt32, _ deadline: EngineTimers.Deadline) {
    switch deadline {
    case .ping: if store[index].awaitsPong { pongOverdue(index) } else { ping(index) }
    case .connect:
      if store[index].isClosing { return remove(index) }
      guard store[index].socketCount == 0 else { return }
      metrics.refusals.add(.authenticationTime)
      close(index, because: .notAuthenticated)
    case .upgrade: if let upgrade = store[index].polling?.upgrade { host?.drop(upgrade.webSocket) }
    }
  }

  private func ping(_ index: UInt32) {
    guard !store[index].isClosing else { return }
    store[index].awaitsPong = true
    timers.set(.ping, of: index, in: limits.pingTimeout)
    var packets = EncodedPackets()
    packets.addText { EngineWriter.append(.ping, to: &$0) }
    send(packets, to: index, isSolicited: true)
  }

  private func pongOverdue(_ index: UInt32) {
    guard let webSocket = store[index].webSocket else {
      metrics.ghosts += 1
      return end(index, answering: EngineError.unknownSession.answer)
    }
    // Its pong may wait unread, or after what a slow line has still to carry in either direction.
    if connections[webSocket].isPaused
      || connectionTimers.time(since: connections[webSocket].lastReceived) < limits.pingTimeout
      || heartbeats.stillTakes(webSocket)
    {
      return timers.set(.ping, of: index, in: limits.pingTimeout)
    }
    metrics.ghosts += 1
    sessions.traceEnd(webSocket, "no answer to a ping", nil)
    host?.drop(webSocket)
  }

  func notePong(_ index: UInt32) {
    guard store[index].awaitsPong else { return }
    store[index].awaitsPong = false
    timers.set(.ping, of: index, in: limits.pingInterval)
  }
}
