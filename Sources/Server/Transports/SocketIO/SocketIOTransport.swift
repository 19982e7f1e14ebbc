import ClientProtocol
import JSONCore
import LoopCore
import Realtime
import SocketIOCore
import WebSocketCore

/// Gives the sockets of namespaces what the hub sends them. A sibling of `WebSocketDelivery` and `PollTransport`: its
/// connections are WebSockets or polls, each of which may carry several sockets.
final class SocketIOTransport {
  let sockets: NamespaceSocketStore
  let engines: EngineConnections
  let hub: Hub
  let connections: ConnectionStore
  let queues: SendQueues
  private let input: HeldInput
  let sessions: ConnectionSessions
  let metrics: Metrics
  let queueBytesMax: Int
  /// Whether clients recover by an id and offsets: then each event carries its offset as one more argument.
  var hasRecovery = true
  /// The senders of the entries of the batch at hand, filled during one fan-out only.
  var origins = OriginIndex()
  /// Where the socket is that has joined a room last.
  private var lastRooms: SocketRooms?
  /// Where clients said they were in rooms that they have asked to join.
  private var asked: [UInt32: [(room: [UInt8], since: Position)]] = [:]
  /// Sockets whose sessions end with the tick.
  private var ending: [UInt32] = []
  /// Takes what the hub answers to a socket that is not connected yet. Set once.
  weak var connects: SocketConnects?

  init(_ engines: EngineConnections, hub: Hub, input: HeldInput) {
    self.engines = engines
    self.hub = hub
    self.input = input
    sockets = NamespaceSocketStore(engines.store)
    connections = engines.connections
    queues = engines.queues
    sessions = engines.sessions
    metrics = engines.metrics
    queueBytesMax = engines.queueBytesMax
  }

  // MARK: Sockets

  /// Adds a socket to a connection and counts it.
  func insert(_ engine: SlabID, _ namespace: Span<UInt8>) -> UInt32 {
    sessions.noteOpened(.socketio)
    return sockets.insert(engine, namespace)
  }

  /// Ends a socket: its session ends with the tick.
  func end(_ socket: UInt32) {
    guard !sockets[socket].hasEnded else { return }
    sockets[socket].hasEnded = true
    sockets[socket].direct = .max
    asked[socket] = nil
    resume(socket)
    let engine = sockets[socket].engine
    sockets.unlink(socket)
    ending.append(socket)
    engines.host?.tickAgain()
    guard engines.store.contains(engine), !engines.store[engine.index].isClosing else { return }
    if engines.store[engine.index].socketCount == 0 { engines.awaitConnect(engine.index) }
  }

  /// Ends the sessions that are due.
  func endDue() {
    while let socket = ending.popLast() {
      if let session = sockets[socket].session { hub.close(session) }
      sessions.noteEnded(.socketio)
      sockets.remove(socket)
    }
  }

  /// Whether sessions wait for their end.
  var hasWork: Bool { !ending.isEmpty }

  /// Finds out anew where a socket's batches go, after its transport, its rooms or its state have changed.
  func settle(_ socket: UInt32) {
    let engine = sockets[socket].engine
    let isConnected = sockets[socket].isConnected && engines.store.contains(engine)
    sockets[socket].direct = isConnected ? engines.store[engine.index].webSocket ?? .max : .max
  }

  /// Gives memory back after a crowd has left.
  func shrink() {
    sockets.shrink()
    origins.shrink()
    if ending.isEmpty { ending = [] }
    lastRooms = nil
  }

  // MARK: Sending to one socket

  /// Gives packets to a socket, or holds them until its client knows that it is connected.
  func send(_ packets: EncodedPackets, to socket: UInt32, isSolicited: Bool = false) {
    guard !sockets[socket].hasEnded, engines.store.contains(sockets[socket].engine) else { return }
    let engine = sockets[socket].engine.index
    guard let opening = sockets[socket].opening else {
      return engines.send(packets, to: engine, isSolicited: isSolicited)
    }
    var payload: [UInt8] = []
    packets.appendPayload(0..<packets.entries.count, to: &payload)
    hold(payload, opening, engine)
  }

  func hold(_ payload: [UInt8], _ opening: SocketOpening, _ engine: UInt32) {
    guard !payload.isEmpty else { return }
    opening.held.append(payload)
    opening.heldBytes += payload.count
    guard opening.heldBytes > queueBytesMax else { return }
    metrics.slowConsumers += 1
    engines.close(engine, because: .slowConsumer)
  }

  /// The offset of an event that says where a socket is in a room.
  private func offset(of socket: UInt32, _ room: [UInt8]?, _ position: Position) -> [UInt8] {
    var text: [UInt8] = []
    if let rooms = sockets[socket].rooms {
      let moved = room.map { rooms.moved($0, to: position) } ?? rooms
      sockets[socket].rooms = moved
      text = moved.offset
    } else {
      position.append(to: &text)
    }
    return text
  }

  func encode(
    _ message: Span<UInt8>, _ kind: EventKind, for socket: UInt32, at position: Position? = nil, in room: [UInt8]? = nil
  ) -> EncodedPackets {
    var packets = EncodedPackets()
    let namespace = sockets[socket].namespace
    if let position {
      let offset = hasRecovery ? offset(of: socket, room, position) : nil
      SocketIOEncoder.append(
        message, kind, namespace: namespace.span, offset: offset, binary: (position.offset, 0), to: &packets)
    } else {
      // Without an offset only what has an object as its last argument may go.
      PacketWriter.appendEvent(kind.wireName, argument: message, namespace: namespace.span, to: &packets)
    }
    return packets
  }

  // MARK: Rooms

  /// Notes that a socket has joined a room, or gets it from another position.
  func noteJoined(_ socket: UInt32, _ room: [UInt8], at position: Position?) {
    guard hasRecovery else { return }
    if sockets[socket].rooms == nil {
      guard room != sockets[socket].defaultRoom else { return }
      keepRooms(of: socket)
    }
    guard let rooms = sockets[socket].rooms?.joined(room, at: position ?? takeAsked(room, of: socket)) else { return }
    // Those who join the same room one after the other share it from the beginning.
    if let lastRooms, lastRooms.isSame(as: rooms) {
      sockets[socket].rooms = lastRooms
    } else {
      sockets[socket].rooms = rooms
      lastRooms = rooms
    }
  }

  /// From where a client has asked to join a room; nil: it has not said that.
  private func takeAsked(_ room: [UInt8], of socket: UInt32) -> Position? {
    guard let index = asked[socket]?.firstIndex(where: { $0.room == room }) else { return nil }
    return asked[socket]?.remove(at: index).since
  }

  /// Keeps from now on where a socket is in each of its rooms: it is in others than its default one.
  private func keepRooms(of socket: UInt32) {
    let defaultRoom = sockets[socket].defaultRoom
    let position = sockets[socket].session.flatMap { hub.position(of: $0, in: defaultRoom) }
    sockets[socket].rooms = SocketRooms(position.map { [(defaultRoom, $0)] } ?? [])
  }

  func noteLeft(_ socket: UInt32, _ room: [UInt8]) {
    guard hasRecovery else { return }
    let defaultRoom = sockets[socket].defaultRoom
    if sockets[socket].rooms == nil {
      guard room == defaultRoom else { return }
      sockets[socket].rooms = SocketRooms()
    } else {
      let rooms = sockets[socket].rooms?.left(room)
      sockets[socket].rooms = rooms?.onlyRoom == defaultRoom ? nil : rooms
    }
  }

  /// Notes from where a client asks to join a room.
  func noteAsked(_ socket: UInt32, _ room: [UInt8], since: Position) {
    guard hasRecovery else { return }
    asked[socket]?.removeAll { $0.room == room }
    guard asked[socket]?.count ?? 0 < hub.configuration.roomsPerConnectionMax else { return }
    asked[socket, default: []].append((room, since))
  }

  /// Tells a client where it is in its default room.
  func tellPlace(_ socket: UInt32, at position: Position) {
    let room = sockets[socket].defaultRoom
    var message: [UInt8] = []
    ServerEvent.joined(
      roomJSON: JSONString.quoting(room), position, userCount: hub.userCount(of: room), recovered: false
    ).appendJSON(to: &message)
    tell(message.span, .joined, to: socket, at: position)
  }

  /// Sends by a connection's WebSocket from now on.
  func upgraded(_ engine: UInt32) {
    guard let webSocket = engines.store[engine].webSocket else { return }
    for socket in sockets.all(of: engine) {
      connections[webSocket].rosterCount += sockets[socket].rosterCount
      settle(socket)
    }
  }

  // MARK: Pace

  func pause(_ socket: UInt32) {
    guard !sockets[socket].isPaused, !sockets[socket].hasEnded, engines.store.contains(sockets[socket].engine) else {
      return
    }
    let engine = sockets[socket].engine.index
    sockets[socket].isPaused = true
    engines.store[engine].pauseCount += 1
    if let webSocket = engines.webSocket(of: engine) { input.pause(webSocket, .broker) }
  }

  func resume(_ socket: UInt32) {
    guard sockets[socket].isPaused else { return }
    sockets[socket].isPaused = false
    guard engines.store.contains(sockets[socket].engine) else { return }
    let engine = sockets[socket].engine.index
    engines.store[engine].pauseCount -= 1
    guard engines.store[engine].pauseCount == 0 else { return }
    if let webSocket = engines.webSocket(of: engine) {
      input.resume(webSocket, .broker)
    } else {
      engines.resumePost(engine)
    }
  }
}
