import AddressCore
import ClientProtocol
import Compression
import HTTPCore
import LoopCore
import Realtime
import TimeCore
import WebSocketCore

/// The limits of connections that operators may change.
struct ConnectionLimits: Sendable {
  /// Bytes of one message, reassembled and inflated.
  var messageBytesMax = 64 * 1024
  /// Bytes that may wait for a slow reader before it is closed with 4408.
  var queueBytesMax = 1024 * 1024
  /// WebSockets on this node; nil: as many as the process has descriptors for.
  var connectionsMax: Int?
  var pingInterval = Interval.seconds(25)
  var pingTimeout = Interval.seconds(10)
  /// Time in which a message that has begun must be complete.
  var messageTimeout = Interval.seconds(60)
  var isEchoEnabled = false
  /// Sockets of one address.
  var connectionsPerAddress: PeerLimit = 0
  /// WebSocket handshakes a second.
  var handshakesPerSecond: PeerLimit = 0
  /// The proxies whose statements about a client's address are believed.
  var trustedProxies = TrustedProxies([])
  /// Whether their connections begin with a PROXY protocol header.
  var requiresProxyHeader = false
}

/// All connections of a node. Made of parts, each of which owns its state; knows no rooms.
///
/// Bytes: `SocketInput` over `Wire`, `HeldInput`. Protocol: `ConnectionProtocol` with `RequestProtocol` and `WebSocketProtocol`. Sending:
/// `WebSocketDelivery`, `SendQueues`. Time: `ConnectionTimers`, `Heartbeats`. Addresses: `PeerGuard`. Confined to the loop
/// that created it.
final class ConnectionTable: TickParticipant {
  let limits: ConnectionLimits
  /// The certificate that new connections are served with, or nil without TLS. May be replaced at any time.
  var tls: TLSContext?

  private let loop: EventLoop
  private let hub: Hub
  let parts: ConnectionParts
  private let sockets: SocketInput
  private let addressRefusal: [UInt8]
  /// Whether `drain` was called.
  private var isDraining = false

  /// - Parameters:
  ///   - ring: what the sends of a tick's end go through together; nil: each is made at once.
  ///   - trace: the log, when it takes what happens to connections.
  init(_ loop: EventLoop, hub: Hub, limits: ConnectionLimits, metrics: Metrics, ring: SendRing?, trace: Log? = nil) {
    self.loop = loop
    self.hub = hub
    self.limits = limits
    parts = ConnectionParts(
      hub: hub, limits: limits, metrics: metrics, ring: ring, trace: trace, now: loop.instant)
    sockets = SocketInput(loop, parts)
    var refusal: [UInt8] = []
    PeerGuard.makeAddressRefusal().append(to: &refusal, connection: .close)
    addressRefusal = refusal
    parts.attach(to: self)
    sockets.host = self
    loop.attach(tick: self)
    hub.after = { [weak loop] milliseconds, action in loop?.after(milliseconds: milliseconds, action) }
  }

  /// Connections of any kind.
  var count: Int { parts.connections.count }
  /// Open WebSockets.
  var webSocketCount: Int { parts.sessions.count(of: .websocket) }
  /// Open event streams.
  var eventStreamCount: Int { parts.sessions.count(of: .sse) }
  /// Open poll connections.
  var pollerCount: Int { parts.sessions.count(of: .poll) }
  /// Open sockets of Socket.IO namespaces.
  var socketIOCount: Int { parts.sessions.count(of: .socketio) }
  /// Connections of Engine.IO.
  var engines: EngineConnections { parts.engines }
  /// Who connects clients to namespaces.
  var connects: SocketConnects { parts.connects }
  /// Connections that poll.
  var polls: PollTransport { parts.polls }
  /// Open connections that have a session.
  var sessionCount: Int { parts.sessions.count }
  /// Bytes that wait in all queues, and in rooms for slow readers.
  var queuedBytes: Int {
    hub.lagBytes + parts.queues.queuedBytes + parts.polls.queuedBytes + parts.engines.pollQueuedBytes
  }
  /// A local peer that sent `X-Forwarded-For` without being trusted: probably a proxy that nobody has named.
  var unnamedProxy: [UInt8]? { parts.peers.unnamedProxy }
  /// The kinds of addresses that WebSockets were opened from.
  var clientOrigins: ClientOrigins { parts.peers.clientOrigins }
  /// Answers requests. Set once, before the first connection.
  var router: (any RequestRouter)? {
    get { parts.requests.router }
    set { parts.requests.router = newValue }
  }

  // MARK: Birth and death

  /// Takes over an accepted socket.
  func accept(_ socket: Int32, _ address: Address, role: ListenerRole) {
    let peer = parts.peers.peer(address)
    let tls = role == .redirect ? nil : self.tls
    // A trusted proxy's sockets are not counted: each of its clients is, as soon as it is known.
    let isProxy = parts.peers.isTrustedProxy(peer.address)
    guard isProxy || parts.peers.admit(peer.address) else {
      return sockets.refuse(socket, tls == nil ? addressRefusal : nil)
    }
    let session = tls.flatMap { TLSSession($0, socket: socket) }
    let id = parts.connections.insert(
      Connection(
        socket: socket, address: peer.text, role: role, wire: session.map { .tls($0) } ?? .socket,
        tick: parts.timers.tick))
    parts.connections[id.index].isCounted = !isProxy
    if isProxy, limits.requiresProxyHeader, role != .admin { parts.connections[id.index].stage = .preamble }
    guard session != nil || tls == nil else { return drop(id.index) }
    do { try sockets.watch(id) } catch { return drop(id.index) }
    parts.timers.start()
    parts.timers.schedule(id.index, in: Deadlines.requestHead)
  }

  /// Gives memory back after a crowd has left.
  func shrink() { parts.shrink() }

  func tickEnds() { if parts.endTick(hub) { loop.tickAgain() } }

  /// Asks every client to reconnect elsewhere, each at its own random moment within `time`, and closes it
  /// then with 1012: the other nodes get their clients one by one.
  func drain(within time: Interval) {
    isDraining = true
    let schedule = DrainSchedule(time)
    parts.polls.drain(schedule)
    parts.engines.drain(schedule)
    var generator = SystemRandomNumberGenerator()
    for index in 0..<parts.connections.end where parts.connections.isOccupied(index) {
      let id = parts.connections.id(at: index)
      guard parts.connections[index].isOpen, let session = parts.connections[index].session else {
        if parts.connections[index].stage == .request || parts.connections[index].stage == .idle {
          parts.queues.finish(index)
        } else if parts.connections[index].exchange?.wait != nil {
          loop.after(schedule.moment(using: &generator)) { [weak self] in
            if let self, parts.connections.contains(id) { parts.pollWaits.hurry(index) }
          }
        }
        continue
      }
      let moment = schedule.moment(using: &generator)
      hub.announceReconnect(session, afterMilliseconds: moment.milliseconds)
      loop.after(moment) { [weak self] in
        guard let self, parts.connections.contains(id) else { return }
        parts.sessions.close(index, because: .draining)
      }
    }
  }

  /// Closes every socket. Sessions do not end: the broker was stopped, or keeps them for another node.
  func closeSockets() { parts.removeAll(close: Socket.close) }

  // MARK: Requests

  /// Answers the request at hand, if its connection is still there.
  func respond(_ id: SlabID, _ response: Response) { parts.requests.respond(id, response) }

  /// Answers the request at hand with bytes that many share, where nothing is to be added to them.
  func respond(_ id: SlabID, _ response: () -> Response, sharedBytes: [UInt8]) {
    parts.requests.respond(id, response, sharedBytes: sharedBytes)
  }

  /// Lets a poll wait for a message, within the limits of connections. Returns why it may not wait, or nil.
  func beginWait(_ request: Request, _ waiter: PollWaiter, for interval: Interval) -> Response? {
    parts.pollWaits.begin(request, waiter, for: interval)
  }

  /// Polls that wait for a message.
  var waitingPollCount: Int { parts.pollWaits.count }

  /// Answers a valid handshake: from here on the connection is a WebSocket, and its client's alone.
  func upgrade(_ request: Request, _ acceptance: Handshake.Acceptance, echo: Bool) {
    parts.requests.upgrade(request, acceptance, echo: echo)
  }

  /// Opens the session of a connection that has just become a WebSocket.
  ///
  /// - Parameters:
  ///   - user: the user's name, where names are believed.
  ///   - token: what is to prove the user's name; without either, an `auth` must come, or the backend decides.
  ///   - headers: what of the handshake goes along with the question who may connect.
  func openSession(_ id: SlabID, user: [UInt8]?, token: [UInt8]?, headers: [HeaderLine]) {
    guard parts.connections.contains(id) else { return }
    let isLocal = parts.peers.number(of: parts.connections[id.index].address).isLocal
    parts.webSockets.openSession(id, user: user, token: token, headers: headers, isLocal: isLocal)
  }

  /// Begins an event stream of one room as the answer to a request, and opens its session.
  func openEventStream(_ request: Request, _ opening: EventStreamTransport.Opening) {
    guard parts.connections.contains(request.connection) else { return }
    // What was decided about the request took its time.
    guard !isDraining else {
      let message = "this node is draining: connect again, to another one"
      return respond(request.connection, ErrorResponse.make(.unavailable, message))
    }
    guard parts.claim(request) else { return respond(request.connection, PeerGuard.makeAddressRefusal()) }
    parts.eventStreams.open(request.connection, opening)
  }

  /// Whether a handshake of an address is within the rate of this node.
  func admitsHandshake(from address: [UInt8]) -> Bool {
    parts.peers.admitsHandshake(isLocal: parts.peers.number(of: address).isLocal, at: loop.instant)
  }

  /// Whether a host, as a Host header has it, is the very address that the peer has connected to; `localhost` is any of
  /// the machine's own.
  func isLocalEnd(_ host: [UInt8], of id: SlabID) -> Bool {
    guard parts.connections.contains(id), let end = Socket.localAddress(parts.connections[id.index].socket),
      let address = end.withHostBytes({ IPAddress(networkOrder: $0) })
    else { return false }
    if String(decoding: host, as: UTF8.self).lowercased() == "localhost" { return address.isLoopback }
    let isBracketed = host.first == UInt8(ascii: "[") && host.last == UInt8(ascii: "]")
    return IPAddress(text: (isBracketed ? Array(host.dropFirst().dropLast()) : host).span) == address
  }
}

extension ConnectionTable: ConnectionHost {
  func drop(_ index: UInt32) { parts.remove(index, close: Socket.close) }
  func updateInterest(_ index: UInt32) { sockets.updateInterest(index) }
  func resumeInput(_ index: UInt32) { sockets.resume(index) }
  func tickAgain() { loop.tickAgain() }
  func after(_ interval: Interval, _ action: @escaping () -> Void) { loop.after(interval, action) }
}
