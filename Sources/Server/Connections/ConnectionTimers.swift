import LoopCore
import TimeCore

/// Deadlines that are not settings, each with its reason.
enum Deadlines {
  /// A request head must be complete by then: a slow sender would hold a descriptor for nothing (slowloris).
  static let requestHead = Interval.seconds(10)
  /// The peer's close frame must come by then (RFC 6455 section 7.1.1 lets a server wait, and does not make it wait longer).
  static let close = Interval.seconds(5)
  /// What is queued after the last answer must be taken by then.
  static let finish = Interval.seconds(10)
  /// An answer on a connection that goes on must be taken by then, however long the connection may be idle afterwards: 1 MiB
  /// in that time is what the slowest mobile line takes.
  static let answer = Interval.seconds(60)
  /// What a connection has asked for is sent as slowly as it takes it; one that takes nothing at all for this long is closed
  /// with 4408. Long enough for a train in a tunnel, short enough not to hold what waits for a peer that is gone.
  static let unread = Interval.seconds(30)
  /// After the server's end of the connection the peer's must come by then.
  static let linger = Interval.seconds(2)
}

/// The timer wheel of a table: when each connection is looked at next, and the deadlines of its stages.
final class ConnectionTimers {
  /// The time between two ticks of the wheel: the precision of timeouts.
  static let tickInterval = Interval.milliseconds(250)

  private let connections: ConnectionStore
  private let pingInterval: Interval
  private let messageTimeout: Interval
  private var wheel = TimerWheel()
  private var isTurning = false
  private var keepAlive = KeepAlive()
  weak var host: (any ConnectionHost)?
  /// Looks at a connection whose time has come. Set once.
  var visit: (UInt32) -> Void = { _ in }

  init(_ connections: ConnectionStore, _ limits: ConnectionLimits) {
    self.connections = connections
    pingInterval = limits.pingInterval
    messageTimeout = limits.messageTimeout
  }

  /// The current tick of the wheel.
  var tick: UInt32 { wheel.tick }

  /// The time since a tick of the wheel.
  func time(since tick: UInt32) -> Interval { ConnectionTimers.tickInterval * Int(wheel.tick &- tick) }

  /// Schedules the next look at a connection.
  func schedule(_ index: UInt32, in interval: Interval) {
    let ticks = interval / ConnectionTimers.tickInterval + 1
    connections[index].due = wheel.schedule(index, in: ticks)
  }

  /// The same for a stage that begins. A look that comes sooner stays: it schedules the one that is due then. So a connection
  /// with many short requests is not in the wheel with each of them.
  private func scheduleStage(_ index: UInt32, in interval: Interval) {
    let wanted = Int32(clamping: interval / ConnectionTimers.tickInterval + 1)
    let dueIn = Int32(bitPattern: connections[index].due &- wheel.tick)
    if dueIn <= 0 || dueIn > wanted { schedule(index, in: interval) }
  }

  /// Keeps the wheel turning while there is anything in it: an empty node sleeps.
  func start() {
    guard !isTurning else { return }
    isTurning = true
    host?.after(ConnectionTimers.tickInterval) { [weak self] in self?.advance() }
  }

  private func advance() {
    isTurning = false
    for index in wheel.advance() where connections.isOccupied(index) && connections[index].due == wheel.tick {
      visit(index)
    }
    if wheel.count > 0 { start() }
  }

  /// Begins a stage, whose deadline runs from now.
  func enter(_ stage: Connection.Stage, _ index: UInt32) {
    releasePlace(index)
    connections[index].stage = stage
    connections[index].stageSince = wheel.tick
    switch stage {
    case .preamble, .request, .handshake: scheduleStage(index, in: Deadlines.requestHead)
    case .idle:
      connections[index].isKeptLong = keepAlive.take()
      scheduleStage(index, in: KeepAlive.short)
    case .closing: schedule(index, in: Deadlines.close)
    case .finishing: schedule(index, in: Deadlines.finish)
    // It has no deadline, and the visit that its request has scheduled looks again.
    case .answering: break
    case .lingering: schedule(index, in: Deadlines.linger)
    case .websocket, .echo, .eventStream, .engine, .admin: schedule(index, in: pingInterval)
    }
  }

  /// Gives back the place of a connection among those that may be idle for long.
  func releasePlace(_ index: UInt32) {
    guard connections[index].isKeptLong else { return }
    keepAlive.release()
    connections[index].isKeptLong = false
  }

  /// Remembers that a message is not complete, since now or since before, and looks again when it must be.
  func noteUnfinished(_ index: UInt32, isNew: Bool) {
    guard isNew || connections[index].unfinishedSince == nil else { return }
    connections[index].unfinishedSince = wheel.tick
    let dueIn = Int32(bitPattern: connections[index].due &- wheel.tick)
    // With the usual settings the next heartbeat comes sooner: no entry is added for a message in two reads.
    guard dueIn > Int32(messageTimeout / ConnectionTimers.tickInterval + 1) else { return }
    schedule(index, in: messageTimeout)
  }

  /// Gives memory back after a crowd has left.
  func shrink() { wheel.shrink() }
}
