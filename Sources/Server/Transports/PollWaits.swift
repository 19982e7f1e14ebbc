import AddressCore
import HTTPCore
import Realtime
import TimeCore

/// Polls that wait for a message: which request each of them answers, until when, and how many there are. A poll waits on
/// its connection, which is a place of the table like any other, so that it costs nothing else.
final class PollWaits {
  private let connections: ConnectionStore
  private let hub: Hub
  private let timers: ConnectionTimers
  private let sessions: ConnectionSessions
  private let peers: PeerGuard
  private let limits: ConnectionLimits
  private let metrics: Metrics
  /// Polls that wait.
  private(set) var count = 0

  init(
    _ connections: ConnectionStore, hub: Hub, timers: ConnectionTimers, sessions: ConnectionSessions, peers: PeerGuard,
    limits: ConnectionLimits, metrics: Metrics
  ) {
    self.connections = connections
    self.hub = hub
    self.timers = timers
    self.sessions = sessions
    self.peers = peers
    self.limits = limits
    self.metrics = metrics
  }

  /// Begins the wait of a poll, within the limits of connections. Returns why it may not wait, or nil.
  func begin(_ request: Request, _ waiter: PollWaiter, for interval: Interval) -> Response? {
    let index = request.connection.index
    guard connections.contains(request.connection), connections[index].stage == .answering,
      let exchange = connections[index].exchange
    else { return ErrorResponse.make(.unavailable, "the client has gone while its token was judged") }
    if let max = limits.connectionsMax, sessions.count + count >= max {
      metrics.connectionsRefused += 1
      metrics.refusals.add(.connections)
      return ErrorResponse.make(.unavailable, "this node is full: poll again later")
    }
    // A proxy's connection is not counted; who waits through it is.
    var counted: IPAddress?
    if !connections[index].isCounted {
      let address = peers.number(of: request.address)
      guard peers.admit(address) else { return PeerGuard.makeAddressRefusal() }
      counted = address
    }
    exchange.wait = PollWait(waiter: waiter, counted: counted, since: timers.tick, interval: interval)
    count += 1
    // The request's own deadline looks at the connection within that time.
    if interval < Deadlines.requestHead { timers.schedule(index, in: interval) }
    return nil
  }

  /// Looks at a connection whose request is being answered.
  func visit(_ index: UInt32) {
    guard let wait = connections[index].exchange?.wait else { return timers.schedule(index, in: Deadlines.finish) }
    let waited = timers.time(since: wait.since)
    if waited >= wait.interval {
      timers.schedule(index, in: Deadlines.finish)
      hub.endWait(wait.waiter)
    } else {
      timers.schedule(index, in: min(wait.interval - waited, Deadlines.finish))
    }
  }

  /// Notes that a request was answered: it waits no more.
  func end(_ exchange: Exchange) {
    guard let wait = exchange.wait else { return }
    exchange.wait = nil
    count -= 1
    if let address = wait.counted { peers.release(address) }
  }

  /// Gives up the poll of a connection that is gone.
  func forget(_ index: UInt32) {
    guard let exchange = connections[index].exchange, let wait = exchange.wait else { return }
    end(exchange)
    hub.cancel(wait.waiter)
  }

  /// Ends the wait of a connection's poll, if it has one, because this node is about to stop.
  func hurry(_ index: UInt32) { if let wait = connections[index].exchange?.wait { hub.endWait(wait.waiter) } }
}

/// The wait of one poll.
struct PollWait {
  let waiter: PollWaiter
  /// The client's address, if it was counted for this wait.
  let counted: IPAddress?
  /// The wheel's tick at which the wait began.
  let since: UInt32
  let interval: Interval
}
