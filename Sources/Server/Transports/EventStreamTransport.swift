import ClientProtocol
import HTTPCore
import LoopCore
import Realtime

/// Event streams: the answer to a `GET /sse` that does not end. A sibling of `WebSocketDelivery` over the same queues.
final class EventStreamTransport: QueueTransport {
  /// What is known of a stream before it begins.
  struct Opening {
    /// The rooms and wildcards to join, each once; may be empty.
    let rooms: [[UInt8]]
    /// The browser's Last-Event-ID, or nil: it was never there.
    let lastEventID: [UInt8]?
    let user: [UInt8]?
    let identity: Identity?
  }

  /// How long a browser waits before it connects again: a random time, so that a thousand do not come together.
  private static let retryMilliseconds = 1000...5000

  static let openStage = Connection.Stage.eventStream
  /// Bytes of an id up to which every message carries one: some 60 rooms. Above it the last message of a batch does, or
  /// ids would be most of what is sent.
  static let idBytesOfEach = 1024

  let connections: ConnectionStore
  private let hub: Hub
  private let timers: ConnectionTimers
  let queues: SendQueues
  let sessions: ConnectionSessions
  private let requests: RequestProtocol
  private let peers: PeerGuard
  private let limits: ConnectionLimits
  let metrics: Metrics

  init(
    _ connections: ConnectionStore, hub: Hub, timers: ConnectionTimers, queues: SendQueues,
    sessions: ConnectionSessions, requests: RequestProtocol, peers: PeerGuard, limits: ConnectionLimits,
    metrics: Metrics
  ) {
    self.connections = connections
    self.hub = hub
    self.timers = timers
    self.queues = queues
    self.sessions = sessions
    self.requests = requests
    self.peers = peers
    self.limits = limits
    self.metrics = metrics
  }

  /// What is known of the rooms of streams, by connection: of those that join and of those that have ids of their own.
  private var rooms: [StreamRooms?] = []
  /// Streams that have joined a room and have another one to join.
  private var joining: [SlabID] = []
  /// Streams with answers to joins that wait for an id.
  private var holding: Set<UInt32> = []

  // MARK: The beginning

  /// Answers a request with the head of a stream, opens a session, and begins to join the rooms.
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
    // A line of the event that follows: some clients take one of its own for an event without data.
    queues.append(to: id.index) { output in
      output.append(contentsOf: "retry: \(Int.random(in: EventStreamTransport.retryMilliseconds))\n".utf8)
    }
    let session = hub.open(
      SessionRequest(
        connection: id.index, format: .eventStream, transport: .sse, address: connections[id.index].address,
        user: opening.identity == nil ? opening.user : nil, identity: opening.identity,
        isLocal: peers.number(of: connections[id.index].address).isLocal))
    // The hub may have closed it with its greeting.
    guard connections[id.index].isOpen else { return sessions.end(session) }
    connections[id.index].session = session
    guard !opening.rooms.isEmpty else { return }
    keep(StreamRooms(names: opening.rooms, lastEventID: opening.lastEventID), of: id.index)
    joinNext(of: id.index)
  }

  private static func head() -> Response {
    var response = Response.stream(contentType: ServerSentEvents.contentType)
    response.forbidStoring()
    // nginx passes on what comes as it comes.
    response.addHeader("X-Accel-Buffering", "no")
    return response
  }

  // MARK: Joining

  // One room after the other, so that `joined` comes in the order asked, and a stream of many rooms asks Redis for one thing
  // at a time.

  private func keep(_ stream: StreamRooms, of index: UInt32) {
    let missing = Int(index) + 1 - rooms.count
    if missing > 0 { rooms.append(contentsOf: repeatElement(nil, count: missing)) }
    rooms[Int(index)] = stream
    connections[index].hasOwnIDs = !stream.isOne
  }

  private func rooms(of index: UInt32) -> StreamRooms? { index < rooms.count ? rooms[Int(index)] : nil }

  private func joinNext(of index: UInt32) {
    guard let next = rooms(of: index)?.next, let session = connections[index].session else { return }
    hub.join(session, room: next.name, since: next.since)
  }

  /// Goes on with the streams that have more rooms to join. Called at the end of a tick, before the hub's flush.
  func joinDue() {
    guard hasWork else { return }
    var due: [SlabID] = []
    swap(&due, &joining)
    for id in due where connections.contains(id) && isOpen(id.index) { joinNext(of: id.index) }
  }

  /// Whether streams have more rooms to join.
  var hasWork: Bool { !joining.isEmpty }

  /// Notes that a stream has joined a room, or was refused the one whose turn it was: a stream that cannot have its rooms
  /// ends, so that its browser tries again.
  private func noteJoin(_ kind: EventKind, _ room: [UInt8]?, _ index: UInt32) {
    guard let stream = rooms(of: index), stream.next != nil else { return }
    if kind == .error { return sessions.close(index, because: .roomUnavailable) }
    guard kind == .joined, let room, stream.noteJoined(room) else { return }
    if stream.next != nil {
      joining.append(connections.id(at: index))
    } else if !connections[index].hasOwnIDs {
      // The ids of one room are in its block: nothing more needs to be known.
      rooms[Int(index)] = nil
    }
  }

  /// Sends the answers to joins that have waited for an id. It stands in the first of them and names all of their rooms: a
  /// client that has any of them resumes each room from where it was joined.
  private func releaseJoins(of target: UInt32) {
    guard !holding.isEmpty, holding.remove(target) != nil, isOpen(target), let stream = rooms(of: target),
      let held = stream.release()
    else { return }
    queues.answer(target) {
      queues.append(to: target) { output in
        EventStreamTransport.appendID(of: stream, at: held.position, to: &output)
        output += held.events
      }
    }
  }

  func rostersChanged(of target: UInt32, by change: Int32) {
    guard connections.isOccupied(target) else { return }
    connections[target].rosterCount += change
    guard connections[target].rosterCount > 1, !connections[target].hasOwnIDs, isOpen(target),
      let session = connections[target].session
    else { return }
    // A stream of one room has joined another one since: only the first one's positions are ids.
    keep(StreamRooms(names: hub.firstRoom(of: session).map { [$0] } ?? [], lastEventID: nil), of: target)
    connections[target].hasOwnIDs = true
  }

  /// Forgets a connection that is gone.
  func forget(_ index: UInt32) {
    if index < rooms.count { rooms[Int(index)] = nil }
    holding.remove(index)
  }

  /// Gives memory back after a crowd has left.
  func shrink() {
    if let last = rooms.lastIndex(where: { $0 != nil }) { rooms.removeSubrange((last + 1)...) } else { rooms = [] }
  }

  // MARK: Fan-out

  func deliver(_ batch: RoomBatch, of room: [UInt8], to roster: [RosterEntry], format: WireFormat, sparing: Bool) {
    let block = EventStreamEncoder.block(of: batch, hasIDs: true)
    // The same without ids, made with the first member that needs it.
    var bare: EventBlock?
    let isAlone = hub.isDeliveringAlone
    let isBacklog = batch.isBacklog
    if !holding.isEmpty { for member in roster { releaseJoins(of: member.connection) } }
    queues.beginFanOut(sparing: sparing)
    var posted: SendQueues.PostedBlock?
    for member in roster {
      let target = member.connection
      let way = self.way(of: target, isAlone: isAlone)
      if way == .none { continue }
      if connections[target].hasOwnIDs {
        let events = bare ?? EventStreamEncoder.block(of: batch, hasIDs: false)
        bare = events
        let count = appendOwn(events, batch, room, member)
        if count > 0 { noteQueued(count, for: target, sparing: sparing, isBacklog: isBacklog) }
      } else if batch.hasOrigins, batch.entries.contains(where: { $0.origin?.index == member.session }) {
        let rest = EventStreamTransport.without(member.session, batch, block)
        if !rest.isEmpty { queue(rest, for: target, sparing: sparing, isBacklog: isBacklog) }
      } else if way == .direct {
        queues.sendDirectly(block.bytes, &posted, to: target)
      } else {
        queue(block.bytes, for: target, sparing: sparing, isBacklog: isBacklog)
      }
    }
    queues.endFanOut(sparing: sparing)
    metrics.count(batch, members: roster.count)
  }

  /// A block without what the member's own session has sent.
  private static func without(_ session: UInt32, _ batch: RoomBatch, _ block: EventBlock) -> [UInt8] {
    var rest: [UInt8] = []
    for (index, entry) in batch.entries.enumerated() where entry.origin?.index != session {
      rest.append(contentsOf: block.bytes[block.range(index)])
    }
    return rest
  }

  /// Queues the events of a batch with the ids of a member's own, without what its session has sent. Returns the bytes.
  ///
  /// The id of a message stands before its data, in the same event: a browser takes both or neither (WHATWG HTML section
  /// 9.2.6), so a stream that breaks off anywhere resumes after exactly what was dispatched.
  private func appendOwn(
    _ events: EventBlock, _ batch: RoomBatch, _ room: [UInt8], _ member: RosterEntry
  ) -> Int {
    let target = member.connection
    let stream = rooms(of: target)
    let place = stream?.place(of: room)
    let isIDOnEach = (stream?.idBytes ?? 0) <= EventStreamTransport.idBytesOfEach
    let last = isIDOnEach ? nil : batch.entries.lastIndex { $0.offset > 0 && $0.origin?.index != member.session }
    var count = 0
    queues.append(to: target) { output in
      let before = output.count
      for (index, entry) in batch.entries.enumerated() where entry.origin?.index != member.session {
        if let stream, let place, let epoch = batch.epoch, entry.offset > 0 {
          let position = Position(epoch: epoch, offset: entry.offset)
          stream.move(place, to: position)
          if isIDOnEach || index == last { EventStreamTransport.appendID(of: stream, at: position, to: &output) }
        }
        output.append(contentsOf: events.bytes[events.range(index)])
      }
      count = output.count - before
    }
    return count
  }

  private static func appendID(of stream: StreamRooms, at position: Position, to output: inout [UInt8]) {
    output.append(contentsOf: "id: ".utf8)
    stream.appendID(at: position, to: &output)
    output.append(UInt8(ascii: "\n"))
  }

  // MARK: One connection

  func send(_ message: Span<UInt8>, _ kind: EventKind, to target: UInt32) {
    guard isOpen(target) else { return }
    releaseJoins(of: target)
    queues.append(to: target) { EventStreamEncoder.append(message, kind, at: nil, to: &$0) }
    limitQueue(target)
  }

  func send(_ message: Span<UInt8>, _ kind: EventKind, toEach targets: [UInt32]) {
    let block = EventStreamTransport.block(message, kind)
    for target in targets where isOpen(target) {
      releaseJoins(of: target)
      queues.push(block, to: target)
      limitQueue(target)
    }
  }

  func answer(_ message: Span<UInt8>, _ kind: EventKind, at position: Position?, to target: UInt32) {
    answer(message, kind, at: position, in: nil, to: target)
  }

  func answer(
    _ message: Span<UInt8>, _ kind: EventKind, at position: Position?, in room: [UInt8]?, to target: UInt32
  ) {
    guard isOpen(target) else { return }
    if kind == .joined, connections[target].hasOwnIDs, let position, let room, let stream = rooms(of: target),
      let place = stream.place(of: room)
    {
      stream.move(place, to: position)
      var event: [UInt8] = []
      EventStreamEncoder.append(message, kind, at: position, hasID: false, to: &event)
      stream.hold(event, at: position)
      holding.insert(target)
      noteJoin(kind, room, target)
      if stream.isReleaseDue(idBytesOfEach: EventStreamTransport.idBytesOfEach) { releaseJoins(of: target) }
      return
    }
    releaseJoins(of: target)
    queues.answer(target) {
      queues.append(to: target) { output in
        let hasOwnIDs = connections[target].hasOwnIDs
        if hasOwnIDs, let position, let room, let stream = rooms(of: target), let place = stream.place(of: room) {
          stream.move(place, to: position)
          EventStreamTransport.appendID(of: stream, at: position, to: &output)
        }
        EventStreamEncoder.append(message, kind, at: position, hasID: !hasOwnIDs, to: &output)
      }
    }
    noteJoin(kind, room, target)
  }

  func offer(
    _ message: Span<UInt8>, _ kind: EventKind, _ allotment: Allotment, toEach targets: [UInt32]
  ) -> [UInt32] {
    let block = EventStreamTransport.block(message, kind)
    for target in targets where isOpen(target) { releaseJoins(of: target) }
    return offer(bytes: block.count, allotment, toEach: targets) { _ in block }
  }

  private static func block(_ message: Span<UInt8>, _ kind: EventKind) -> [UInt8] {
    var block: [UInt8] = []
    EventStreamEncoder.append(message, kind, at: nil, to: &block)
    return block
  }

  // MARK: Pace

  // A stream sends nothing, so there is nothing to stop reading.
  func pauseUntilRoom(_ target: UInt32) {}
  func pauseReading(_ target: UInt32) {}
  func resumeReading(_ target: UInt32) {}
}
