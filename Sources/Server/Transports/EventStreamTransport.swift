import ClientProtocol
import HTTPCore
import JSONCore
import LoopCore
import Realtime

/// Event streams: the answer to a `GET /sse` that does not end. A sibling of `WebSocketDelivery` over the same queues.
final class EventStreamTransport: QueueTransport {
  /// What is known of a stream before it begins.
  struct Opening {
    let room: [UInt8]
    /// The browser's Last-Event-ID, or nil: it was never there.
    let lastEventID: [UInt8]?
    let user: [UInt8]?
    let identity: Identity?
  }

  /// How long a browser waits before it connects again: a random time, so that a thousand do not come together.
  private static let retryMilliseconds = 1000...5000

  let connections: ConnectionStore
  private let hub: Hub
  private let timers: ConnectionTimers
  let queues: SendQueues
  private let input: HeldInput
  private let sessions: ConnectionSessions
  private let requests: RequestProtocol
  private let peers: PeerGuard
  private let limits: ConnectionLimits
  private let metrics: Metrics

  init(
    _ connections: ConnectionStore, hub: Hub, timers: ConnectionTimers, queues: SendQueues, input: HeldInput,
    sessions: ConnectionSessions, requests: RequestProtocol, peers: PeerGuard, limits: ConnectionLimits,
    metrics: Metrics
  ) {
    self.connections = connections
    self.hub = hub
    self.timers = timers
    self.queues = queues
    self.input = input
    self.sessions = sessions
    self.requests = requests
    self.peers = peers
    self.limits = limits
    self.metrics = metrics
  }

  /// Connections whose room is not joined yet: a stream that cannot have its room ends, so that its browser tries again.
  private var joining: Set<UInt32> = []

  // MARK: The beginning

  /// Answers a request with the head of a stream, opens a session, and joins the room.
  func open(_ id: SlabID, _ opening: Opening) {
    guard connections.contains(id), connections[id.index].stage == .answering else { return }
    if let max = limits.connectionsMax, sessions.count >= max {
      metrics.connectionsRefused += 1
      metrics.refusals.add(.connections)
      return requests.respond(id, ErrorResponse.make(.unavailable, "\(CloseReason.full.text)"))
    }
    guard requests.beginStream(id, EventStreamTransport.head()) else { return }
    connections[id.index].exchange = nil
    timers.enter(.eventStream, id.index)
    sessions.noteOpened(id.index, .sse)
    queues.append(to: id.index) { output in
      output.append(contentsOf: "retry: \(Int.random(in: EventStreamTransport.retryMilliseconds))\n\n".utf8)
    }
    let session = hub.open(
      SessionRequest(
        connection: id.index, format: .eventStream, transport: .sse, address: connections[id.index].address,
        user: opening.identity == nil ? opening.user : nil, identity: opening.identity,
        isLocal: peers.number(of: connections[id.index].address).isLocal))
    // The hub may have closed it with its greeting.
    guard connections[id.index].isOpen else { return sessions.end(session) }
    connections[id.index].session = session
    joining.insert(id.index)
    let join = EventStreamTransport.join(opening)
    hub.receive(text: join.span, from: session)
  }

  private static func head() -> Response {
    var response = Response.stream(contentType: ServerSentEvents.contentType)
    response.forbidStoring()
    // nginx passes on what comes as it comes.
    response.addHeader("X-Accel-Buffering", "no")
    return response
  }

  /// The operation that a client with a socket would send. An id that says nothing asks for what nobody has: the answer is
  /// `recovered: false`.
  private static func join(_ opening: Opening) -> [UInt8] {
    var operation: [UInt8] = []
    operation.append(contentsOf: "{\"type\":\"join\",\"room\":".utf8)
    operation += JSONString.quoting(opening.room)
    if let id = opening.lastEventID {
      let position = Position(text: id.span) ?? Position(epoch: .unknown, offset: 0)
      operation.append(contentsOf: ",\"since\":{\"epoch\":\"".utf8)
      position.epoch.append(to: &operation)
      operation.append(contentsOf: "\",\"offset\":\(position.offset)}".utf8)
    }
    operation.append(UInt8(ascii: "}"))
    return operation
  }

  // MARK: Fan-out

  func deliver(_ batch: RoomBatch, of room: [UInt8], to roster: [RosterEntry], format: WireFormat, sparing: Bool) {
    let (block, ends) = EventStreamEncoder.block(of: batch)
    queues.beginFanOut(sparing: sparing)
    for member in roster where isOpen(member.connection) {
      let own = batch.hasOrigins ? without(member.session, batch, block, ends) : block
      guard !own.isEmpty else { continue }
      queues.push(own, to: member.connection)
      if batch.isBacklog {
        connections[member.connection].outbox.noteSolicited(own.count)
      } else if !sparing || connections[member.connection].isUnwritable {
        limitQueue(member.connection)
      }
    }
    queues.endFanOut(sparing: sparing)
    metrics.count(batch, members: roster.count)
  }

  /// A block without what the member's own session has sent; the block itself when that is nothing.
  private func without(_ session: UInt32, _ batch: RoomBatch, _ block: [UInt8], _ ends: [Int]) -> [UInt8] {
    guard batch.entries.contains(where: { $0.origin?.index == session }) else { return block }
    var rest: [UInt8] = []
    for (index, entry) in batch.entries.enumerated() where entry.origin?.index != session {
      rest.append(contentsOf: block[(index == 0 ? 0 : ends[index - 1])..<ends[index]])
    }
    return rest
  }

  // MARK: One connection

  private func isOpen(_ target: UInt32) -> Bool {
    connections.isOccupied(target) && connections[target].stage == .eventStream
  }

  func send(_ message: Span<UInt8>, _ kind: EventKind, to target: UInt32) {
    guard isOpen(target) else { return }
    queues.append(to: target) { EventStreamEncoder.append(message, kind, at: nil, to: &$0) }
    limitQueue(target)
  }

  func send(_ message: Span<UInt8>, _ kind: EventKind, toEach targets: [UInt32]) {
    let block = EventStreamTransport.block(message, kind)
    for target in targets where isOpen(target) {
      queues.push(block, to: target)
      limitQueue(target)
    }
  }

  func answer(_ message: Span<UInt8>, _ kind: EventKind, at position: Position?, to target: UInt32) {
    guard isOpen(target) else { return }
    queues.answer(target) {
      queues.append(to: target) { EventStreamEncoder.append(message, kind, at: position, to: &$0) }
    }
    if kind == .joined {
      joining.remove(target)
    } else if kind == .error, joining.remove(target) != nil {
      sessions.close(target, because: .roomUnavailable)
    }
  }

  func offer(
    _ message: Span<UInt8>, _ kind: EventKind, _ allotment: Allotment, toEach targets: [UInt32]
  ) -> [UInt32] {
    let block = EventStreamTransport.block(message, kind)
    let bytesMax = limits.queueBytesMax / (allotment == .clients ? 2 : 1)
    var refused: [UInt32] = []
    for target in targets {
      if isOpen(target), queues.mayOffer(block.count, within: bytesMax, to: target) {
        queues.push(block, to: target)
      } else {
        refused.append(target)
      }
    }
    return refused
  }

  func close(_ target: UInt32, because reason: CloseReason) {
    if connections.isOccupied(target) { sessions.close(target, because: reason) }
  }

  private static func block(_ message: Span<UInt8>, _ kind: EventKind) -> [UInt8] {
    var block: [UInt8] = []
    EventStreamEncoder.append(message, kind, at: nil, to: &block)
    return block
  }

  /// Past the limit a reader is too slow: what it has not read yet its browser asks for when it returns.
  private func limitQueue(_ index: UInt32) {
    guard connections[index].outbox.unsolicitedBytes > limits.queueBytesMax, isOpen(index) else { return }
    metrics.slowConsumers += 1
    sessions.closeSlow(index, because: .slowConsumer)
  }

  // MARK: Pace

  // A stream sends nothing, so there is nothing to stop reading.
  func pauseUntilRoom(_ target: UInt32) {}
  func pauseReading(_ target: UInt32) {}
  func resumeReading(_ target: UInt32) {}
}
