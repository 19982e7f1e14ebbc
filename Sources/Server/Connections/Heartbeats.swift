import ClientProtocol
import HTTPCore
import LoopCore
import TimeCore
import WebSocketCore

/// What happens to a connection whose time has come: its stage expires, or its peer is pinged.
final class Heartbeats {
  private let connections: ConnectionStore
  private let timers: ConnectionTimers
  private let queues: SendQueues
  private let sessions: ConnectionSessions
  private let webSockets: WebSocketProtocol
  private let polls: PollWaits
  private let limits: ConnectionLimits
  private let metrics: Metrics
  weak var host: (any ConnectionHost)?

  init(
    _ connections: ConnectionStore, timers: ConnectionTimers, queues: SendQueues, sessions: ConnectionSessions,
    webSockets: WebSocketProtocol, polls: PollWaits,
    limits: ConnectionLimits, metrics: Metrics
  ) {
    self.connections = connections
    self.timers = timers
    self.queues = queues
    self.sessions = sessions
    self.webSockets = webSockets
    self.polls = polls
    self.limits = limits
    self.metrics = metrics
  }

  /// Looks at a connection whose time has come.
  func visit(_ index: UInt32) {
    let inStage = timers.time(since: connections[index].stageSince)
    switch connections[index].stage {
    case .preamble, .request, .handshake: expire(index, after: Deadlines.requestHead, inStage)
    case .idle: expireIdle(index, inStage)
    case .closing: expire(index, after: Deadlines.close, inStage)
    case .finishing: expire(index, after: Deadlines.finish, inStage)
    case .lingering: expire(index, after: Deadlines.linger, inStage)
    case .answering: polls.visit(index)
    case .websocket, .echo, .eventStream, .engine, .admin: heartbeat(index)
    }
  }

  private func expireIdle(_ index: UInt32, _ inStage: Interval) {
    guard connections[index].outbox.isEmpty else { return expire(index, after: Deadlines.answer, inStage) }
    let limit = connections[index].isKeptLong ? KeepAlive.long : KeepAlive.short
    expire(index, after: limit, inStage)
  }

  private func expire(_ index: UInt32, after limit: Interval, _ inStage: Interval) {
    if inStage >= limit {
      host?.drop(index)
    } else {
      timers.schedule(index, in: limit - inStage)
    }
  }

  /// Pings a silent peer, and drops one that answers nothing, because its machine is gone.
  ///
  /// Neither what it sends nor what it answers moves the deadline of a message that is not complete.
  private func heartbeat(_ index: UInt32) {
    if hasStopped(index) {
      metrics.slowConsumers += 1
      return sessions.closeSlow(index, because: .nothingRead)
    }
    // Its pong may wait unread.
    if connections[index].isPaused { return timers.schedule(index, in: limits.pingTimeout) }
    if let since = connections[index].unfinishedSince, timers.time(since: since) >= limits.messageTimeout {
      return webSockets.failUnfinished(index)
    }
    if connections[index].stage == .eventStream { return streamHeartbeat(index) }
    // Engine.IO has pings of its own.
    if connections[index].stage == .engine { return scheduleHeartbeat(index, in: limits.pingInterval) }
    if let pingedAt = connections[index].pingedAt {
      let waited = timers.time(since: pingedAt)
      guard waited >= limits.pingTimeout else {
        return scheduleHeartbeat(index, in: limits.pingTimeout - waited)
      }
      if stillTakes(index) { return timers.schedule(index, in: limits.pingTimeout) }
      metrics.ghosts += 1
      sessions.traceEnd(index, "no answer to a ping", nil)
      host?.drop(index)
      return
    }
    let silent = timers.time(since: connections[index].lastReceived)
    guard silent >= limits.pingInterval else {
      return scheduleHeartbeat(index, in: limits.pingInterval - silent)
    }
    sendHeartbeat(index)
    connections[index].pingedAt = timers.tick
    scheduleHeartbeat(index, in: limits.pingTimeout)
  }

  /// Sends a comment down an event stream, and drops one whose peer's kernel has not acknowledged the last one: nobody
  /// answers there.
  private func streamHeartbeat(_ index: UInt32) {
    if connections[index].pingedAt != nil {
      connections[index].pingedAt = nil
      guard hasAcknowledged(index) || !Socket.holdsUnacknowledged(connections[index].socket) else {
        metrics.ghosts += 1
        sessions.traceEnd(index, "nothing acknowledged", nil)
        host?.drop(index)
        return
      }
      return timers.schedule(index, in: max(.zero, limits.pingInterval - limits.pingTimeout))
    }
    sendHeartbeat(index)
    connections[index].pingedAt = timers.tick
    timers.schedule(index, in: min(limits.pingTimeout, limits.pingInterval))
  }

  private func sendHeartbeat(_ index: UInt32) {
    _ = hasAcknowledged(index)
    queues.append(to: index) { [stage = connections[index].stage] output in
      if stage == .eventStream {
        // WHATWG HTML section 9.2.7: a comment keeps proxies from closing a quiet stream.
        ServerSentEvents.appendComment(to: &output)
      } else {
        // RFC 6455 section 5.5.2: an unsolicited ping; the peer must answer.
        FrameWriter.appendHeader(.ping, payloadBytes: 0, to: &output)
      }
    }
  }

  /// Schedules the next look at a WebSocket, sooner when a message must be complete before.
  private func scheduleHeartbeat(_ index: UInt32, in interval: Interval) {
    let left = connections[index].unfinishedSince.map { limits.messageTimeout - timers.time(since: $0) }
    timers.schedule(index, in: min(interval, max(.zero, left ?? interval)))
  }

  // MARK: Readers that have stopped

  /// Whether a connection takes nothing of what it has asked for: not for a time, neither into its kernel nor out of ours.
  private func hasStopped(_ index: UInt32) -> Bool {
    guard connections[index].wantsWrite, connections[index].outbox.solicitedBytes > 0,
      timers.time(since: connections[index].takenAt) >= Deadlines.unread
    else { return false }
    guard hasAcknowledged(index) else { return true }
    connections[index].takenAt = timers.tick
    return false
  }

  /// Whether a ping may wait after what a slow line has still to carry.
  func stillTakes(_ index: UInt32) -> Bool {
    hasAcknowledged(index) && (connections[index].wantsWrite || Socket.holdsUnacknowledged(connections[index].socket))
  }

  /// Whether the peer's kernel has acknowledged anything since this was last asked.
  private func hasAcknowledged(_ index: UInt32) -> Bool {
    let acknowledged = UInt32(truncatingIfNeeded: Socket.acknowledgedBytes(connections[index].socket) ?? 0)
    defer { connections[index].acknowledged = acknowledged }
    return acknowledged != connections[index].acknowledged
  }
}
