import ClientProtocol
import HTTPCore
import LoopCore
import Realtime
import SocketIOCore
import TimeCore
import WebSocketCore

/// What lies above Engine.IO: it takes messages, and learns what becomes of connections.
protocol EngineMessages: AnyObject {
  /// Takes the data of a text message. The connection may be closed when this returns.
  func receive(text: Span<UInt8>, on engine: SlabID)
  /// Takes a binary message.
  func receive(binary: Span<UInt8>, on engine: SlabID)
  /// Notes that packets of a connection go by a WebSocket now.
  func upgraded(_ engine: UInt32)
  /// Notes that a connection takes nothing more: its sockets have ended.
  func closed(_ engine: UInt32)
  /// Calls `body` with the session of each socket.
  func forEachSession(of engine: UInt32, _ body: (SlabID) -> Void)
}

/// The connections of Engine.IO, revision 4 of its protocol: opened, kept alive, upgraded and closed; what is sent takes the
/// form of their transport. Knows no namespaces. Confined to the loop of its table.
final class EngineConnections {
  let store = EngineStore()
  let connections: ConnectionStore
  let limits: EngineLimits
  let queueBytesMax: Int
  let metrics: Metrics
  let queues: SendQueues
  let input: HeldInput
  let sessions: ConnectionSessions
  let timers: EngineTimers
  let webSockets: WebSocketProtocol
  private let hub: Hub
  private let requests: RequestProtocol
  let heartbeats: Heartbeats
  let connectionTimers: ConnectionTimers
  private let peers: PeerGuard
  let connectionsMax: Int?
  weak var host: (any ConnectionHost)?
  weak var messages: (any EngineMessages)?
  /// Polls that may be answered at the end of the tick.
  private var dirty: [SlabID] = []
  /// Connections whose requests are taken further at the end of the tick.
  private var resuming: [SlabID] = []

  init(
    _ connections: ConnectionStore, hub: Hub, timers: ConnectionTimers, heartbeats: Heartbeats, queues: SendQueues,
    input: HeldInput, sessions: ConnectionSessions, webSockets: WebSocketProtocol, requests: RequestProtocol,
    peers: PeerGuard, limits: ConnectionLimits, metrics: Metrics
  ) {
    self.connections = connections
    self.hub = hub
    connectionTimers = timers
    self.heartbeats = heartbeats
    self.queues = queues
    self.input = input
    self.sessions = sessions
    self.webSockets = webSockets
    self.requests = requests
    self.peers = peers
    self.metrics = metrics
    self.limits = EngineLimits(limits)
    queueBytesMax = limits.queueBytesMax
    connectionsMax = limits.connectionsMax
    self.timers = EngineTimers(store, self.limits)
    self.timers.due = { [weak self] in self?.deadlineDue($0, $1) }
  }

  // MARK: The beginning

  /// Opens a connection that polls. Returns what its first request is answered with.
  func open(
    _ purpose: EngineConnection.Purpose, address: [UInt8], _ handshake: EngineHandshake?
  ) -> ConnectionAnswer {
    if isFull {
      noteFull()
      return ConnectionAnswer(.unavailable, "\(CloseReason.full.text)")
    }
    guard peers.admit(peers.number(of: address)) else {
      let response = PeerGuard.makeAddressRefusal()
      return ConnectionAnswer(status: response.status, response.body)
    }
    let id = insert(purpose, EnginePolling(address: address), handshake)
    var body: [UInt8] = []
    appendOpen(id, mayUpgrade: true, to: &body)
    begin(id.index)
    return ConnectionAnswer(status: 200, body)
  }

  /// Answers a handshake that opens a connection on a WebSocket.
  func open(
    _ request: Request, _ acceptance: Handshake.Acceptance, _ purpose: EngineConnection.Purpose,
    _ handshake: EngineHandshake?
  ) {
    let isFull = self.isFull
    let id = insert(purpose, nil, handshake)
    guard requests.upgrade(request, acceptance, engine: id, messageBytesMax: limits.messageBytesMax) else {
      store.remove(id.index)
      return
    }
    store[id.index].webSocket = request.connection.index
    if isFull {
      noteFull()
      return close(id.index, because: .full)
    }
    var open: [UInt8] = []
    appendOpen(id, mayUpgrade: false, to: &open)
    queues.append(to: request.connection.index) { FrameWriter.appendFrame(.text, payload: open.span, to: &$0) }
    begin(id.index)
  }

  /// Answers a handshake by which a connection that polls is to be upgraded. Returns false when it cannot be.
  func upgrade(_ engine: SlabID, _ request: Request, _ acceptance: Handshake.Acceptance) -> Bool {
    guard let polling = store[engine.index].polling, polling.upgrade == nil, !store[engine.index].isClosing else {
      return false
    }
    guard requests.upgrade(request, acceptance, engine: engine, messageBytesMax: limits.messageBytesMax) else {
      return true
    }
    polling.upgrade = EnginePolling.Upgrade(webSocket: request.connection.index)
    timers.set(.upgrade, of: engine.index, in: EngineLimits.upgrade)
    return true
  }

  private func insert(
    _ purpose: EngineConnection.Purpose, _ polling: EnginePolling?, _ handshake: EngineHandshake?
  ) -> SlabID {
    store.insert(
      EngineConnection(
        key: EngineKey(), purpose: purpose, bytesMax: limits.messageBytesMax, polling: polling, handshake: handshake))
  }

  private func begin(_ index: UInt32) {
    timers.set(.ping, of: index, in: limits.pingInterval)
    if store[index].purpose == .socketIO { timers.set(.connect, of: index, in: limits.connect) }
  }

  /// Whether the node has as many connections as it may.
  var isFull: Bool { connectionsMax.map { max(sessions.count, store.count) >= $0 } ?? false }

  func noteFull() {
    metrics.connectionsRefused += 1
    metrics.refusals.add(.connections)
  }

  private func appendOpen(_ id: SlabID, mayUpgrade: Bool, to output: inout [UInt8]) {
    let sid = EngineID(connection: id, key: store[id.index].key).text(node: hub.configuration.nodeID)
    EngineWriter.appendOpen(
      sid: sid.span, upgrades: mayUpgrade, pingInterval: limits.pingInterval.milliseconds,
      pingTimeout: limits.pingTimeout.milliseconds, maxPayload: limits.payloadBytesMax, to: &output)
  }

  /// The client's numeric address.
  func address(of index: UInt32) -> [UInt8] {
    if let polling = store[index].polling { return polling.address }
    return store[index].webSocket.map { connections[$0].address } ?? []
  }

  func isLocal(_ index: UInt32) -> Bool { peers.number(of: address(of: index)).isLocal }

  // MARK: Sending

  /// The WebSocket that takes packets of a connection; nil: polls do, or it takes nothing.
  func webSocket(of index: UInt32) -> UInt32? {
    guard let webSocket = store[index].webSocket, connections[webSocket].stage == .engine else { return nil }
    return webSocket
  }

  /// Gives packets to a connection, in the form of its transport.
  ///
  /// - Parameter isSolicited: whether its client has asked for them: then they do not count against its queue's limit.
  func send(_ packets: EncodedPackets, to index: UInt32, isSolicited: Bool = false) {
    guard !packets.isEmpty else { return }
    if let webSocket = webSocket(of: index) {
      if isSolicited {
        queues.answer(webSocket) { queues.append(to: webSocket) { packets.appendFrames(to: &$0) } }
      } else {
        queues.append(to: webSocket) { packets.appendFrames(to: &$0) }
        limitQueue(index)
      }
    } else if store[index].polling != nil {
      var payload: [UInt8] = []
      packets.appendPayload(0..<packets.entries.count, to: &payload)
      push(payload: payload, to: index, isSolicited: isSolicited)
      if !isSolicited { limitQueue(index) }
    }
  }

  /// Gives packets in the form of polls, which may be shared, to a connection of either transport.
  func push(payload: [UInt8], to index: UInt32, isSolicited: Bool = false) {
    if let webSocket = webSocket(of: index) {
      let frames = EncodedPackets.frames(ofPayload: payload)
      guard isSolicited else { return queues.push(frames, to: webSocket) }
      queues.answer(webSocket) { queues.push(frames, to: webSocket) }
    } else if let polling = store[index].polling, !store[index].isClosing {
      polling.queue.push(payload, isSolicited: isSolicited)
      // A client that asks on without polling is read no further.
      if polling.queue.byteCount > EngineLimits.answersBytesMax { polling.isFull = true }
      markDirty(index)
    }
  }

  /// Bytes that wait for a connection.
  func queuedBytes(_ index: UInt32) -> Int {
    if let webSocket = store[index].webSocket { return connections[webSocket].outbox.byteCount }
    return store[index].polling?.queue.byteCount ?? 0
  }

  /// Bytes that wait in the queues of connections that poll.
  var pollQueuedBytes: Int {
    var sum = 0
    for index in 0..<store.end where store.isOccupied(index) { sum += store[index].polling?.queue.byteCount ?? 0 }
    return sum
  }

  /// Past the limit a client reads too slowly: what it has not got it asks for when it returns.
  func limitQueue(_ index: UInt32) {
    if let webSocket = webSocket(of: index) {
      guard connections[webSocket].outbox.unsolicitedBytes > queueBytesMax else { return }
      metrics.slowConsumers += 1
      sessions.closeSlow(webSocket, because: .slowConsumer)
    } else if let polling = store[index].polling, !store[index].isClosing {
      guard polling.queue.unsolicitedBytes > queueBytesMax else { return }
      metrics.slowConsumers += 1
      polling.queue = PollQueue(separator: EnginePayloadReader.separator)
      close(index, because: .slowConsumer)
    }
  }

  // MARK: The end

  /// Closes a connection after what it was given. Its client comes back by itself.
  func close(_ index: UInt32, because reason: CloseReason) {
    if let webSocket = store[index].webSocket { return sessions.close(webSocket, because: reason) }
    guard let polling = store[index].polling, !store[index].isClosing else { return }
    if reason.reconnect == .never {
      polling.queue.push([EnginePacketType.close.digit], isSolicited: true)
    } else if polling.queue.isEmpty {
      // A client that polls comes back after an error, while some stay away after the packet `close`.
      return end(index, answering: EngineError.unknownSession.answer)
    }
    markClosing(index)
    markDirty(index)
    timers.set(.connect, of: index, in: EngineLimits.lastPoll)
    host?.tickAgain()
  }

  /// Closes a connection whose client has broken the protocol.
  func fail(_ index: UInt32, _ reason: StaticString) {
    guard let webSocket = store[index].webSocket else {
      metrics.protocolErrors += 1
      return end(index, answering: EngineError.badRequest.answer)
    }
    webSockets.fail(webSocket, .protocolError, reason)
  }

  /// Ends a connection that polls at once. A poll or a request that waits is answered.
  func end(_ index: UInt32, answering answer: ConnectionAnswer) {
    let polling = store[index].polling
    remove(index)
    polling?.waiter?(answer)
    polling?.post?.reply(answer)
  }

  private func markClosing(_ index: UInt32) {
    guard !store[index].isClosing else { return }
    store[index].isClosing = true
    messages?.closed(index)
  }

  /// Forgets a connection; its sockets have ended.
  func remove(_ index: UInt32) {
    markClosing(index)
    if let upgrade = store[index].polling?.upgrade {
      store[index].polling?.upgrade = nil
      webSockets.closeNormally(upgrade.webSocket)
    }
    releasePolling(index)
    store.remove(index)
  }

  /// Gives back what a connection that polls was counted as: from now on it has a WebSocket, or it is gone.
  func releasePolling(_ index: UInt32) {
    guard let polling = store[index].polling else { return }
    store[index].polling = nil
    peers.release(peers.number(of: polling.address))
  }

  /// Asks every client to come back elsewhere, each at its own moment, by closing its connection then.
  func drain(_ schedule: DrainSchedule) {
    var generator = SystemRandomNumberGenerator()
    for index in 0..<store.end where store.isOccupied(index) && !store[index].isClosing {
      let (id, moment) = (store.id(at: index), schedule.moment(using: &generator))
      messages?.forEachSession(of: index) { hub.announceReconnect($0, afterMilliseconds: moment.milliseconds) }
      host?.after(moment) { [weak self] in
        if let self, store.contains(id) { close(id.index, because: .draining) }
      }
    }
  }

  /// Gives memory back after a crowd has left.
  func shrink() {
    store.shrink()
    timers.shrink()
    if dirty.isEmpty { dirty = [] }
    if resuming.isEmpty { resuming = [] }
  }

  // MARK: The end of a tick

  /// Has the poll of a connection answered at the end of the tick.
  func markDirty(_ index: UInt32) {
    guard let polling = store[index].polling, !polling.isDirty else { return }
    polling.isDirty = true
    dirty.append(store.id(at: index))
  }

  /// Takes a request further at the end of the tick.
  func resumePost(_ index: UInt32) {
    resuming.append(store.id(at: index))
    host?.tickAgain()
  }

  /// Takes the requests further that were held back.
  func resumePosts() {
    guard !resuming.isEmpty else { return }
    var ids: [SlabID] = []
    swap(&ids, &resuming)
    for id in ids where store.contains(id) { takePackets(id) }
  }

  /// Answers the polls for which the tick has brought something.
  func flush() {
    guard !dirty.isEmpty else { return }
    var ids: [SlabID] = []
    swap(&ids, &dirty)
    for id in ids where store.contains(id) {
      store[id.index].polling?.isDirty = false
      answerPoll(id.index)
    }
  }

  /// Whether something waits for the end of another tick.
  var hasWork: Bool { !dirty.isEmpty || !resuming.isEmpty }
}

extension EngineConnections: SessionCarriers {
  func forEachSession(of carrier: SlabID, _ body: (SlabID) -> Void) {
    if store.contains(carrier) { messages?.forEachSession(of: carrier.index, body) }
  }

  func connectionEnded(_ connection: UInt32, of carrier: SlabID) {
    guard store.contains(carrier) else { return }
    if store[carrier.index].webSocket == connection { return remove(carrier.index) }
    guard let polling = store[carrier.index].polling, polling.upgrade?.webSocket == connection else { return }
    polling.upgrade = nil
    timers.clear(.upgrade, of: carrier.index)
  }

  func pollEnded(on connection: SlabID, of carrier: SlabID) {
    guard store.contains(carrier), let polling = store[carrier.index].polling,
      polling.waiterConnection == connection
    else { return }
    // As the official server does: its answer would have been lost, and nobody would know.
    polling.waiter = nil
    remove(carrier.index)
  }
}
