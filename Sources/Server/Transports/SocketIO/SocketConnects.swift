import ClientProtocol
import JSONCore
import LoopCore
import Realtime
import SocketIOCore

/// Which namespaces may be connected to, and who connects.
struct SocketIOConfiguration {
  var namespaces = NamespaceList.all
  /// Whether a client must bring a token.
  var needsToken = false
  /// Whether names are believed.
  var believesNames = true
  /// The user for the name that a client asks for, or for none; nil: the name is not valid.
  var userName: (_ asked: [UInt8]?) -> [UInt8]? = { $0 ?? Array("guest".utf8) }
}

/// Connects clients to namespaces: each gets a session, which joins the namespace's default room, or, when the client comes
/// back with the id and the offset that it had, the rooms it was in, from where it was.
final class SocketConnects {
  let transport: SocketIOTransport
  private let engines: EngineConnections
  private let sockets: NamespaceSocketStore
  private let hub: Hub
  private let metrics: Metrics
  var configuration = SocketIOConfiguration()
  /// Sockets that have another room to join.
  private var joining: [SlabID] = []

  init(_ transport: SocketIOTransport) {
    self.transport = transport
    engines = transport.engines
    sockets = transport.sockets
    hub = transport.hub
    metrics = transport.engines.metrics
  }

  /// Takes a packet by which a client connects to a namespace.
  ///
  /// - Parameter text: what the packet was read from.
  func connect(_ packet: SocketPacket, _ text: Span<UInt8>, on engine: SlabID) {
    let namespace = text.extracting(packet.namespace)
    guard engines.store[engine.index].connectCount < EngineLimits.connectsMax else {
      return engines.fail(engine.index, "too many namespaces were asked for on this connection: open another one")
    }
    engines.store[engine.index].connectCount += 1
    guard Namespace.isMain(namespace) || Namespace.isValid(namespace), configuration.namespaces.allows(namespace) else {
      return refuse(engine.index, namespace, nil, Array("Invalid namespace".utf8))
    }
    guard Int(engines.store[engine.index].socketCount) < EngineLimits.namespacesMax else {
      let message = "a connection is in at most \(EngineLimits.namespacesMax) namespaces: open another one"
      return refuse(engine.index, namespace, ErrorCode.tooManyRooms, Array(message.utf8))
    }
    guard !engines.limits.isConformance else { return connectForConformance(packet, text, namespace, engine) }
    guard !isFull(engine.index) else {
      engines.noteFull()
      return engines.close(engine.index, because: .full)
    }
    open(ConnectPayload(of: packet, in: text), text, namespace, engine)
  }

  /// The first socket of a connection was counted when that was opened.
  private func isFull(_ engine: UInt32) -> Bool {
    guard let max = engines.connectionsMax else { return false }
    return engines.sessions.count >= max
  }

  private func open(_ payload: ConnectPayload, _ text: Span<UInt8>, _ namespace: Span<UInt8>, _ engine: SlabID) {
    let handshake = engines.store[engine.index].handshake
    let token = payload.token?.decoded(in: text) ?? handshake?.token
    let id = transport.hasRecovery ? payload.pid?.decoded(in: text) : nil
    var user: [UInt8]?
    if configuration.believesNames {
      // Who gave no name gets back the one that it was given.
      user = configuration.userName(
        payload.user?.decoded(in: text) ?? handshake?.user ?? id.flatMap { RecoveryID($0)?.user })
      guard user != nil else {
        return refuse(engine.index, namespace, .badRequest, Array("user must be \(UserName.rule)".utf8))
      }
    } else if configuration.needsToken, token == nil {
      let message = "a token is needed: auth: {token} of the client, ?token= or a cookie"
      return refuse(engine.index, namespace, .unauthenticated, Array(message.utf8))
    }
    let socket = transport.insert(engine, namespace)
    let opening = SocketOpening()
    sockets[socket].opening = opening
    let defaultRoom = sockets[socket].defaultRoom
    let offset = transport.hasRecovery ? payload.offset?.decoded(in: text) : nil
    if let id {
      opening.recovery = Recovery(
        id: id, offset: offset, namespace: sockets[socket].namespace, defaultRoom: defaultRoom,
        roomsMax: hub.configuration.roomsPerConnectionMax)
    }
    opening.hasStaleOffset = offset != nil
    var request = SessionRequest(
      connection: socket, format: .socketIO, transport: .socketio, address: engines.address(of: engine.index),
      user: user, token: token, isLocal: engines.isLocal(engine.index))
    request.headers = handshake?.headers ?? []
    let session = hub.open(request)
    sockets[socket].session = session
    // The hub may have refused it already.
    if !sockets[socket].hasEnded, hub.userName(of: session) != nil { begin(socket) }
  }

  /// Begins to join the rooms of a socket whose user is known.
  private func begin(_ socket: UInt32) {
    guard let opening = sockets[socket].opening, !opening.hasBegun else { return }
    opening.hasBegun = true
    let defaultRoom = sockets[socket].defaultRoom
    if let session = sockets[socket].session, opening.recovery?.user != hub.userName(of: session) {
      opening.recovery = nil
    }
    if let recovery = opening.recovery {
      opening.rooms = recovery.places[...]
      if recovery.places.count != 1 || recovery.places[0].room != defaultRoom {
        sockets[socket].rooms = SocketRooms(recovery.places.map { ($0.room, $0.since) })
      }
    } else {
      opening.rooms = [RecoveryPlace(room: defaultRoom, since: nil)]
    }
    joinLater(socket)
  }

  private func joinLater(_ socket: UInt32) {
    joining.append(sockets.id(at: socket))
    engines.host?.tickAgain()
  }

  /// Goes on with the sockets that have another room to join. Called at the end of a tick, before the hub's flush.
  func joinDue() {
    guard hasWork else { return }
    var due: [SlabID] = []
    swap(&due, &joining)
    for id in due where sockets.contains(id) && !sockets[id.index].hasEnded { joinNext(id.index) }
  }

  /// Whether sockets have another room to join.
  var hasWork: Bool { !joining.isEmpty }

  // One room after the other, so that it is known of each whether what was missed there can be had before anything else is
  // asked for.
  private func joinNext(_ socket: UInt32) {
    guard let opening = sockets[socket].opening, let session = sockets[socket].session else { return }
    if !opening.leaving.isEmpty {
      for room in opening.leaving { hub.leave(session, room: room) }
      (opening.leaving, opening.held, opening.heldBytes) = ([], [], 0)
    }
    guard let place = opening.rooms.first else { return finish(socket, opening, id: opening.recovery?.id) }
    hub.join(session, room: place.room, since: place.since)
  }

  // MARK: What the hub answers

  /// Takes what the hub answers to a socket whose client is not told yet that it is connected. Returns false for what that
  /// client is to be given.
  func take(
    _ message: Span<UInt8>, _ kind: EventKind, at position: Position?, in room: [UInt8]?, for socket: UInt32
  ) -> Bool {
    guard let opening = sockets[socket].opening else { return false }
    switch kind {
    case .welcome, .left: break
    case .authSuccess: begin(socket)
    case .authFailed:
      let reason = Self.text("reason", of: message) ?? []
      opening.refusal = (Self.code(.unauthenticated), reason)
    case .error: failed(message, socket, opening)
    case .joined: joined(room, at: position, socket, opening)
    default: return false
    }
    return true
  }

  private func joined(_ room: [UInt8]?, at position: Position?, _ socket: UInt32, _ opening: SocketOpening) {
    guard let place = opening.rooms.first, place.room == room else { return }
    opening.rooms.removeFirst()
    if opening.recovery != nil {
      // Without a position it goes on from where the client was.
      guard position == nil else { return beginAnew(socket, opening, place) }
      joinLater(socket)
    } else if let position, let session = sockets[socket].session, let user = hub.userName(of: session) {
      let id = transport.hasRecovery ? RecoveryID(start: position, user: user).makeText() : nil
      finish(socket, opening, id: id, at: position)
    }
  }

  private func failed(_ message: Span<UInt8>, _ socket: UInt32, _ opening: SocketOpening) {
    let code = Self.text("code", of: message) ?? []
    guard ErrorCode(rawValue: String(decoding: code, as: UTF8.self))?.isPassing != true else {
      // It passes: Redis is out of reach, for instance. Its client comes back by itself.
      return engines.close(sockets[socket].engine.index, because: .roomUnavailable)
    }
    if opening.refusal == nil { opening.refusal = (code, Self.text("message", of: message) ?? []) }
    guard opening.hasBegun else { return }
    if opening.recovery != nil, let place = opening.rooms.first, place.room != sockets[socket].defaultRoom {
      opening.refusal = nil
      beginAnew(socket, opening, place)
    } else {
      refuse(socket)
    }
  }

  /// Begins as a client does that was never here: what it has missed cannot be had, or not all of it.
  private func beginAnew(_ socket: UInt32, _ opening: SocketOpening, _ failed: RecoveryPlace) {
    // Left at the end of the tick: the hub, which answers now, is in the middle of a join.
    opening.leaving = (opening.recovery?.places ?? []).map(\.room)
    opening.recovery = nil
    sockets[socket].rooms = nil
    opening.rooms = [RecoveryPlace(room: sockets[socket].defaultRoom, since: nil)]
    joinLater(socket)
  }

  /// Tells a client that it is connected, and gives it what has come meanwhile.
  ///
  /// - Parameter position: where it joined the default room, unless it was recovered.
  private func finish(_ socket: UInt32, _ opening: SocketOpening, id: [UInt8]?, at position: Position? = nil) {
    guard let session = sockets[socket].session else { return }
    let engine = sockets[socket].engine.index
    sockets[socket].opening = nil
    let isRecovered = opening.recovery != nil
    transport.settle(socket)
    let name = hub.name(of: session)
    let namespace = sockets[socket].namespace
    var packets = EncodedPackets()
    PacketWriter.appendConnect(namespace: namespace.span, sid: name.span, pid: id, to: &packets)
    engines.send(packets, to: engine, isSolicited: true)
    for payload in opening.held { engines.push(payload: payload, to: engine, isSolicited: true) }
    if opening.awaitsRoom { hub.hasRoom(session) }
    // The official client keeps the offset that it came with until another one comes.
    if opening.hasStaleOffset, !isRecovered, let position { transport.tellPlace(socket, at: position) }
  }

  // MARK: Refusals

  /// Refuses a socket that the hub closes. Returns false when its whole connection is to be closed instead.
  func refuse(_ socket: UInt32, because reason: CloseReason) -> Bool {
    let code: ErrorCode
    switch reason {
    case .notAuthenticated: code = .unauthenticated
    case .forbidden, .closedByAdmin: code = .forbidden
    case .tooManyConnections, .rateLimited: code = .rateLimited
    default: return false
    }
    guard let opening = sockets[socket].opening else { return false }
    if opening.refusal == nil { opening.refusal = (Self.code(code), Array("\(reason.text)".utf8)) }
    refuse(socket)
    return true
  }

  private func refuse(_ socket: UInt32) {
    guard let refusal = sockets[socket].opening?.refusal else { return }
    let (engine, namespace) = (sockets[socket].engine.index, sockets[socket].namespace)
    sendRefusal(engine, namespace.span, refusal.code, refusal.message)
    engines.store[engine].hasDismissed = true
    transport.end(socket)
  }

  private func refuse(_ engine: UInt32, _ namespace: Span<UInt8>, _ code: ErrorCode?, _ message: [UInt8]) {
    sendRefusal(engine, namespace, code.map(Self.code), message)
  }

  private func sendRefusal(_ engine: UInt32, _ namespace: Span<UInt8>, _ code: [UInt8]?, _ message: [UInt8]) {
    metrics.requestsRefused += 1
    var packets = EncodedPackets()
    PacketWriter.appendConnectError(namespace: namespace, message: message.span, code: code, to: &packets)
    engines.send(packets, to: engine, isSolicited: true)
  }

  private static func code(_ code: ErrorCode) -> [UInt8] { Array(code.rawValue.utf8) }

  private static func text(_ member: StaticString, of message: Span<UInt8>) -> [UInt8]? {
    (try? JSONValue.parse(message))?[member]?.asBytes
  }

  // MARK: Conformance

  /// Connects as the protocol's test suite expects it: no session, and the payload comes back.
  private func connectForConformance(
    _ packet: SocketPacket, _ text: Span<UInt8>, _ namespace: Span<UInt8>, _ engine: SlabID
  ) {
    let socket = transport.insert(engine, namespace)
    var sid: [UInt8] = []
    JSONNumber.append(UInt64.random(in: 1 << 60...(.max)), to: &sid)
    var packets = EncodedPackets()
    PacketWriter.appendConnect(namespace: namespace, sid: sid.span, to: &packets)
    transport.send(packets, to: socket, isSolicited: true)
    var payload = Array("{}".utf8)
    if let range = packet.payload { payload = [UInt8](copying: text.extracting(range)) }
    var event = EncodedPackets()
    PacketWriter.appendEvent("auth", argument: payload.span, namespace: namespace, to: &event)
    let id = sockets.id(at: socket)
    engines.host?.after(EngineLimits.conformanceEvent) { [weak self] in
      guard let self, sockets.contains(id), !sockets[id.index].hasEnded else { return }
      transport.send(event, to: id.index, isSolicited: true)
    }
  }
}
