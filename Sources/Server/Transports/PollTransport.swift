import ClientProtocol
import JSONCore
import LoopCore
import Realtime
import TimeCore

/// Poll connections: clients that take their messages by requests, each of which any node may get. A sibling of
/// `WebSocketDelivery` without sockets. Confined to the loop that created it.
final class PollTransport {
  /// What is known of a connection before it is opened.
  struct Opening {
    let rooms: [(name: [UInt8], since: Position?)]
    let user: [UInt8]
    let identity: Identity?
    let address: [UInt8]
  }

  /// A connection that nobody polls for this long ends as one whose socket is closed.
  static let unpolledMax = Interval.seconds(10)
  /// Bytes of messages in one answer, unless one block alone has more: an answer may be kept until it is confirmed, and may
  /// go through Redis, where a subscriber's queue has a limit.
  static let answerBytesMax = 64 * 1024
  /// Bytes in a queue below which more is made that can wait.
  static let roomBytes = 64 * 1024

  var connections = Slab<PollConnection>(capacity: 64)
  let hub: Hub
  private let sessions: ConnectionSessions
  private let peers: PeerGuard
  let limits: ConnectionLimits
  let metrics: Metrics
  private var wheel = TimerWheel()
  private var isTurning = false
  /// Connections with something for a request that waits, answered at the end of the tick.
  private var dirty: [SlabID] = []
  /// Connections whose session ends with the tick.
  var ending: [SlabID] = []
  /// Connections whose session has ended, by name.
  private var ended: [[UInt8]: UInt32] = [:]
  weak var host: (any ConnectionHost)?

  init(hub: Hub, sessions: ConnectionSessions, peers: PeerGuard, limits: ConnectionLimits, metrics: Metrics) {
    self.hub = hub
    self.sessions = sessions
    self.peers = peers
    self.limits = limits
    self.metrics = metrics
    hub.transports[.poll] = self
  }

  /// Bytes that wait in all queues.
  var queuedBytes: Int {
    var sum = 0
    for index in 0..<connections.end where connections.isOccupied(index) { sum += connections[index].queue.byteCount }
    return sum
  }

  /// Gives memory back after a crowd has left.
  func shrink() {
    connections.shrink()
    wheel.shrink()
    if ended.isEmpty { ended = [:] }
    if dirty.isEmpty { dirty = [] }
  }

  // MARK: The beginning

  /// Opens a connection: a session that joins its rooms. Answers when all are joined, or with why one of them cannot be.
  func open(_ opening: Opening, _ reply: @escaping (ConnectionAnswer) -> Void) {
    if let max = limits.connectionsMax, sessions.count >= max {
      metrics.connectionsRefused += 1
      metrics.refusals.add(.connections)
      return reply(ConnectionAnswer(.unavailable, "\(CloseReason.full.text)"))
    }
    let number = peers.number(of: opening.address)
    guard peers.admit(number) else {
      let response = PeerGuard.makeAddressRefusal()
      return reply(ConnectionAnswer(status: response.status, response.body))
    }
    let id = connections.insert(PollConnection(address: opening.address))
    sessions.noteOpened(.poll)
    connections[id.index].opening = PollConnection.Opening(rooms: opening.rooms.count, reply)
    let session = hub.open(
      SessionRequest(
        connection: id.index, format: .poll, transport: .poll, address: opening.address,
        user: opening.identity == nil ? opening.user : nil, identity: opening.identity, isLocal: number.isLocal))
    connections[id.index].session = session
    setDeadline(id.index, in: PollTransport.unpolledMax)
    // The hub may have closed it with its greeting.
    for room in opening.rooms where connections[id.index].isOpen {
      hub.join(session, room: room.name, since: room.since)
    }
    markDirty(id.index)
  }

  private func finishOpening(_ index: UInt32) {
    guard let opening = connections[index].opening, let session = connections[index].session else { return }
    if opening.failure == nil, let reason = connections[index].closing {
      opening.failure = ConnectionAnswer(PollTransport.code(of: reason), "\(reason.text)")
    }
    if let failure = opening.failure {
      connections[index].opening = nil
      remove(index)
      return opening.reply(failure)
    }
    guard opening.roomsLeft == 0 else { return }
    connections[index].opening = nil
    setDeadline(index, in: PollTransport.unpolledMax)
    let name = hub.name(of: session)
    let messages = takeMessages(index)
    opening.reply(PollConnection.answer(seq: connections[index].seq, name: name, messages))
  }

  private static func code(of reason: CloseReason) -> ErrorCode {
    switch reason {
    case .notAuthenticated: .unauthenticated
    case .forbidden, .closedByAdmin: .forbidden
    case .rateLimited, .tooManyConnections: .rateLimited
    case .draining, .full, .tokensUnjudged, .connectUndecided, .roomUnavailable, .slowConsumer, .nothingRead,
      .messageUnfinished:
      .unavailable
    }
  }

  // MARK: Polls

  /// Confirms what was answered up to `seq`, and answers with what has come since, at once, or as soon as something comes, or
  /// with nothing after `waitMilliseconds`. A poll that waits already is answered with nothing.
  func poll(
    _ name: [UInt8], by owner: ConnectionOwner?, seq: UInt64, waitMilliseconds: Int,
    _ reply: @escaping (ConnectionAnswer) -> Void
  ) {
    let index: UInt32
    switch find(name, by: owner) {
    case .failure(let refusal): return reply(refusal.answer)
    case .success(let found): index = found
    }
    let last = connections[index].seq
    if let kept = connections[index].unconfirmed, seq &+ 1 == last {
      releaseWaiter(index)
      setDeadline(index, in: PollTransport.unpolledMax)
      return reply(PollConnection.answer(seq: last, kept))
    }
    if connections[index].queue.isEmpty, connections[index].unconfirmed == nil || seq == last,
      let reason = connections[index].closing ?? connections[index].end?.reason
    {
      return reply(PollTransport.gone(reason))
    }
    guard seq == last else {
      let message = "seq is \(last) here: that of the last answer, or the one before if that answer did not come"
      return reply(ConnectionAnswer(.badRequest, message))
    }
    releaseWaiter(index)
    connections[index].unconfirmed = nil
    guard connections[index].queue.isEmpty else {
      setDeadline(index, in: PollTransport.unpolledMax)
      let messages = takeMessages(index)
      return reply(PollConnection.answer(seq: connections[index].seq, messages))
    }
    guard waitMilliseconds > 0 else {
      setDeadline(index, in: PollTransport.unpolledMax)
      return reply(PollConnection.answer(seq: seq, []))
    }
    connections[index].waiter = PollConnection.Waiter(seq: seq, reply)
    setDeadline(index, in: .milliseconds(waitMilliseconds))
  }

  /// Ends a connection at once.
  func end(_ name: [UInt8], by owner: ConnectionOwner?) -> ConnectionAnswer {
    switch find(name, by: owner) {
    case .failure(let refusal): return refusal.answer
    case .success(let index):
      let (waiter, ended) = (connections[index].waiter, connections[index].end)
      remove(index)
      if let ended { return PollTransport.gone(ended.reason) }
      waiter?.reply(PollTransport.ended)
      return ConnectionAnswer(status: 204, [])
    }
  }

  /// Why something cannot be asked of a connection: it has ended a while ago. Nil: no connection of that name has.
  func refusal(ofEnded name: [UInt8], by asker: ConnectionOwner?) -> ProtocolError? {
    guard let index = ended[name], let end = connections[index].end else { return nil }
    if let asker, let owner = end.owner, let problem = asker.refusal(of: owner) { return problem }
    return ProtocolError(.notFound, PollTransport.text(ofEnd: end.reason))
  }

  private static func text(ofEnd reason: CloseReason) -> String {
    "the connection was closed with \(reason.code): \(reason.text)"
  }

  private struct Refusal: Error { let answer: ConnectionAnswer }

  private static var ended: ConnectionAnswer {
    ConnectionAnswer(.notFound, "the connection has ended: open another one")
  }

  private static func gone(_ reason: CloseReason) -> ConnectionAnswer {
    ConnectionAnswer(.notFound, text(ofEnd: reason))
  }

  /// The connection of a name, when it is a user's.
  private func find(_ name: [UInt8], by asker: ConnectionOwner?) -> Result<UInt32, Refusal> {
    func refusal(of owner: ConnectionOwner?) -> Refusal? {
      guard let asker else { return nil }
      guard let owner else { return Refusal(answer: PollTransport.ended) }
      return asker.refusal(of: owner).map { Refusal(answer: ConnectionAnswer($0.code, $0.message)) }
    }
    if let index = ended[name] {
      return refusal(of: connections[index].end?.owner).map { .failure($0) } ?? .success(index)
    }
    guard let session = hub.session(named: name) else { return .failure(Refusal(answer: PollTransport.ended)) }
    if let refusal = refusal(of: ConnectionOwner(of: session, hub)) { return .failure(refusal) }
    guard let index = hub.connection(of: session, in: .poll) else {
      let message = "the connection is a WebSocket or an event stream: it gets its messages there"
      return .failure(Refusal(answer: ConnectionAnswer(.badRequest, message)))
    }
    // Its name is known to nobody before it is answered.
    guard connections[index].opening == nil else { return .failure(Refusal(answer: PollTransport.ended)) }
    return .success(index)
  }

  /// Answers the poll that waits with nothing.
  private func releaseWaiter(_ index: UInt32) {
    guard let waiter = connections[index].waiter else { return }
    connections[index].waiter = nil
    waiter.reply(PollConnection.answer(seq: waiter.seq, []))
  }

  /// Takes the messages of the next answer, which is kept until it is confirmed. Reports to the hub that there is room.
  private func takeMessages(_ index: UInt32) -> [UInt8] {
    let messages = connections[index].queue.take(bytesMax: PollTransport.answerBytesMax)
    connections[index].seq += 1
    connections[index].unconfirmed = messages
    guard connections[index].isOpen, let session = connections[index].session else { return messages }
    if connections[index].isUnwritable, connections[index].queue.isEmpty {
      connections[index].isUnwritable = false
      hub.becameWritable(session)
    }
    if connections[index].hasRefusedOffers, connections[index].queue.unsolicitedBytes <= limits.queueBytesMax / 4 {
      connections[index].hasRefusedOffers = false
      hub.canTakeMore(session)
    }
    if connections[index].awaitsRoom, hasRoom(index) {
      connections[index].awaitsRoom = false
      hub.hasRoom(session)
    }
    return messages
  }

  // MARK: The end of a tick

  func markDirty(_ index: UInt32) {
    guard !connections[index].isDirty else { return }
    connections[index].isDirty = true
    dirty.append(connections.id(at: index))
  }

  /// Answers the requests that wait and for which the tick has brought something.
  func flush() {
    guard !dirty.isEmpty else { return }
    var ids: [SlabID] = []
    swap(&ids, &dirty)
    for id in ids where connections.contains(id) {
      connections[id.index].isDirty = false
      if connections[id.index].opening != nil {
        finishOpening(id.index)
      } else if let waiter = connections[id.index].waiter, !connections[id.index].queue.isEmpty {
        connections[id.index].waiter = nil
        setDeadline(id.index, in: PollTransport.unpolledMax)
        let messages = takeMessages(id.index)
        waiter.reply(PollConnection.answer(seq: connections[id.index].seq, messages))
      }
    }
  }

  /// Whether something waits for the end of another tick.
  var hasWork: Bool { !dirty.isEmpty || !ending.isEmpty }

  /// Ends the sessions of connections that were closed. The connection stays for a while: its client gets what it was given,
  /// and then why it was closed.
  func endClosed() {
    while let id = ending.popLast() {
      guard connections.contains(id), let reason = connections[id.index].closing, connections[id.index].opening == nil,
        let session = connections[id.index].session
      else { continue }
      let index = id.index
      let (name, owner) = (hub.name(of: session), ConnectionOwner(of: session, hub))
      release(index)
      connections[index].closing = nil
      connections[index].end = PollConnection.End(reason: reason, name: name, owner: owner)
      ended[name] = index
      setDeadline(index, in: PollTransport.unpolledMax)
      guard let waiter = connections[index].waiter else { continue }
      connections[index].waiter = nil
      if connections[index].queue.isEmpty {
        waiter.reply(PollTransport.gone(reason))
      } else {
        let messages = takeMessages(index)
        waiter.reply(PollConnection.answer(seq: connections[index].seq, messages))
      }
    }
  }

  /// Ends the session of a connection, and gives back what it was counted as.
  private func release(_ index: UInt32) {
    guard let session = connections[index].session else { return }
    connections[index].session = nil
    peers.release(peers.number(of: connections[index].address))
    sessions.noteEnded(.poll)
    hub.close(session)
  }

  private func remove(_ index: UInt32) {
    release(index)
    if let end = connections[index].end { ended[end.name] = nil }
    _ = connections.remove(index)
  }

  /// Asks every client to come back elsewhere, each at its own moment, and closes its connection then.
  func drain(_ schedule: DrainSchedule) {
    var generator = SystemRandomNumberGenerator()
    for index in 0..<connections.end where connections.isOccupied(index) && connections[index].isOpen {
      guard let session = connections[index].session else { continue }
      let (id, moment) = (connections.id(at: index), schedule.moment(using: &generator))
      hub.announceReconnect(session, afterMilliseconds: moment.milliseconds)
      host?.after(moment) { [weak self] in
        guard let self, connections.contains(id) else { return }
        close(id.index, because: .draining)
      }
    }
  }

  // MARK: Time

  private func setDeadline(_ index: UInt32, in interval: Interval) {
    let ticks = interval / ConnectionTimers.tickInterval + 1
    connections[index].deadline = wheel.tick &+ UInt32(ticks)
    // A visit that comes no later looks again.
    let dueIn = Int32(bitPattern: connections[index].due &- wheel.tick)
    guard dueIn <= 0 || dueIn > Int32(ticks) else { return }
    connections[index].due = wheel.schedule(index, in: ticks)
    turn()
  }

  private func turn() {
    guard !isTurning, wheel.count > 0 else { return }
    isTurning = true
    host?.after(ConnectionTimers.tickInterval) { [weak self] in
      guard let self else { return }
      isTurning = false
      for index in wheel.advance() where connections.isOccupied(index) && connections[index].due == wheel.tick {
        visit(index)
      }
      turn()
    }
  }

  private func visit(_ index: UInt32) {
    let left = Int32(bitPattern: connections[index].deadline &- wheel.tick)
    if left > 0 {
      connections[index].due = wheel.schedule(index, in: Int(left))
    } else if connections[index].waiter != nil {
      releaseWaiter(index)
      setDeadline(index, in: PollTransport.unpolledMax)
    } else {
      let opening = connections[index].opening
      remove(index)
      opening?.reply(
        ConnectionAnswer(.unavailable, "the rooms cannot be joined now: open the connection again in a moment"))
    }
  }
}
