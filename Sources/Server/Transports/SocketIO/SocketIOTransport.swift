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
  private let connections: ConnectionStore
  private let queues: SendQueues
  private let input: HeldInput
  private let sessions: ConnectionSessions
  private let metrics: Metrics
  private let queueBytesMax: Int
  /// The senders of the entries of the batch at hand, filled during one fan-out only.
  private var origins = OriginIndex()
  /// Sockets whose sessions end with the tick.
  private var ending: [UInt32] = []
  /// Takes over what a socket that is not connected yet is told. Set once.
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
    let isPlain = sockets[socket].isConnected && sockets[socket].rooms == nil && engines.store.contains(engine)
    sockets[socket].direct = isPlain ? engines.store[engine.index].webSocket ?? .max : .max
  }

  /// Gives memory back after a crowd has left.
  func shrink() {
    sockets.shrink()
    origins.shrink()
    if ending.isEmpty { ending = [] }
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

  private func hold(_ payload: [UInt8], _ opening: SocketOpening, _ engine: UInt32) {
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
      if let room { rooms.move(room, to: position) }
      rooms.appendOffset(to: &text)
    } else {
      position.append(to: &text)
    }
    return text
  }

  private func encode(
    _ message: Span<UInt8>, _ kind: EventKind, for socket: UInt32, at position: Position? = nil, in room: [UInt8]? = nil
  ) -> EncodedPackets {
    var packets = EncodedPackets()
    let namespace = sockets[socket].namespace
    if let position {
      let offset = offset(of: socket, room, position)
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
  private func noteJoined(_ socket: UInt32, _ room: [UInt8], at position: Position?) {
    if sockets[socket].rooms == nil {
      guard room != sockets[socket].defaultRoom else { return }
      keepRooms(of: socket)
    }
    sockets[socket].rooms?.noteJoined(room, at: position)
  }

  /// Keeps from now on where a socket is in each of its rooms: it is in others than its default one.
  private func keepRooms(of socket: UInt32) {
    let rooms = SocketRooms()
    let defaultRoom = sockets[socket].defaultRoom
    if let session = sockets[socket].session, let position = hub.position(of: session, in: defaultRoom) {
      rooms.noteJoined(defaultRoom, at: position)
    }
    sockets[socket].rooms = rooms
    settle(socket)
  }

  private func noteLeft(_ socket: UInt32, _ room: [UInt8]) {
    let defaultRoom = sockets[socket].defaultRoom
    if sockets[socket].rooms == nil {
      guard room == defaultRoom else { return }
      sockets[socket].rooms = SocketRooms()
    } else {
      sockets[socket].rooms?.noteLeft(room)
      if sockets[socket].rooms?.onlyRoom == defaultRoom { sockets[socket].rooms = nil }
    }
    settle(socket)
  }

  /// Notes from where a client asks to join a room.
  func noteAsked(_ socket: UInt32, _ room: [UInt8], since: Position) {
    if sockets[socket].rooms == nil, room != sockets[socket].defaultRoom { keepRooms(of: socket) }
    sockets[socket].rooms?.noteAsked(room, since: since)
  }

  /// Tells a client where it is in its rooms.
  func tellPlace(_ socket: UInt32) {
    let room = sockets[socket].defaultRoom
    guard let session = sockets[socket].session, let position = hub.position(of: session, in: room) else { return }
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

  fileprivate func pause(_ socket: UInt32) {
    guard !sockets[socket].isPaused, !sockets[socket].hasEnded, engines.store.contains(sockets[socket].engine) else {
      return
    }
    let engine = sockets[socket].engine.index
    sockets[socket].isPaused = true
    engines.store[engine].pauseCount += 1
    if let webSocket = engines.webSocket(of: engine) { input.pause(webSocket, .broker) }
  }

  fileprivate func resume(_ socket: UInt32) {
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

// MARK: Fan-out

extension SocketIOTransport: SessionTransport {
  func deliver(_ batch: RoomBatch, of room: [UInt8], to roster: [RosterEntry], format: WireFormat, sparing: Bool) {
    var fanOut = SocketIOFanOut(batch, room, sparing: sparing, isAlone: hub.isDeliveringAlone)
    if batch.hasOrigins { origins.fill(from: batch) }
    queues.beginFanOut(sparing: sparing)
    for member in roster where sockets.isOccupied(member.connection) {
      let target = sockets[member.connection].direct
      if target != .max, !batch.hasOrigins || !origins.contains(member.session) {
        deliver(&fanOut, toWebSocket: target)
      } else {
        deliver(&fanOut, to: member)
      }
    }
    if batch.hasOrigins { origins.empty(of: batch) }
    queues.endFanOut(sparing: sparing)
    metrics.count(batch, members: roster.count)
    for socket in fanOut.unwritable { if let session = sockets[socket].session { hub.becameUnwritable(session) } }
  }

  /// Gives a WebSocket the frames that all share.
  @inline(__always)
  private func deliver(_ fanOut: inout SocketIOFanOut, toWebSocket target: UInt32) {
    guard connections.isOccupied(target), connections[target].stage == .engine else { return }
    if connections[target].isSending { queues.settle(target) }
    let frames = fanOut.frames
    if connections[target].way(isAlone: fanOut.isAlone) == .direct {
      queues.sendDirectly(frames, &fanOut.posted, to: target)
    } else {
      connections[target].outbox.push(frames)
      queues.markDirty(target)
      noteQueued(frames.count, for: target, fanOut)
    }
  }

  /// Holds a WebSocket to the limit of its queue after a fan-out has queued so many bytes for it.
  private func noteQueued(_ count: Int, for target: UInt32, _ fanOut: borrowing SocketIOFanOut) {
    if fanOut.batch.isBacklog { return connections[target].outbox.noteSolicited(count) }
    if fanOut.sparing, !connections[target].isUnwritable {
      if connections[target].outbox.byteCount > EngineLimits.roomBytes { queues.sendEarly(target) }
    } else if connections[target].outbox.unsolicitedBytes > queueBytesMax {
      metrics.slowConsumers += 1
      sessions.closeSlow(target, because: .slowConsumer)
    }
  }

  /// Gives a member what it does not share with all: it polls, is in several rooms, or has sent a part itself.
  private func deliver(_ fanOut: inout SocketIOFanOut, to member: RosterEntry) {
    let socket = member.connection
    guard !sockets[socket].hasEnded, engines.store.contains(sockets[socket].engine) else { return }
    let engine = sockets[socket].engine.index
    let skipped =
      fanOut.batch.hasOrigins && origins.contains(member.session) ? Set(origins.entries(of: member.session)) : []
    let namespace = sockets[socket].namespace
    let isElsewhere = !namespace.elementsEqual(fanOut.namespace)
    if let rooms = sockets[socket].rooms {
      return appendOwn(&fanOut, rooms, isElsewhere ? namespace : nil, skipped, socket, engine)
    }
    if let opening = sockets[socket].opening {
      return hold(skipped.isEmpty ? fanOut.payload : fanOut.payload(without: skipped), opening, engine)
    }
    if let webSocket = engines.webSocket(of: engine) {
      guard !skipped.isEmpty else { return deliver(&fanOut, toWebSocket: webSocket) }
      let rest = fanOut.frames(without: skipped)
      guard !rest.isEmpty else { return }
      queues.push(rest, to: webSocket)
      noteQueued(rest.count, for: webSocket, fanOut)
    } else {
      pushPayload(skipped.isEmpty ? fanOut.payload : fanOut.payload(without: skipped), &fanOut, socket, engine)
    }
  }

  private func pushPayload(_ payload: [UInt8], _ fanOut: inout SocketIOFanOut, _ socket: UInt32, _ engine: UInt32) {
    guard !payload.isEmpty, let polling = engines.store[engine].polling, !engines.store[engine].isClosing else {
      return
    }
    engines.push(payload: payload, to: engine, isSolicited: fanOut.batch.isBacklog)
    if fanOut.batch.isBacklog { return }
    guard fanOut.sparing, !polling.isUnwritable else { return engines.limitQueue(engine) }
    guard polling.queue.unsolicitedBytes > min(EngineLimits.roomBytes, queueBytesMax / 2) else { return }
    polling.isUnwritable = true
    fanOut.unwritable += sockets.all(of: engine)
  }

  /// Gives a member of several rooms the entries with offsets of its own: what stands before and after them is as in the
  /// packets of all, so a frame differs in its length and in its end.
  private func appendOwn(
    _ fanOut: inout SocketIOFanOut, _ rooms: SocketRooms, _ namespace: [UInt8]?, _ skipped: Set<Int>, _ socket: UInt32,
    _ engine: UInt32
  ) {
    let bare = namespace.map { SocketIOBatch(fanOut.batch, namespace: $0.span, hasOffsets: false) } ?? fanOut.bare
    let last = bare.positions.indices.last { bare.positions[$0] != nil && !skipped.contains($0) }
    let isOnEach = rooms.offsetBytes <= EngineLimits.offsetBytesOfEach
    var packets = EncodedPackets()
    for (entry, position) in bare.positions.enumerated() where !skipped.contains(entry) {
      let text = bare.text(entry)
      guard let position else {
        packets.addText { $0 += text }
        continue
      }
      rooms.move(fanOut.room, to: position)
      var suffix = SocketIOEncoder.noOffset
      if isOnEach || entry == last {
        var offset: [UInt8] = []
        rooms.appendOffset(to: &offset)
        suffix = SocketIOEncoder.suffix(offset)
      }
      packets.addText { output in
        output += text.dropLast()
        output += suffix
      }
      for packet in bare.range(entry).dropFirst() {
        packets.addBinary(bare.packets.bytes.span.extracting(bare.packets.range(packet)))
      }
    }
    guard !packets.isEmpty else { return }
    if let opening = sockets[socket].opening {
      var payload: [UInt8] = []
      packets.appendPayload(0..<packets.entries.count, to: &payload)
      hold(payload, opening, engine)
    } else if let webSocket = engines.webSocket(of: engine) {
      var count = 0
      queues.append(to: webSocket) { output in
        let before = output.count
        packets.appendFrames(to: &output)
        count = output.count - before
      }
      noteQueued(count, for: webSocket, fanOut)
    } else {
      var payload: [UInt8] = []
      packets.appendPayload(0..<packets.entries.count, to: &payload)
      pushPayload(payload, &fanOut, socket, engine)
    }
  }

  func rostersChanged(of target: UInt32, by change: Int32) {
    guard sockets.isOccupied(target) else { return }
    sockets[target].rosterCount += change
    let engine = sockets[target].engine
    guard engines.store.contains(engine), let webSocket = engines.store[engine.index].webSocket else { return }
    connections[webSocket].rosterCount += change
  }

  // MARK: One socket

  private func isOpen(_ target: UInt32) -> Bool { sockets.isOccupied(target) && !sockets[target].hasEnded }

  func send(_ message: Span<UInt8>, _ kind: EventKind, to target: UInt32) {
    if isOpen(target) { send(encode(message, kind, for: target), to: target) }
  }

  func answer(_ message: Span<UInt8>, _ kind: EventKind, at position: Position?, to target: UInt32) {
    answer(message, kind, at: position, in: nil, to: target)
  }

  func answer(
    _ message: Span<UInt8>, _ kind: EventKind, at position: Position?, in room: [UInt8]?, to target: UInt32
  ) {
    guard isOpen(target) else { return }
    if sockets[target].opening != nil, connects?.take(message, kind, at: position, in: room, for: target) == true {
      return
    }
    switch kind {
    case .welcome, .authSuccess: return
    case .joined: if let room { return tellJoined(message, room, at: position, to: target) }
    case .left: return tellLeft(message, to: target)
    default: break
    }
    send(encode(message, kind, for: target, at: position, in: room), to: target, isSolicited: true)
  }

  /// Tells a client that it has joined a room, with an offset: from now on its offsets name the room.
  private func tellJoined(_ message: Span<UInt8>, _ room: [UInt8], at position: Position?, to socket: UInt32) {
    noteJoined(socket, room, at: position)
    tell(message, .joined, to: socket, at: position)
  }

  private func tellLeft(_ message: Span<UInt8>, to socket: UInt32) {
    if let room = (try? JSONValue.parse(message))?["room"]?.asBytes { noteLeft(socket, room) }
    tell(message, .left, to: socket, at: nil)
  }

  private func tell(_ message: Span<UInt8>, _ kind: EventKind, to socket: UInt32, at position: Position?) {
    var offset: [UInt8]?
    var text: [UInt8] = []
    if let rooms = sockets[socket].rooms {
      rooms.appendOffset(to: &text)
      offset = text
    } else if let session = sockets[socket].session,
      let position = position ?? hub.position(of: session, in: sockets[socket].defaultRoom)
    {
      position.append(to: &text)
      offset = text
    }
    var packets = EncodedPackets()
    let namespace = sockets[socket].namespace
    PacketWriter.appendEvent(kind.wireName, argument: message, namespace: namespace.span, offset: offset, to: &packets)
    send(packets, to: socket, isSolicited: true)
  }

  func offer(
    _ message: Span<UInt8>, _ kind: EventKind, _ allotment: Allotment, toEach targets: [UInt32]
  ) -> [UInt32] {
    let bytesMax = queueBytesMax / (allotment == .clients ? 2 : 1)
    var refused: [UInt32] = []
    for target in targets {
      guard isOpen(target), engines.store.contains(sockets[target].engine) else {
        refused.append(target)
        continue
      }
      let packets = encode(message, kind, for: target)
      let engine = sockets[target].engine.index
      if let webSocket = engines.webSocket(of: engine) {
        guard queues.mayOffer(packets.bytes.count, within: bytesMax, to: webSocket) else {
          refused.append(target)
          continue
        }
      } else if let polling = engines.store[engine].polling {
        let waiting = polling.queue.unsolicitedBytes
        guard waiting == 0 || waiting + packets.bytes.count <= bytesMax else {
          polling.hasRefusedOffers = true
          refused.append(target)
          continue
        }
      }
      send(packets, to: target)
    }
    return refused
  }

  // MARK: Pace

  func hasRoom(_ target: UInt32) -> Bool {
    guard isOpen(target), engines.store.contains(sockets[target].engine) else { return true }
    if let opening = sockets[target].opening { return opening.heldBytes < EngineLimits.roomBytes }
    return engines.queuedBytes(sockets[target].engine.index) < EngineLimits.roomBytes
  }

  func awaitRoom(_ target: UInt32) {
    guard isOpen(target), engines.store.contains(sockets[target].engine) else { return }
    if let opening = sockets[target].opening { return opening.awaitsRoom = true }
    let engine = sockets[target].engine.index
    if let webSocket = engines.webSocket(of: engine) {
      connections[webSocket].awaitsRoom = true
    } else {
      engines.store[engine].polling?.awaitsRoom = true
    }
  }

  func isNearLimit(_ target: UInt32) -> Bool {
    guard isOpen(target), engines.store.contains(sockets[target].engine) else { return false }
    let engine = sockets[target].engine.index
    if let webSocket = engines.webSocket(of: engine) { queues.settle(webSocket) }
    return engines.queuedBytes(engine) > queueBytesMax / 2
  }

  func pauseUntilRoom(_ target: UInt32) {
    guard isOpen(target), engines.store.contains(sockets[target].engine) else { return }
    let engine = sockets[target].engine.index
    if let webSocket = engines.webSocket(of: engine) {
      queues.pauseUntilRoom(webSocket)
    } else {
      engines.store[engine].polling?.isFull = true
    }
  }

  func pauseReading(_ target: UInt32) { if isOpen(target) { pause(target) } }
  func resumeReading(_ target: UInt32) { if sockets.isOccupied(target) { resume(target) } }

  // MARK: The end

  func close(_ target: UInt32, because reason: CloseReason) {
    guard isOpen(target), engines.store.contains(sockets[target].engine) else { return }
    if sockets[target].opening != nil, connects?.refuse(target, because: reason) == true { return }
    let engine = sockets[target].engine.index
    switch reason {
    case .notAuthenticated, .forbidden, .closedByAdmin:
      // After this packet the official client does not come back by itself.
      var packets = EncodedPackets()
      let namespace = sockets[target].namespace
      PacketWriter.appendDisconnect(namespace: namespace.span, to: &packets)
      send(packets, to: target, isSolicited: true)
      engines.store[engine].hasDismissed = true
      end(target)
    default: engines.close(engine, because: reason)
    }
  }
}

/// What a fan-out shares among members, each made with the first member that needs it.
struct SocketIOFanOut {
  let batch: RoomBatch
  let room: [UInt8]
  /// The namespace of the room; empty: the main one.
  let namespace: [UInt8]
  let sparing: Bool
  /// Whether nothing else of this tick can be for a member.
  let isAlone: Bool
  var posted: SendQueues.PostedBlock?
  /// Sockets of connections that were found to take no more.
  var unwritable: [UInt32] = []
  private var madeShared: SocketIOBatch?
  private var madeBare: SocketIOBatch?
  private var madeFrames: [UInt8]?
  private var madePayload: [UInt8]?

  init(_ batch: RoomBatch, _ room: [UInt8], sparing: Bool, isAlone: Bool) {
    (self.batch, self.room, self.sparing, self.isAlone) = (batch, room, sparing, isAlone)
    namespace = Array(room[Namespace.location(ofNative: room.span).namespace])
  }

  /// The packets with the offsets of members of this room alone.
  private var shared: SocketIOBatch {
    mutating get {
      if let madeShared { return madeShared }
      let made = SocketIOBatch(batch, namespace: namespace.span, hasOffsets: true)
      madeShared = made
      return made
    }
  }

  /// The packets without offsets.
  var bare: SocketIOBatch {
    mutating get {
      if let madeBare { return madeBare }
      let made = SocketIOBatch(batch, namespace: namespace.span, hasOffsets: false)
      madeBare = made
      return made
    }
  }

  var frames: [UInt8] {
    mutating get {
      if let madeFrames { return madeFrames }
      let made = shared.frames()
      madeFrames = made
      return made
    }
  }

  var payload: [UInt8] {
    mutating get {
      if let madePayload { return madePayload }
      let made = shared.payload()
      madePayload = made
      return made
    }
  }

  mutating func frames(without skipped: Set<Int>) -> [UInt8] { shared.frames { skipped.contains($0) } }
  mutating func payload(without skipped: Set<Int>) -> [UInt8] { shared.payload { skipped.contains($0) } }
}
