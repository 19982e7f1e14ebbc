import AddressCore
import Compression
import HTTPCore
import LoopCore
import Realtime
import WebSocketCore

/// The limits of connections that operators may change.
struct ConnectionLimits: Sendable {
  /// Bytes of one message, reassembled and inflated.
  var messageBytesMax = 64 * 1024
  /// Bytes that may wait for a slow reader before it is closed with 4408.
  var queueBytesMax = 1024 * 1024
  /// WebSockets on this node; nil: as many as the process has descriptors for.
  var connectionsMax: Int?
  var pingIntervalMilliseconds = 25_000
  var pingTimeoutMilliseconds = 10_000
  /// Time in which a message that has begun must be complete.
  var messageMilliseconds = 60_000
  var isEchoEnabled = false
  /// Sockets of one address.
  var connectionsPerAddress: Ceiling = 0
  /// WebSocket handshakes a second.
  var handshakesPerSecond: Ceiling = 0
  /// Whose word about a client's address is believed.
  var trustedProxies = TrustedProxies([])
  /// Whether their connections begin with a PROXY protocol header.
  var requiresProxyHeader = false
}

/// All connections of a node: reads, frames, queues, writes, and watches over their time. Knows no rooms.
///
/// Confined to the loop that created it.
final class ConnectionTable: EventHandler, TickParticipant {
  /// Milliseconds between two ticks of the wheel: the precision of timeouts.
  static let wheelTickMilliseconds = 250
  /// Bytes read at a time. The loop has one buffer: what a message leaves incomplete is kept by its reader.
  private static let readBytes = 64 * 1024

  let loop: EventLoop
  let hub: Hub
  let limits: ConnectionLimits
  let metrics: Metrics
  /// The certificate that new connections are served with, or nil without TLS. May be replaced at any time.
  var tls: TLSContext?
  let compression = MessageCompression()
  /// Answers requests. Set once, before the first connection.
  weak var router: (any RequestRouter)?

  var connections = Slab<Connection>(capacity: 1024)
  var wheel = TimerWheel()
  /// Connections with something to send at the end of the tick.
  var dirty: [UInt32] = []
  /// Sessions whose connection is closing, and sockets that failed: ended at the end of the tick.
  var ending: [SlabID] = []
  var failed: [SlabID] = []
  /// Who sent what of the batch at hand, filled during one fan-out only.
  var origins = OriginIndex()
  var framings = FramingCache()
  /// Connections found full by the fan-out at hand.
  var stuck: [UInt32] = []
  /// Connections that may be read again from the end of this tick, and what was read of those that may not.
  var resuming: [SlabID] = []
  /// Connections whose answer is sent and that have sent further requests meanwhile.
  var continuing: [SlabID] = []
  var keepAlive = KeepAlive()
  var pausedBytes: [UInt32: [UInt8]] = [:]
  /// What the sends of a tick's end go through together; nil: each is made at once.
  let ring: SendRing?
  /// The blocks of fan-outs that the ring has sends of.
  var ringBlocks: [[UInt8]] = []
  /// Connections that the ring has sent to, to be flushed at the tick's end unless they were meanwhile.
  var unfinished: [SlabID] = []
  /// Whether it is the tick's end: only then may sends stay in the ring when a call returns.
  var isTickEnding = false
  let scratch: UnsafeMutableRawBufferPointer
  private let buffer: UnsafeMutableRawBufferPointer
  private var handler: EventLoop.HandlerID?
  var isWheelTurning = false
  /// Peers that were accepted lately, each at a place that its address chooses.
  private var recentPeers = [Peer?](repeating: nil, count: 256)
  /// The peer whose number was asked for last.
  var lastPeer = Peer(text: [])
  var tally: AddressTally
  var gate: HandshakeGate
  let addressRefusal: [UInt8]
  /// A local peer that sent `X-Forwarded-For` without being trusted: probably a proxy that nobody has named.
  var unnamedProxy: [UInt8]?
  /// Where the clients that have opened a WebSocket come from.
  var clientOrigins = ClientOrigins()
  /// The log, when it is to say what happens to connections; nil: it is not.
  var trace: Log?
  /// Open WebSockets.
  var webSocketCount = 0

  init(_ loop: EventLoop, hub: Hub, limits: ConnectionLimits, metrics: Metrics, ring: SendRing?) {
    self.loop = loop
    self.hub = hub
    self.limits = limits
    self.metrics = metrics
    self.ring = ring
    tally = AddressTally(max: limits.connectionsPerAddress)
    gate = HandshakeGate(limits.handshakesPerSecond, now: loop.now / 1_000_000)
    var refusal: [UInt8] = []
    ConnectionTable.makeAddressRefusal().append(to: &refusal, connection: .close)
    addressRefusal = refusal
    buffer = .allocate(byteCount: ConnectionTable.readBytes, alignment: 16)
    scratch = .allocate(byteCount: ConnectionTable.readBytes, alignment: 16)
    handler = loop.attach(self)
    loop.attach(tick: self)
    for form in [DeliveryForm.plain, .deflated] { hub.transports[form] = self }
    hub.after = { [weak loop] milliseconds, action in loop?.after(milliseconds: milliseconds, action) }
  }

  deinit {
    buffer.deallocate()
    scratch.deallocate()
  }

  // MARK: Birth and death

  /// Takes over an accepted socket.
  func accept(_ socket: Int32, _ address: Address, entrance: Entrance) {
    let peer = peer(address)
    guard let welcome = receive(socket, from: peer, entrance) else { return }
    let tls = entrance == .redirect ? nil : self.tls
    let session = tls.flatMap { TLSSession($0, socket: socket) }
    let id = connections.insert(
      Connection(socket: socket, address: peer.text, entrance: entrance, tls: session, tick: wheel.tick))
    connections[id.index].isCounted = welcome.isCounted
    if let stage = welcome.stage { connections[id.index].stage = stage }
    guard session != nil || tls == nil else { return drop(id.index) }
    do {
      // Safe because init set the handler.
      try loop.watch(socket, for: [.read, .readHangUp], handler: handler!, token: token(id))
    } catch {
      return drop(id.index)
    }
    turnWheel()
    schedule(id.index, inMilliseconds: Deadlines.requestHeadMilliseconds)
  }

  /// The peer's numeric address. Peers that come from one address, behind a proxy all of them, share one text.
  private func peer(_ address: Address) -> Peer {
    let number = address.withHostBytes { IPAddress(networkOrder: $0) } ?? IPAddress(high: 0, low: 0)
    // Whoever chooses addresses that meet at one place gains nothing: each then has a text of its own.
    let mixed = (number.high ^ number.low) &* 0x9E37_79B9_7F4A_7C15
    let place = Int(mixed >> 32) & (recentPeers.count - 1)
    if let recent = recentPeers[place], recent.address == number { return recent }
    let peer = Peer(number)
    recentPeers[place] = peer
    return peer
  }

  /// Closes the socket at once and forgets the connection. Not to be called from inside the hub.
  func drop(_ index: UInt32) {
    let id = connections.id(at: index)
    if connections[index].isWebSocket { webSocketCount -= 1 }
    if connections[index].stage == .websocket { traceEnd(index, "connection lost", nil) }
    if let session = connections[index].session { hub.close(session) }
    // The hub may have spoken to others meanwhile, never to this one: it is still in its place.
    guard connections.contains(id) else { return }
    // The descriptor's number may soon be another connection's.
    settle(index)
    release(index)
    if connections[index].isKeptLong { keepAlive.release() }
    Socket.close(connections[index].socket)
    pausedBytes[index] = nil
    connections.remove(index)
  }

  /// Gives memory back after a crowd has left.
  func shrink() {
    connections.shrink()
    wheel.shrink()
    tally.shrink()
    origins.shrink()
    framings.shrink()
    if dirty.isEmpty { dirty = [] }
  }

  // MARK: Events

  func ready(_ token: UInt64, _ readiness: Readiness) {
    let index = UInt32(truncatingIfNeeded: token)
    // An event may be older than its socket: the generation tells.
    guard connections.isOccupied(index), self.token(connections.id(at: index)) == token else { return }
    if connections[index].stage == .preamble { return readPreamble(index) }
    if connections[index].stage == .handshake { return advanceHandshake(index) }
    if readiness.contains(.write) { flush(index) }
    guard connections.isOccupied(index), self.token(connections.id(at: index)) == token else { return }
    // Nobody is there to hear what would be answered, and the kernel would tell of it again and again.
    if readiness.contains(.hangUp), isHeldBack(index) { return drop(index) }
    if !readiness.isDisjoint(with: [.read, .readHangUp, .hangUp]) { read(index) }
  }

  /// Reads as much as one read of a plain socket takes, however many TLS records that is; the rest at the next tick, so
  /// that no sender keeps the others waiting, nor its own answers. What OpenSSL holds is always read, because the socket
  /// would not tell of it.
  func read(_ index: UInt32) {
    guard !isHeldBack(index) else { return }
    let id = connections.id(at: index)
    var count = 0
    repeat {
      switch connections[index].tls?.receive(into: buffer) ?? Socket.receive(connections[index].socket, into: buffer) {
      case .bytes(let received):
        count += received
        connections[index].lastHeard = wheel.tick
        // Whoever sends anything is alive, a pong or not.
        connections[index].pingedAt = nil
        let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[..<received])
        let used = consume(id, bytes)
        if used < received { readAhead(id, UnsafeRawBufferPointer(rebasing: bytes[used...])) }
      case .wouldBlock: return
      case .end, .failed: return drop(index)
      }
    } while connections.contains(id) && !isHeldBack(index) && mayHoldMore(index, read: count)
  }

  /// Whether to read once more in this tick: a record of TLS is 16 KiB at most (RFC 8446 section 5.1).
  private func mayHoldMore(_ index: UInt32, read count: Int) -> Bool {
    guard let tls = connections[index].tls else { return false }
    return count < ConnectionTable.readBytes || tls.holdsBytes
  }

  /// Feeds bytes to whatever stage the connection is in, which may change in the middle of them. Returns how many are used:
  /// the others are requests whose turn has not come, and the caller keeps them.
  func consume(_ id: SlabID, _ bytes: UnsafeMutableRawBufferPointer) -> Int {
    var cursor = 0
    while cursor < bytes.count, connections.contains(id) {
      if connections[id.index].isPaused {
        keep(UnsafeRawBufferPointer(rebasing: bytes[cursor...]), of: id.index)
        return bytes.count
      }
      switch connections[id.index].stage {
      case .request: readRequest(id, bytes, &cursor)
      case .idle:
        // No request is parsed before the last answer is sent: a reader of none would make the node keep them all.
        guard connections[id.index].outbox.isEmpty else { return cursor }
        enter(.request, id.index)
      case .websocket, .echo, .closing: readFrames(id, bytes, &cursor)
      case .answering: return cursor
      case .preamble, .handshake, .finishing, .lingering: return bytes.count
      }
    }
    return bytes.count
  }

  /// Keeps what was read before its turn; nothing more is read until it is used.
  private func readAhead(_ id: SlabID, _ bytes: UnsafeRawBufferPointer) {
    guard connections.contains(id) else { return }
    connections[id.index].exchange?.waiting.append(bytes)
    updateInterest(id.index)
  }

  /// Whether requests wait for their turn, and the last answer is not in the way any more.
  func hasWaitingRequests(_ index: UInt32) -> Bool {
    connections[index].stage == .idle && connections[index].exchange?.waiting.isEmpty == false
  }

  /// Tells the kernel what the connection waits for: reading unless a request is being answered and more has come,
  /// writing only while a remainder exists.
  func updateInterest(_ index: UInt32) {
    var interest: Readiness = [.readHangUp]
    if isHeldBack(index) { interest.remove(.readHangUp) } else { interest.insert(.read) }
    if connections[index].wantsWrite { interest.insert(.write) }
    let token = token(connections.id(at: index))
    loop.change(connections[index].socket, to: interest, handler: handler!, token: token)  // Safe because init set it.
  }

  /// Whether nothing is read for now: more requests have come while one is being answered, or the broker cannot follow.
  /// What comes waits in the kernel.
  private func isHeldBack(_ index: UInt32) -> Bool {
    connections[index].isPaused
      || (connections[index].stage == .answering || connections[index].stage == .idle)
        && connections[index].exchange?.waiting.isEmpty == false
  }

  private func token(_ id: SlabID) -> UInt64 { UInt64(id.generation & 0xFFFF) << 32 | UInt64(id.index) }
}
