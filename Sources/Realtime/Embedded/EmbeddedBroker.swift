import ClientProtocol

/// The broker of a node without Redis: the same offsets, history and presence, within one process.
///
/// Everything is answered before the call returns. Confined to the thread that created it.
public final class EmbeddedBroker: Broker {
  public weak var listener: (any BrokerListener)?
  public let isAvailable = true
  /// One process: what happens is said once.
  public let losesNotices = false

  /// Called with the events of rooms, while they happen; nil: nobody wants them.
  public var roomEvents: ((RoomEvent) -> Void)?

  private let nodeID: [UInt8]
  private let retention: Retention
  private let rules: RoomRules
  private let clock: () -> UInt64
  private var rooms: [[UInt8]: EmbeddedRoom] = [:]
  private var subscribedPrefixes: Set<[UInt8]> = []
  private var revoked: [Revocation.Subject: UInt64] = [:]
  private var dedupe: DedupeMemory
  private var hookDeliveries = HookDeliveries()
  /// Rooms that nobody is in and nobody ever spoke in, in the order in which their time is up.
  private var unused: [(deadline: UInt64, name: [UInt8])] = []
  private var connections = NameTable<EmbeddedConnection>()
  /// A user's first connection; the others are linked from it.
  private var userConnections: [[UInt8]: EmbeddedConnection] = [:]
  private var nextEpoch: UInt64
  private var questions = PendingQuestions<(NodeAnswer) -> Void>()

  /// - Parameters:
  ///   - historySize: messages a room keeps; 0 for none.
  ///   - historyMilliseconds: how long it keeps them.
  ///   - rules: say so for rooms of some names.
  ///   - dedupeBytes: memory for the ids of messages; beyond it the oldest are forgotten.
  ///   - clock: milliseconds since 1970; of a clock that nobody sets, so that what is kept for a time is kept for that.
  ///   - epochSeed: where epochs begin; differs from start to start, so that no offset of an earlier life fits.
  public init(
    nodeID: [UInt8], historySize: Int, historyMilliseconds: UInt64, rules: RoomRules = RoomRules(),
    dedupeBytes: Int = Limits.dedupeBytesDefault, epochSeed: UInt64 = .random(in: 1..<1 << 48),
    clock: @escaping () -> UInt64
  ) {
    self.nodeID = nodeID
    retention = Retention(messagesMax: historySize, milliseconds: Int(clamping: historyMilliseconds))
    self.rules = rules
    self.clock = clock
    nextEpoch = epochSeed
    dedupe = DedupeMemory(byteCount: dedupeBytes, milliseconds: Limits.dedupeMilliseconds)
  }

  /// Ids of messages that were forgotten before their time, because more came than `dedupeBytes` hold.
  public var dedupeForgottenTotal: UInt64 { dedupe.forgottenTotal }
  /// Rooms that it holds, those included that nobody is in any more.
  public var roomCount: Int { rooms.count }

  public func start() {}
  public func stop(_ reply: @escaping () -> Void) { reply() }

  /// Forgets what is older than its time. The node calls it about once a second; the cost is what has expired, and a
  /// look at each room once a minute's worth of calls.
  public func expire() {
    let now = clock()
    dedupe.expire(at: now)
    expireUnused(at: now)
    for waiter in questions.takeDue(at: now) { waiter(.unavailable) }
    guard now >= nextSweep else { return }
    nextSweep = now + 60_000
    for (name, room) in rooms where room.isForgotten(at: now) { rooms[name] = nil }
  }

  /// Gives memory back after a crowd has left: dictionaries do not shrink by themselves.
  public func shrink() {
    connections.shrink()
    userConnections = userConnections.shrunk()
    rooms = rooms.shrunk()
    // What nobody is in and nobody ever spoke in is soon made again.
    rooms = rooms.filter { !$0.value.isUnused }
    for room in rooms.values { room.shrink() }
  }

  private var nextSweep: UInt64 = 0

  /// The room to stay in or to publish in: made when there is none.
  private func room(_ name: [UInt8]) -> EmbeddedRoom {
    if let room = rooms[name] { return room }
    let room = EmbeddedRoom(epoch: makeEpoch(), now: clock())
    rooms[name] = room
    return room
  }

  /// An epoch that was given to nothing else.
  private func makeEpoch() -> Epoch {
    nextEpoch += 1
    // Safe because the number only grows from a positive seed.
    return Epoch(nextEpoch)!
  }

  /// Where a room is that nobody stays in and nobody has published in.
  private func positionOfNothing() -> Position { Position(epoch: makeEpoch(), offset: 0) }

  /// Notes that a room was left, so that it goes when nobody comes back and nobody ever spoke in it.
  private func noteLeft(_ name: [UInt8], _ room: EmbeddedRoom) {
    guard room.isUnused, !room.isExpiring else { return }
    room.isExpiring = true
    unused.append((clock() + Limits.unusedRoomMilliseconds, name))
  }

  private func expireUnused(at now: UInt64) {
    let due = unused.prefix { $0.deadline <= now }
    for (_, name) in due {
      guard let room = rooms[name] else { continue }
      room.isExpiring = false
      guard room.isUnused else { continue }
      // Somebody may have come and gone meanwhile.
      if room.isForgotten(at: now) { rooms[name] = nil } else { noteLeft(name, room) }
    }
    unused.removeFirst(due.count)
  }

  // MARK: Messages

  public func publish(_ message: RoomMessage, _ reply: @escaping BrokerReply<Position>) {
    let now = clock()
    let id = message.dedupe.map { dedupe.fingerprint(kind: 0x72, scope: message.room, $0) }
    if let id, let first = dedupe.find(id, at: now), let epoch = Epoch(first.first) {
      return reply(.success(Position(epoch: epoch, offset: first.second)))
    }
    let room = room(message.room)
    room.append(message.envelope, at: now, message.retention ?? retention)
    let position = room.position
    if let id {
      dedupe.remember(id, DedupeMemory.Answer(first: position.epoch.value, second: position.offset), at: now)
    }
    if room.isSubscribed || subscribedPrefixes.contains(where: { message.room.starts(with: $0) }) {
      listener?.received(room: message.room.span, at: position, envelope: message.envelope.span)
    }
    reply(.success(position))
  }

  public func publish(ephemeral envelope: [UInt8], in room: [UInt8], _ reply: @escaping BrokerReply<Void>) {
    if rooms[room]?.isSubscribed == true { listener?.received(room: room.span, notice: envelope.span) }
    reply(.success(()))
  }

  public func subscribe(room: [UInt8], _ reply: @escaping BrokerReply<Void>) {
    self.room(room).isSubscribed = true
    reply(.success(()))
  }

  public func unsubscribe(room: [UInt8]) {
    guard let known = rooms[room] else { return }
    known.isSubscribed = false
    noteLeft(room, known)
  }

  public func subscribe(prefix: [UInt8], _ reply: @escaping BrokerReply<Void>) {
    subscribedPrefixes.insert(prefix)
    reply(.success(()))
  }

  public func unsubscribe(prefix: [UInt8]) { subscribedPrefixes.remove(prefix) }

  public func position(room name: [UInt8], _ reply: @escaping BrokerReply<Position>) {
    reply(.success(rooms[name]?.position ?? positionOfNothing()))
  }

  public func begin(room name: [UInt8], _ reply: @escaping BrokerReply<Position>) {
    let room = room(name)
    noteLeft(name, room)
    reply(.success(room.position))
  }

  public func history(
    room name: [UInt8], _ query: HistoryQuery, bytesMax: Int, _ reply: @escaping BrokerReply<HistoryPage>
  ) {
    guard let room = rooms[name] else {
      return reply(.success(HistoryPage(position: positionOfNothing(), entries: [])))
    }
    room.expire(at: clock(), rules.retention(of: name, standard: retention))
    reply(.success(HistoryPage(position: room.position, entries: room.entries(query, bytesMax: bytesMax))))
  }

  public func send(
    _ envelope: [UInt8], to audience: Audience, dedupe key: [UInt8]?, _ reply: @escaping BrokerReply<Int>
  ) {
    let now = clock()
    let id = key.map { dedupe.fingerprint(kind: 0x73, scope: [], $0) }
    if let id, let first = dedupe.find(id, at: now) { return reply(.success(Int(clamping: first.first))) }
    let count = deliver(envelope, to: audience)
    if let id { dedupe.remember(id, DedupeMemory.Answer(first: UInt64(count), second: 0), at: now) }
    reply(.success(count))
  }

  public func delivery(
    _ id: [UInt8], of hook: [UInt8], at position: Position?, _ reply: @escaping BrokerReply<Position?>
  ) {
    reply(.success(hookDeliveries.delivery(id, of: hook, at: position, now: clock())))
  }

  private func deliver(_ envelope: [UInt8], to audience: Audience) -> Int {
    switch audience {
    case .user(let name):
      let count = connections(of: name).reduce(0) { count, _ in count + 1 }
      guard count > 0, let listener else { return count }
      // All connections are here, so it is known how many took it.
      return min(count, listener.received(user: name.span, envelope: envelope.span))
    case .everyone:
      listener?.receivedByEveryone(envelope: envelope.span)
      return 0
    }
  }

  /// Only this node is there.
  public func ask(
    node: [UInt8], _ question: [UInt8], withinMilliseconds milliseconds: Int, _ reply: @escaping (NodeAnswer) -> Void
  ) {
    guard node == nodeID, let listener else { return reply(.absent) }
    guard question.count <= QuestionLimits.questionBytesMax,
      let number = questions.add(to: node, until: clock() + UInt64(milliseconds), reply)
    else { return reply(.unavailable) }
    listener.received(question: question.span, from: nodeID) { [weak self] answer in
      guard let waiter = self?.questions.take(number) else { return }
      waiter(answer.count <= QuestionLimits.answerBytesMax ? .answered(answer) : .unavailable)
    }
  }

  // MARK: Revocations

  /// Kept in memory only: it ends with the process.
  public func revoke(
    _ subject: Revocation.Subject, forMilliseconds milliseconds: UInt64, _ reply: @escaping BrokerReply<UInt64?>
  ) {
    let now = clock()
    revoked = revoked.filter { $0.value > now }
    guard revoked[subject] != nil || revoked.count < Limits.revocationsMax else { return reply(.success(nil)) }
    let until = max(now + min(milliseconds, Limits.revocationMillisecondsMax), revoked[subject] ?? 0)
    revoked[subject] = until
    reply(.success(until))
  }

  public func revocations(_ reply: @escaping BrokerReply<[Revocation]>) {
    let now = clock()
    reply(.success(revoked.filter { $0.value > now }.map { Revocation(subject: $0.key, until: $0.value) }))
  }

  // MARK: Presence

  public func enter(room name: [UInt8], _ member: Member, _ reply: @escaping BrokerReply<Position>) {
    let room = room(name)
    connect(member)
    guard let connection = connections.find(member.name.span) else { return reply(.failure(.unavailable)) }
    if room.enter(connection, since: member.since, first: userConnections[member.user]) {
      if room.userCount == 1 { report(.roomCreated, in: name) }
      report(.userJoined, in: name, member)
      notify(name, room, .userJoined, member, body: member.info ?? [])
    }
    reply(.success(room.position))
  }

  public func leave(room name: [UInt8], _ member: Member, graceMilliseconds grace: Int) {
    guard let room = rooms[name], let connection = connections.find(member.name.span) else { return }
    switch room.leave(connection, at: clock(), first: userConnections[member.user], graceMilliseconds: grace) {
    case .none: break
    case .left:
      reportLeft(member, name, usersLeft: room.userCount)
      notify(name, room, .userLeft, member)
    case .inGrace: notify(name, room, .userLeaving, member, body: Array(String(grace).utf8))
    }
    noteLeft(name, room)
  }

  public func endGraces(room name: [UInt8], _ reply: @escaping BrokerReply<Int?>) {
    guard let room = rooms[name] else { return reply(.success(nil)) }
    let now = clock()
    let (over, next) = room.endGraces(at: now)
    for (i, member) in over.enumerated() {
      reportLeft(member, name, usersLeft: room.userCount + over.count - 1 - i)
      notify(name, room, .userLeft, member)
    }
    if !over.isEmpty { noteLeft(name, room) }
    reply(.success(next.map { Int(clamping: $0 - now) }))
  }

  public func setState(
    room name: [UInt8], _ member: Member, _ state: [UInt8]?, isAssertion: Bool, _ reply: @escaping BrokerReply<Void>
  ) {
    let first = userConnections[member.user]
    if let room = rooms[name], room.setState(state, of: member.user, first: first, isAssertion: isAssertion) {
      notify(name, room, .userState, member, body: state ?? Array("null".utf8))
    }
    reply(.success(()))
  }

  private func report(_ kind: RoomEventKind, in room: [UInt8], _ member: Member? = nil) {
    let info = kind == .userJoined ? member?.info : nil
    roomEvents?(RoomEvent(kind: kind, room: room, user: member?.user, info: info))
  }

  private func reportLeft(_ member: Member, _ room: [UInt8], usersLeft: Int) {
    report(.userLeft, in: room, member)
    if usersLeft == 0 { report(.roomEmptied, in: room) }
  }

  private func notify(
    _ name: [UInt8], _ room: EmbeddedRoom, _ kind: Envelope.Kind, _ member: Member, body: [UInt8] = []
  ) {
    guard room.isSubscribed else { return }
    var notice: [UInt8] = []
    notice.reserveCapacity(member.name.count + member.user.count + body.count + 32)
    Envelope.begin(kind, timestamp: clock(), origin: member.name, userJSON: member.userJSON, into: &notice)
    notice += body
    listener?.received(room: name.span, notice: notice.span)
  }

  public func members(
    room: [UInt8], after cursor: MemberCursor?, limit: Int, _ reply: @escaping BrokerReply<MemberPage>
  ) {
    let limit = max(1, min(limit, Limits.memberPageMax))
    let none = MemberPage(members: [], userCount: 0, connectionCount: 0, next: nil)
    reply(.success(rooms[room]?.members(of: nodeID, after: cursor, limit: limit) ?? none))
  }

  public func users(room: [UInt8], from cursor: [UInt8]?, _ reply: @escaping BrokerReply<UserPage>) {
    reply(.success(UserPage(users: rooms[room]?.users ?? [], states: rooms[room]?.states ?? [:], next: nil)))
  }

  public func userCountAtOnce(room: [UInt8]) -> Int? { rooms[room]?.userCount ?? 0 }

  /// One node receives what is sent to all its users anyway.
  public func subscribe(user: [UInt8]) {}

  public func unsubscribe(user: [UInt8]) {}

  public func connect(_ member: Member) {
    guard connections.find(member.name.span) == nil else { return }
    let connection = EmbeddedConnection(member)
    connections.insert(connection)
    connection.next = userConnections[member.user]
    userConnections[member.user] = connection
  }

  public func disconnect(_ member: Member) {
    guard let connection = connections.find(member.name.span) else { return }
    connections.remove(member.name)
    if userConnections[member.user] === connection {
      userConnections[member.user] = connection.next
    } else {
      connections(of: member.user).first { $0.next === connection }?.next = connection.next
    }
  }

  private func connections(of user: [UInt8]) -> UnfoldSequence<EmbeddedConnection, EmbeddedConnection?> {
    sequence(state: userConnections[user]) { next in
      defer { next = next?.next }
      return next
    }
  }

  public func connections(of user: [UInt8], _ reply: @escaping BrokerReply<[Member]>) {
    reply(.success(connections(of: user).map { $0.member(of: nodeID) }))
  }

  public func connection(named name: [UInt8], _ reply: @escaping BrokerReply<Member?>) {
    reply(.success(connections.find(name.span)?.member(of: nodeID)))
  }

  public func rooms(
    prefix: [UInt8], after cursor: [UInt8]?, limit: Int, _ reply: @escaping BrokerReply<RoomListing>
  ) {
    let names = rooms.lazy.filter { $0.value.userCount > 0 && $0.key.starts(with: prefix) }.map(\.key)
      .filter { name in cursor.map { $0.lexicographicallyPrecedes(name) } ?? true }
      .sorted { $0.lexicographicallyPrecedes($1) }
    let limit = max(1, limit)
    let page = names.prefix(limit).map { (name: $0, userCount: rooms[$0]?.userCount ?? 0) }
    reply(.success(RoomListing(rooms: page, next: names.count > limit ? page.last?.name : nil)))
  }

  public func nodes(_ reply: @escaping BrokerReply<[NodeEntry]>) {
    reply(.success([NodeEntry(id: nodeID, report: listener?.nodeReport() ?? Array("{}".utf8))]))
  }
}
