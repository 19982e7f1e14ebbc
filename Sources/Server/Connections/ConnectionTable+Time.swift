import LoopCore
import WebSocketCore

/// Deadlines that are not settings, each with its reason.
enum Deadlines {
  /// A request head must be complete by then: a slow sender would hold a descriptor for nothing (slowloris).
  static let requestHeadMilliseconds = 10_000
  /// The peer's close frame must come by then; whoever does not answer has gone (RFC 6455 section 7.1.1 lets us wait).
  static let closeMilliseconds = 5000
  /// What is queued behind the last answer must be taken by then.
  static let finishMilliseconds = 10_000
  /// An answer on a connection that goes on must be taken by then, however long the connection may be idle afterwards: 1 MiB
  /// in that time is what the slowest mobile line takes.
  static let answerMilliseconds = 60_000
  /// What a connection has asked for is sent as slowly as it takes it; one that takes nothing at all for this long is closed
  /// with 4408. Long enough for a train in a tunnel, short enough not to hold what waits for those who are gone.
  static let unreadMilliseconds = 30_000
  /// After our end of the connection the peer's must come by then.
  static let lingerMilliseconds = 2000
}

extension ConnectionTable {
  // MARK: The wheel

  /// Schedules the next look at a connection.
  func schedule(_ index: UInt32, inMilliseconds milliseconds: Int) {
    let ticks = milliseconds / ConnectionTable.wheelTickMilliseconds + 1
    connections[index].due = wheel.schedule(index, in: ticks)
  }

  /// Keeps the wheel turning while there is anything in it: an empty node sleeps.
  func turnWheel() {
    guard !isWheelTurning else { return }
    isWheelTurning = true
    loop.after(milliseconds: ConnectionTable.wheelTickMilliseconds) { [weak self] in self?.advanceWheel() }
  }

  private func advanceWheel() {
    isWheelTurning = false
    for index in wheel.advance() where connections.isOccupied(index) && connections[index].due == wheel.tick {
      visit(index)
    }
    if wheel.count > 0 { turnWheel() }
  }

  // MARK: Visits

  /// Looks at a connection whose time has come.
  func visit(_ index: UInt32) {
    let inStage = milliseconds(since: connections[index].stageSince)
    switch connections[index].stage {
    case .preamble, .request, .handshake: expire(index, after: Deadlines.requestHeadMilliseconds, inStage)
    case .idle: expireIdle(index, inStage)
    case .closing: expire(index, after: Deadlines.closeMilliseconds, inStage)
    case .finishing: expire(index, after: Deadlines.finishMilliseconds, inStage)
    case .lingering: expire(index, after: Deadlines.lingerMilliseconds, inStage)
    case .answering: schedule(index, inMilliseconds: Deadlines.finishMilliseconds)
    case .websocket, .echo: heartbeat(index)
    }
  }

  private func expireIdle(_ index: UInt32, _ inStage: Int) {
    guard connections[index].outbox.isEmpty else { return expire(index, after: Deadlines.answerMilliseconds, inStage) }
    let limit = connections[index].isKeptLong ? KeepAlive.longMilliseconds : KeepAlive.shortMilliseconds
    expire(index, after: limit, inStage)
  }

  private func expire(_ index: UInt32, after limit: Int, _ inStage: Int) {
    if inStage >= limit {
      drop(index)
    } else {
      schedule(index, inMilliseconds: limit - inStage)
    }
  }

  /// Pings a silent peer, and drops one that answers nothing: a ghost, whose machine is gone without a word.
  ///
  /// Neither what it sends nor what it answers moves the deadline of a message that is not complete.
  private func heartbeat(_ index: UInt32) {
    if hasStopped(index) { return closeStopped(index) }
    // Its pong may have come: nobody has looked.
    if connections[index].isPaused { return schedule(index, inMilliseconds: limits.pingTimeoutMilliseconds) }
    if let since = connections[index].unfinishedSince, milliseconds(since: since) >= limits.messageMilliseconds {
      return failUnfinished(index)
    }
    if let pingedAt = connections[index].pingedAt {
      let waited = milliseconds(since: pingedAt)
      guard waited >= limits.pingTimeoutMilliseconds else {
        return scheduleHeartbeat(index, inMilliseconds: limits.pingTimeoutMilliseconds - waited)
      }
      // The ping may stand behind what a slow line has still to carry.
      if hasAcknowledged(index), connections[index].wantsWrite || Socket.holdsUnacknowledged(connections[index].socket)
      {
        return schedule(index, inMilliseconds: limits.pingTimeoutMilliseconds)
      }
      metrics.ghosts += 1
      traceEnd(index, "no answer to a ping", nil)
      return drop(index)
    }
    let silent = milliseconds(since: connections[index].lastHeard)
    guard silent >= limits.pingIntervalMilliseconds else {
      return scheduleHeartbeat(index, inMilliseconds: limits.pingIntervalMilliseconds - silent)
    }
    // RFC 6455 section 5.5.2: an unsolicited ping; the peer must answer.
    append(to: index) { FrameWriter.appendHeader(.ping, payloadBytes: 0, to: &$0) }
    connections[index].pingedAt = wheel.tick
    _ = hasAcknowledged(index)
    scheduleHeartbeat(index, inMilliseconds: limits.pingTimeoutMilliseconds)
  }

  /// Schedules the next look at a WebSocket, sooner when a message must be complete before.
  private func scheduleHeartbeat(_ index: UInt32, inMilliseconds milliseconds: Int) {
    let left = connections[index].unfinishedSince.map { limits.messageMilliseconds - self.milliseconds(since: $0) }
    schedule(index, inMilliseconds: min(milliseconds, max(0, left ?? milliseconds)))
  }

  /// Remembers that a message is not complete, since now or since before, and looks again when it must be.
  func noteUnfinished(_ index: UInt32, isNew: Bool) {
    guard isNew || connections[index].unfinishedSince == nil else { return }
    connections[index].unfinishedSince = wheel.tick
    let dueIn = Int32(bitPattern: connections[index].due &- wheel.tick)
    // With the usual settings the next heartbeat comes sooner: no entry is added for a message in two reads.
    guard dueIn > Int32(limits.messageMilliseconds / ConnectionTable.wheelTickMilliseconds + 1) else { return }
    schedule(index, inMilliseconds: limits.messageMilliseconds)
  }

  func milliseconds(since tick: UInt32) -> Int { Int(wheel.tick &- tick) * ConnectionTable.wheelTickMilliseconds }

  /// Begins a stage, whose deadline runs from now.
  func enter(_ stage: Connection.Stage, _ index: UInt32) {
    if connections[index].isKeptLong {
      keepAlive.release()
      connections[index].isKeptLong = false
    }
    connections[index].stage = stage
    connections[index].stageSince = wheel.tick
    switch stage {
    case .preamble, .request, .handshake: schedule(index, inMilliseconds: Deadlines.requestHeadMilliseconds)
    case .idle:
      connections[index].isKeptLong = keepAlive.take()
      schedule(index, inMilliseconds: KeepAlive.shortMilliseconds)
    case .closing: schedule(index, inMilliseconds: Deadlines.closeMilliseconds)
    case .finishing: schedule(index, inMilliseconds: Deadlines.finishMilliseconds)
    // It has no deadline, and the visit that its request has scheduled looks again.
    case .answering: break
    case .lingering: schedule(index, inMilliseconds: Deadlines.lingerMilliseconds)
    case .websocket, .echo: schedule(index, inMilliseconds: limits.pingIntervalMilliseconds)
    }
  }
}
