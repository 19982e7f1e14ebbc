import LoopCore
import Realtime
import TimeCore

/// The parts of a connection table that need neither sockets nor a loop. Each owns its state.
///
/// A part knows the parts that stand before it here, and the host; no part knows the table.
struct ConnectionParts {
  let connections = ConnectionStore()
  let timers: ConnectionTimers
  let heartbeats: Heartbeats
  let input: HeldInput
  let queues: SendQueues
  let sessions: ConnectionSessions
  let delivery: WebSocketDelivery
  let eventStreams: EventStreamTransport
  let polls: PollTransport
  let webSockets: WebSocketProtocol
  let requests: RequestProtocol
  let protocols: ConnectionProtocol
  let peers: PeerGuard
  let pollWaits: PollWaits
  let engines: EngineConnections
  let socketIO: SocketIOTransport
  let connects: SocketConnects
  private let socketIOProtocol: SocketIOProtocol

  /// - Parameters:
  ///   - ring: through which the sends of a tick's end are made together; nil: each is made at once.
  ///   - trace: the log, when it takes what happens to connections.
  init(hub: Hub, limits: ConnectionLimits, metrics: Metrics, ring: SendRing?, trace: Log?, now: Instant) {
    let compression = MessageCompression()
    timers = ConnectionTimers(connections, limits)
    input = HeldInput(connections)
    peers = PeerGuard(limits, metrics: metrics, now: now)
    queues = SendQueues(
      connections, hub: hub, timers: timers, input: input, queueBytesMax: limits.queueBytesMax, metrics: metrics,
      ring: ring)
    sessions = ConnectionSessions(connections, hub: hub, timers: timers, input: input, queues: queues, trace: trace)
    webSockets = WebSocketProtocol(
      connections, hub: hub, timers: timers, input: input, queues: queues, sessions: sessions, compression: compression,
      limits: limits, metrics: metrics)
    pollWaits = PollWaits(
      connections, hub: hub, timers: timers, sessions: sessions, peers: peers, limits: limits, metrics: metrics)
    requests = RequestProtocol(
      connections, timers: timers, queues: queues, webSockets: webSockets, polls: pollWaits, peers: peers,
      metrics: metrics, node: hub.configuration.nodeID, trace: trace)
    protocols = ConnectionProtocol(
      connections, timers: timers, input: input, requests: requests, webSockets: webSockets)
    heartbeats = Heartbeats(
      connections, timers: timers, queues: queues, sessions: sessions, webSockets: webSockets, polls: pollWaits,
      limits: limits, metrics: metrics)
    delivery = WebSocketDelivery(
      connections, hub: hub, queues: queues, input: input, sessions: sessions, webSockets: webSockets,
      compression: compression, metrics: metrics)
    for format in [WireFormat.webSocket, .webSocketDeflated] { hub.transports[format] = delivery }
    eventStreams = EventStreamTransport(
      connections, hub: hub, timers: timers, queues: queues, sessions: sessions, requests: requests, peers: peers,
      limits: limits, metrics: metrics)
    hub.transports[.eventStream] = eventStreams
    polls = PollTransport(hub: hub, sessions: sessions, peers: peers, limits: limits, metrics: metrics)
    engines = EngineConnections(
      connections, hub: hub, timers: timers, heartbeats: heartbeats, queues: queues, input: input, sessions: sessions,
      webSockets: webSockets, requests: requests, peers: peers, limits: limits, metrics: metrics)
    socketIO = SocketIOTransport(engines, hub: hub, input: input)
    connects = SocketConnects(socketIO)
    socketIOProtocol = SocketIOProtocol(socketIO, connects)
    socketIO.connects = connects
    hub.transports[.socketIO] = socketIO
    engines.messages = socketIOProtocol
    queues.carriers = engines
    sessions.carriers = engines
    webSockets.carriers = engines
  }

  /// Names the object that has the sockets and the loop. Called once, before the first connection; it is not owned.
  func attach(to host: any ConnectionHost) {
    timers.host = host
    timers.visit = { [weak heartbeats] in heartbeats?.visit($0) }
    input.host = host
    queues.host = host
    requests.host = host
    protocols.host = host
    heartbeats.host = host
    polls.host = host
    engines.host = host
    engines.timers.host = host
  }

  /// Does what waits for the end of a tick. Returns whether more of it waits for another tick.
  func endTick(_ hub: Hub) -> Bool {
    // First, so that nothing is framed after a close frame or for a connection that is gone.
    endSessions()
    if input.hasWork {
      protocols.resumeReaders()
      protocols.continueRequests()
    }
    engines.resumePosts()
    eventStreams.joinDue()
    connects.joinDue()
    queues.beginTickEnd()
    hub.flush()
    polls.flush()
    engines.flush()
    queues.endTick()
    endSessions()
    return hub.hasWork || queues.hasWork || sessions.hasWork || eventStreams.hasWork || polls.hasWork
      || engines.hasWork || socketIO.hasWork || connects.hasWork
  }

  private func endSessions() {
    sessions.endDue()
    polls.endClosed()
    socketIO.endDue()
    queues.dropFailed()
  }

  /// Ends the session of a connection and forgets the connection.
  ///
  /// - Parameter close: closes the socket, which nothing uses any more.
  func remove(_ index: UInt32, close: (Int32) -> Void = { _ in }) {
    let id = connections.id(at: index)
    eventStreams.forget(index)
    pollWaits.forget(index)
    if let engine = connections[index].exchange?.engine { engines.pollEnded(on: id, of: engine) }
    sessions.dropped(index)
    // The hub may have sent to other connections meanwhile, never to this one: it is still in its place.
    guard connections.contains(id) else { return }
    if connections[index].isOfOperator { webSockets.operators?.ended(id) }
    // The descriptor's number may soon be another connection's.
    queues.settle(index)
    peers.release(&connections[index])
    timers.releasePlace(index)
    close(connections[index].socket)
    input.forget(index)
    connections.remove(index)
  }

  /// Makes a connection its client's alone. Returns false when the client has too many already.
  func claim(_ request: Request) -> Bool { peers.claim(request, &connections[request.connection.index]) }

  /// Forgets every connection, without the end of its session.
  ///
  /// - Parameter close: closes its socket.
  func removeAll(close: (Int32) -> Void) {
    for index in 0..<connections.end where connections.isOccupied(index) {
      queues.settle(index)
      close(connections[index].socket)
      input.forget(index)
      connections.remove(index)
    }
  }

  /// Gives memory back after a crowd has left.
  func shrink() {
    connections.shrink()
    timers.shrink()
    peers.shrink()
    delivery.shrink()
    eventStreams.shrink()
    polls.shrink()
    engines.shrink()
    socketIO.shrink()
    queues.shrink()
  }
}
