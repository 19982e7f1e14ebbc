import ClientProtocol
import JSONCore

/// What all parts of a hub share: its sessions, rooms and users, its broker, its transports, its clocks, its counters.
/// Confined to the loop that created the hub.
final class HubContext {
  let configuration: HubConfiguration
  let broker: any Broker
  /// Milliseconds since 1970. A closure so that tests own time.
  let clock: () -> UInt64
  /// Milliseconds that no one can set.
  let steady: () -> UInt64
  /// Where bytes go, by wire format.
  var transports = Transports()
  /// Runs something after so many milliseconds, followed by a `flush`.
  var after: (_ milliseconds: Int, _ action: @escaping () -> Void) -> Void = { _, _ in }

  /// Generations begin at random: a node that is started again under its old id must not repeat connections' names.
  var sessions = Slab<Session>(firstGeneration: .random(in: 0..<1 << 31))
  var rooms = NameTable<Room>()
  var users = NameTable<LocalUser>()
  var counters = HubCounters()
  /// Those who are informed of what happens here.
  var observers = Observers()
  /// Those who may forbid what clients do.
  var authorisers = Authorisers()
  /// Makes the spans of what happens here; nil: nothing is recorded.
  var tracer: Tracer? { didSet { beginsTraces = tracer?.beginsTraces ?? false } }
  /// Whether publishes that are part of no trace may begin one.
  private(set) var beginsTraces = false
  /// Where the answers to operations go that requests have brought for sessions.
  let requestAnswers = RequestAnswers()
  /// Reused by every answer, so that an answer costs one copy and no allocation.
  private var scratch: [UInt8] = []

  init(
    _ configuration: HubConfiguration, broker: any Broker, clock: @escaping () -> UInt64, steady: @escaping () -> UInt64
  ) {
    self.configuration = configuration
    self.broker = broker
    self.clock = clock
    self.steady = steady
  }

  /// Gives memory back after a crowd has left.
  func shrink() {
    sessions.shrink()
    rooms.shrink()
    users.shrink()
    scratch = []
    rooms.forEach { $0.rosters.shrink() }
  }

  /// The session as presence knows it, or nil while it is not authenticated.
  /// `since`: when it joined the room that it is a member of; nil for the session itself.
  func member(_ index: UInt32, since: UInt64? = nil) -> Member? {
    guard let user = sessions[index].user else { return nil }
    return Member(
      name: connectionName(sessions.id(at: index)), node: configuration.nodeID, user: user.name,
      transport: sessions[index].transport, address: sessions[index].address, since: since ?? sessions[index].since,
      info: sessions[index].identity?.info)
  }

  func connectionName(_ id: SlabID) -> [UInt8] {
    // Of exactly that size: the broker keeps one for each connection.
    var name: [UInt8] = []
    name.reserveCapacity(configuration.nodeID.count + 1 + SessionNumber.digits(of: id.word))
    appendConnectionName(id, to: &name)
    return name
  }

  func appendConnectionName(_ id: SlabID, to output: inout [UInt8]) {
    output.append(contentsOf: configuration.nodeID)
    output.append(UInt8(ascii: "-"))
    SessionNumber.append(id.word, to: &output)
  }

  /// The session of this node that has that name, or nil.
  func localSession(named name: Span<UInt8>) -> SlabID? {
    let node = configuration.nodeID
    guard name.count > node.count + 1, name[node.count] == UInt8(ascii: "-") else { return nil }
    for i in 0..<node.count where name[i] != node[i] { return nil }
    guard let number = SessionNumber.parse(name.extracting((node.count + 1)..<name.count)) else { return nil }
    let id = SlabID(word: number)
    return sessions.contains(id) ? id : nil
  }

  /// Sends one event to a session, if it is still there.
  ///
  /// - Parameters:
  ///   - answerID: the `id` of the operation that it answers, with its quotes; nil: it had none, or nobody asked.
  ///   - room: the name of the room, or of the wildcard, whose position it brings; nil: of none.
  /// - Returns: the bytes of its JSON.
  @discardableResult
  func answer(_ id: SlabID, _ event: ServerEvent, id answerID: [UInt8]? = nil, in room: [UInt8]? = nil) -> Int {
    guard sessions.contains(id) else { return 0 }
    if let tag = answerID, RequestAnswers.isTag(tag) { return answer(id, event, tag: tag, in: room) }
    var text: [UInt8] = []
    swap(&text, &scratch)
    text.removeAll(keepingCapacity: true)
    event.appendJSON(id: answerID, to: &text)
    transport(of: id.index)?.answer(
      text.span, event.kind, at: event.position, in: room, to: sessions[id.index].connection)
    let byteCount = text.count
    swap(&text, &scratch)
    return byteCount
  }

  /// Gives an event to the request that has asked for it. What changes what the connection gets goes down the connection too,
  /// before anything that follows from it: its client must know where its messages begin and end.
  private func answer(_ id: SlabID, _ event: ServerEvent, tag: [UInt8], in room: [UInt8]?) -> Int {
    let isOfRoom: Bool
    switch event {
    case .joined, .left: isOfRoom = true
    default: isOfRoom = false
    }
    guard isOfRoom, RequestAnswers.origin(tag) == .connection else {
      if isOfRoom { answer(id, event, in: room) }
      return requestAnswers.answer(tag, event)
    }
    // The acknowledgement goes down the same connection, and comes first.
    let byteCount = requestAnswers.answer(tag, event)
    answer(id, event, in: room)
    return byteCount
  }

  /// Sends an `error` to a session.
  func refuse(_ id: SlabID, _ code: ErrorCode, _ message: String, _ answerID: [UInt8]?) {
    answer(id, .error(code, message), id: answerID)
  }

  /// Sends one event to every session, encoded once.
  func sendToEverySession(_ event: ServerEvent) {
    var connections = ConnectionsByFormat()
    for index in 0..<sessions.end where sessions.isOccupied(index) {
      connections[sessions[index].format].append(sessions[index].connection)
    }
    send(event, toEach: connections)
  }

  /// Sends one event to all members of rosters, encoded once.
  func send(_ event: ServerEvent, toEach rosters: Rosters) {
    var connections = ConnectionsByFormat()
    for format in WireFormat.allCases { connections[format] = rosters[format: format].map(\.connection) }
    send(event, toEach: connections)
  }

  func send(_ event: ServerEvent, toEach connections: ConnectionsByFormat) {
    var text: [UInt8] = []
    event.appendJSON(to: &text)
    for format in WireFormat.allCases where !connections[format].isEmpty {
      transports[format]?.send(text.span, event.kind, toEach: connections[format])
    }
  }

  /// Closes a session's connection after what it was given. The session's end comes back as ``close(_:)``.
  func close(_ id: SlabID, because reason: CloseReason) {
    transport(of: id.index)?.close(sessions[id.index].connection, because: reason)
  }

  /// The transport that holds a session's connection.
  func transport(of session: UInt32) -> (any SessionTransport)? { transports[sessions[session].format] }

  func answerLeft(_ id: SlabID, _ roomName: Span<UInt8>, _ answerID: [UInt8]?) {
    var roomJSON: [UInt8] = []
    JSONString.append(roomName, to: &roomJSON)
    answer(id, .left(roomJSON: roomJSON), id: answerID)
  }

  /// The index of the subscription to a room that the session is in, or nil while it is joining or has not asked to.
  func joinedIndex(_ id: SlabID, _ room: Room?) -> Int? {
    guard let room, let index = sessions[id.index].subscriptionIndex(room) else { return nil }
    return sessions[id.index].subscriptions[index].isJoined ? index : nil
  }

  /// Appends the name of the user who asks, as a JSON string.
  func appendUserJSON(of caller: Caller, to output: inout [UInt8]) {
    switch caller {
    case .session(let id): sessions[id.index].user?.appendNameJSON(to: &output)
    case .request(let request):
      let name = request.user
      JSONString.append(name.span, to: &output)
    case .backend: output.append("null")
    }
  }

  /// The name of the user who asks; nil: not known yet.
  func userName(of caller: Caller) -> [UInt8]? {
    switch caller {
    case .session(let id): sessions[id.index].user?.name
    case .request(let request): request.user
    case .backend: nil
    }
  }

  func identity(of caller: Caller) -> Identity? {
    switch caller {
    case .session(let id): sessions[id.index].identity
    case .request(let request): request.identity
    case .backend: nil
    }
  }

  /// Who is held to a share of what all have together; nil: nobody can be told.
  func owner(of caller: Caller) -> ClientOwner? {
    switch caller {
    case .session(let id):
      ClientOwner(
        sharing: sessions[id.index].identity, address: sessions[id.index].address, isLocal: sessions[id.index].isLocal)
    case .request(let request):
      ClientOwner(sharing: request.identity, address: request.address, isLocal: request.isLocal)
    case .backend: nil
    }
  }

  func isLocal(_ caller: Caller) -> Bool {
    switch caller {
    case .session(let id): sessions[id.index].isLocal
    case .request(let request): request.isLocal
    case .backend: true
    }
  }

  /// Sends an answer to the caller. A request has to be answered; over a connection an operation without an `id` is not
  /// acknowledged.
  func acknowledge(_ caller: Caller, _ event: ServerEvent, id answerID: [UInt8]?) {
    switch caller {
    case .session(let id): if answerID != nil { answer(id, event, id: answerID) }
    case .request(let request): request.answer(event, id: answerID)
    case .backend: break
    }
  }

  func refuse(_ caller: Caller, _ code: ErrorCode, _ message: String, _ answerID: [UInt8]?) {
    switch caller {
    case .session(let id): refuse(id, code, message, answerID)
    case .request(let request): request.answer(.error(code, message), id: answerID)
    case .backend: break
    }
  }

  /// Refuses what the broker did not do: with `unavailable` when it may do it later, with `internal` when it will not.
  ///
  /// - Parameter whenAway: what to say when the broker is out of reach.
  func refuse(
    _ caller: Caller, failure error: BrokerError, _ whenAway: @autoclosure () -> String, _ answerID: [UInt8]?
  ) {
    if error == .refused { return refuse(caller, .internal, Refusal.damaged, answerID) }
    refuse(caller, .unavailable, Refusal.saying(broker.refusal, in: whenAway()), answerID)
  }

  /// Refuses what the broker did not do: with `unavailable` when it may do it later, with `internal` when it will not.
  ///
  /// - Parameter whenAway: what to say when the broker is out of reach.
  func refuse(_ id: SlabID, failure error: BrokerError, _ whenAway: @autoclosure () -> String, _ answerID: [UInt8]?) {
    refuse(.session(id), failure: error, whenAway(), answerID)
  }

  /// Whether a room is still the one of its name: a broker may answer after the room has ended.
  func isKnown(_ room: Room) -> Bool {
    let name = room.name
    return rooms.find(name.span) === room
  }

  /// Users in a room as announced to its members; 0 before this node has read them.
  func userCount(of room: Room) -> Int {
    room.presence?.announced?.count ?? broker.userCountAtOnce(room: room.name) ?? 0
  }

  func addToRoster(_ room: Room, _ session: UInt32) -> UInt32 {
    let format = sessions[session].format
    let connection = sessions[session].connection
    room.rosters[format: format].append(RosterEntry(connection: connection, session: session))
    transports[format]?.rostersChanged(of: connection, by: 1)
    return UInt32(room.rosters[format: format].count - 1)
  }

  /// Fills the hole with the last entry: constant time however many members there are.
  func removeFromRoster(_ room: Room, format: WireFormat, place: UInt32) {
    transports[format]?.rostersChanged(of: room.rosters[format: format][Int(place)].connection, by: -1)
    let last = room.rosters[format: format].removeLast()
    guard Int(place) < room.rosters[format: format].count else { return }
    room.rosters[format: format][Int(place)] = last
    if let index = sessions[last.session].subscriptionIndex(room) {
      sessions[last.session].subscriptions[index].place = place
    }
  }
}
