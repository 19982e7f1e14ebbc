import ClientProtocol
import HTTPCore
import LoopCore
import Realtime
import TimeCore
import WebSocketCore

/// `/admin/live`: a WebSocket on which operators are sent what they watch, whenever it has changed. The node looks at what is
/// watched every two seconds or as asked, never while an operator has not taken what was sent before, and not sooner than four
/// times as long as the last look took. Confined to the loop of its table.
final class AdminLive: OperatorSockets {
  /// Operators' WebSockets of one node: each look of each costs what a request costs.
  static let socketsMax = 16
  /// WebSockets that have not proved to be an operator's; one more ends the oldest, so that strangers keep no operator out.
  static let strangersMax = 64
  /// Watches of one socket: what one page shows at a time, and some more.
  static let watchesMax = 16
  /// Bytes of one operation.
  static let messageBytesMax = 16 * 1024
  /// Bytes that may wait for an operator before nothing more is looked at for it.
  static let queuedBytesMax = 256 * 1024
  /// Time in which the token must come.
  private static let authTime = Interval.seconds(10)
  /// Time between two searches for what is due.
  private static let step = Interval.milliseconds(200)
  /// The time before what failed is asked again.
  private static let retry = Interval.seconds(2)
  /// The pause after a look is at least so many times what the look took: looking must not be a load.
  private static let workShare = 4

  private struct Asked {
    let socket: SlabID
    let state: WatchState
    let at: Instant
  }

  private let table: ConnectionTable
  private let endpoint: AdminEndpoint
  /// Answers the reads that are watched.
  private var reads: AdminEndpoint?
  private var sockets: [SlabID: LiveSocket] = [:]
  /// Reads that were asked and not answered, by the number that stands for their connection.
  private var asked: [UInt32: Asked] = [:]
  private var lastNumber: UInt32 = 0
  private var isStepping = false

  init(_ table: ConnectionTable, _ endpoint: AdminEndpoint) {
    (self.table, self.endpoint) = (table, endpoint)
    table.operators = self
    reads = AdminEndpoint(sharing: endpoint) { [weak self] in self?.answered($0, $1) }
  }

  private var now: Instant { endpoint.node?.loop.instant ?? .zero }

  // MARK: Opening

  /// Opens a WebSocket whose handshake is valid. A wrong token in its header is answered as by any other path; without one the
  /// first operation must bring it.
  func open(_ request: Request, _ acceptance: Handshake.Acceptance) {
    let token = BearerToken.read(request.head)
    if token != nil {
      let verdict = endpoint.gate.judge(token, from: request.address, acceptsAPIKey: false)
      guard verdict == .opened else { return endpoint.refuse(request, verdict) }
    }
    guard table.upgrade(request, acceptance, operatorMessageBytesMax: AdminLive.messageBytesMax) else { return }
    let socket = LiveSocket(
      request.connection, address: request.address, deadline: token == nil ? now + AdminLive.authTime : nil)
    sockets[socket.id] = socket
    if token != nil { admit(socket) } else { endOldestStranger() }
    step()
  }

  private func endOldestStranger() {
    let strangers = sockets.values.filter { !$0.isOpen }
    guard strangers.count > AdminLive.strangersMax else { return }
    let oldest = strangers.min { ($0.deadline ?? .zero) < ($1.deadline ?? .zero) }
    if let oldest { close(oldest, because: .notAuthenticated) }
  }

  private func admit(_ socket: LiveSocket) {
    guard sockets.values.count(where: { $0.isOpen && $0 !== socket }) < AdminLive.socketsMax else {
      return close(socket, because: .full)
    }
    socket.open()
    send(.authSuccess(node: endpoint.hub.configuration.nodeID), to: socket)
  }

  private func authenticate(_ socket: LiveSocket, _ token: [UInt8]) {
    guard !socket.isOpen else {
      return send(.error(id: nil, ProtocolError(.badRequest, "the token was given already")), to: socket)
    }
    switch endpoint.gate.judge(token, from: socket.address, acceptsAPIKey: false) {
    case .opened: admit(socket)
    case .wrong, .apiKey:
      send(.authFailed(reason: "this is not the admin token", retryAfterSeconds: nil), to: socket)
      close(socket, because: .notAuthenticated)
    case .tooMany(let wait):
      let seconds = (wait.milliseconds + 999) / 1000
      send(.authFailed(reason: AdminGate.tooMany, retryAfterSeconds: seconds), to: socket)
      close(socket, because: .rateLimited)
    }
  }

  // MARK: What operators send

  func receive(text: Span<UInt8>, on id: SlabID) {
    guard let socket = sockets[id] else { return }
    do throws(ProtocolError) {
      let operation = try LiveOperation(text)
      if case .auth(let token) = operation { return authenticate(socket, token) }
      guard socket.isOpen else { return close(socket, because: .notAuthenticated) }
      switch operation {
      case .auth: break
      case .watch(let watch): try begin(watch, of: socket)
      case .unwatch(let id): if let state = socket.remove(id) { end(state) }
      }
    } catch {
      guard socket.isOpen else { return close(socket, because: .notAuthenticated) }
      send(.error(id: nil, error), to: socket)
    }
  }

  private func begin(_ watch: LiveWatch, of socket: LiveSocket) throws(ProtocolError) {
    let state = WatchState(watch, at: now)
    if let before = socket.add(state) {
      end(before)
    } else if socket.watches.count > AdminLive.watchesMax {
      _ = socket.remove(watch.id)
      return send(
        .error(
          id: watch.id, ProtocolError(.tooLarge, "a socket has at most \(AdminLive.watchesMax) watches: end one")),
        to: socket)
    }
    if watch.waitMilliseconds == 0 { look(at: state, of: socket) }
  }

  func ended(_ id: SlabID) {
    guard let socket = sockets.removeValue(forKey: id) else { return }
    for state in socket.watches.values { end(state) }
  }

  private func end(_ state: WatchState) {
    state.isEnded = true
    if let waiter = state.waiter { endpoint.hub.cancel(waiter) }
    state.waiter = nil
  }

  private func send(_ event: LiveEvent, to socket: LiveSocket) { table.send(event.json, toOperator: socket.id) }

  private func close(_ socket: LiveSocket, because reason: CloseReason) {
    table.close(operator: socket.id, because: reason)
    ended(socket.id)
  }

  // MARK: Looking

  private func step() {
    guard !isStepping, !sockets.isEmpty else { return }
    isStepping = true
    endpoint.hub.after(AdminLive.step.milliseconds) { [weak self] in
      guard let self else { return }
      isStepping = false
      for socket in Array(sockets.values) { look(at: socket) }
      step()
    }
  }

  private func look(at socket: LiveSocket) {
    if let deadline = socket.deadline {
      if now >= deadline { close(socket, because: .notAuthenticated) }
      return
    }
    for state in socket.watches.values where state.isDue(at: now) { look(at: state, of: socket) }
  }

  private func look(at state: WatchState, of socket: LiveSocket) {
    guard let queued = table.queuedBytes(ofOperator: socket.id), queued <= AdminLive.queuedBytesMax,
      state.isDue(at: now)
    else { return }
    state.isAsked = true
    switch state.watch.subject {
    case .read: ask(state, of: socket)
    case .tail(let room): follow(room, state, of: socket.id)
    }
  }

  private func ask(_ state: WatchState, of socket: LiveSocket) {
    guard let head = state.head, let reads else { return }
    repeat { lastNumber &+= 1 } while asked[lastNumber] != nil
    asked[lastNumber] = Asked(socket: socket.id, state: state, at: now)
    let number = SlabID(index: lastNumber, generation: 0)
    reads.answerOperator(Request(connection: number, head: head, body: [], address: socket.address))
  }

  private func answered(_ number: SlabID, _ response: Response) {
    guard let ask = asked.removeValue(forKey: number.index) else { return }
    let state = ask.state
    state.isAsked = false
    let took = endpoint.node.map { $0.loop.instant - ask.at } ?? .zero
    state.dueAt = now + max(.milliseconds(state.watch.everyMilliseconds), took * AdminLive.workShare)
    guard !state.isEnded, let socket = sockets[ask.socket] else { return }
    let digest = Digest.sha256(response.body)
    guard digest != state.digest else { return }
    state.digest = digest
    send(.update(id: state.watch.id, status: response.status, body: response.body), to: socket)
  }

  /// Waits for what comes in a room after what was sent; the first answer says where the room is.
  private func follow(_ room: [UInt8], _ state: WatchState, of id: SlabID) {
    let waiter = PollWaiter(operatorReading: room, since: state.position) { [weak self, weak state] outcome in
      guard let self, let state, !state.isEnded, let socket = sockets[id] else { return }
      state.waiter = nil
      state.isAsked = false
      switch outcome {
      case .answer(let answer):
        state.position = answer.position
        state.dueAt = now
        send(.update(id: state.watch.id, status: 200, body: answer.json), to: socket)
      case .refused(let code, let message):
        state.dueAt = now + AdminLive.retry
        let response = ErrorResponse.make(code, message)
        send(.update(id: state.watch.id, status: response.status, body: response.body), to: socket)
      }
    }
    state.waiter = waiter
    endpoint.hub.poll(waiter)
    // It may have been answered at once.
    if waiter.isDone { state.waiter = nil }
  }
}
