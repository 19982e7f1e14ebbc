import ClientProtocol

@testable import Realtime

/// A broker with faults on demand: it loses publications, answers late, goes away, forgets everything.
///
/// Behind it works an `EmbeddedBroker`. What it says and what it brings come on two channels, as they do from Redis:
/// each keeps its order, and a test decides which of the two goes on next.
final class FaultyBroker: Broker, BrokerListener {
  weak var listener: (any BrokerListener)?
  /// Whether answers and publications wait for `answerNext` and `hearNext`.
  var isQueuing = false
  /// Whether publications are lost on their way to the hub.
  var isLosing = false
  /// Whether the next thing that is asked for is done, and the hub told that it failed.
  var losesNextAnswer = false
  private(set) var isAvailable = true
  /// Whether it is like Redis, and not like a broker within the process.
  var losesNotices = true
  func userCountAtOnce(room: [UInt8]) -> Int? { losesNotices ? nil : inner.userCountAtOnce(room: room) }

  private var inner: EmbeddedBroker
  private let historySize: Int
  private let rules: RoomRules
  private let clock: () -> UInt64
  private var life: UInt64 = 1
  private(set) var subscribed: Set<[UInt8]> = []
  private(set) var prefixes: Set<[UInt8]> = []
  private var heardUsers: Set<[UInt8]> = []
  /// What was published in room r, and which epochs it went through.
  private var log: [[UInt8]] = []
  private var reigns = Reigns()
  private(set) var answers: [() -> Void] = []
  /// How often history was read.
  private(set) var historyReads = 0
  private(set) var hearings: [() -> Void] = []

  init(historySize: Int, rules: RoomRules = RoomRules(), clock: @escaping () -> UInt64) {
    self.historySize = historySize
    self.rules = rules
    self.clock = clock
    inner = FaultyBroker.makeInner(life, historySize, rules, clock)
    inner.listener = self
  }

  private static func makeInner(
    _ life: UInt64, _ historySize: Int, _ rules: RoomRules, _ clock: @escaping () -> UInt64
  ) -> EmbeddedBroker {
    EmbeddedBroker(
      nodeID: Array("n1".utf8), historySize: historySize, historyMilliseconds: 300_000, rules: rules,
      epochSeed: life << 20,
      clock: clock)
  }

  // MARK: Faults

  /// Goes away: everything fails until `comeBack`.
  func goAway() {
    isAvailable = false
    listener?.brokerLost()
  }

  /// Comes back, with what was published meanwhile in history only.
  func comeBack() {
    isAvailable = true
    listener?.brokerRestored(where: nil)
  }

  /// Loses everything that it knew, as a Redis without persistence that restarts.
  func forget() {
    goAway()
    hearings = []
    empty()
    isAvailable = true
    listener?.presenceLost()
    listener?.brokerRestored(where: nil)
  }

  /// Loses everything that it knew while its connections stand, as a Redis that is flushed.
  func flush() {
    empty()
    listener?.presenceLost()
  }

  /// Is replaced by another that lacks the last messages of room r, as a promoted replica of Redis may.
  func failOver(losing count: Int) {
    // A connection's answers come before its end.
    while !answers.isEmpty { answerNext() }
    let reached = position(of: "r")
    let kept = Array(log.dropLast(count))
    goAway()
    hearings = []
    empty(keeping: kept)
    if let reached { reigns.end(at: Position(epoch: reached.epoch, offset: UInt64(kept.count))) }
    isAvailable = true
    listener?.presenceLost()
    listener?.brokerRestored(where: nil)
  }

  /// A master of room r as it is at a moment.
  struct Master {
    fileprivate let log: [[UInt8]]
    fileprivate let reigns: Reigns
    fileprivate let reached: Position?
  }

  /// The master that there is now.
  var master: Master { Master(log: log, reigns: reigns, reached: position(of: "r")) }

  /// Is replaced by a master that was one before and has kept all that it had then.
  func failBack(to former: Master) {
    failOver(losing: 0)
    empty(keeping: former.log)
    reigns = former.reigns
    if let reached = former.reached { reigns.end(at: reached) }
    listener?.presenceLost()
    listener?.brokerRestored(where: nil)
  }

  private func empty(keeping kept: [[UInt8]] = []) {
    life += 1
    inner = FaultyBroker.makeInner(life, historySize, rules, clock)
    for envelope in kept {
      inner.publish(RoomMessage(room: Array("r".utf8), envelope: envelope, dedupe: nil)) { _ in }
    }
    log = kept
    if kept.isEmpty { reigns = Reigns() }
    inner.listener = self
    for room in subscribed { inner.subscribe(room: room) { _ in } }
    for prefix in prefixes { inner.subscribe(prefix: prefix) { _ in } }
    for user in heardUsers { inner.subscribe(user: user) }
    // The other node has noticed too, and asserts its members.
    for member in elsewhere { inner.enter(room: Array("r".utf8), member) { _ in } }
  }

  /// Publishes as another node would. Returns the message's position.
  @discardableResult
  func publishElsewhere(_ room: String, _ members: String) throws -> Position {
    var envelope: [UInt8] = []
    Envelope.begin(.message, timestamp: clock(), origin: [], userJSON: Array(#""far""#.utf8), into: &envelope)
    envelope += Array(members.utf8)
    var position: Position?
    keep(RoomMessage(room: Array(room.utf8), envelope: envelope, dedupe: nil)) { position = try? $0.get() }
    guard let position else { throw BrokerError.unavailable }
    return position
  }

  private func keep(_ message: RoomMessage, _ reply: @escaping BrokerReply<Position>) {
    let isOfReigns = message.room == Array("r".utf8)
    if isOfReigns {
      reigns.count(epoch: life << 20 + 1 << 19)
      log.append(message.envelope)
    }
    inner.publish(message) { [self] result in reply(isOfReigns ? result.map(reigns.name) : result) }
  }

  /// The grace of those who leave on another node.
  var graceElsewhere = 0
  /// Members of room r on another node.
  private var elsewhere: [Member] = []

  /// Has a user of another node enter room r, or leave it.
  func moveElsewhere(_ user: String) {
    let room = Array("r".utf8)
    if let index = elsewhere.firstIndex(where: { $0.user == Array(user.utf8) }) {
      inner.leave(room: room, elsewhere.remove(at: index), graceMilliseconds: graceElsewhere)
    } else {
      let member = Member(
        name: Array("n2-\(user)".utf8), node: Array("n2".utf8), user: Array(user.utf8), transport: .websocket,
        address: [], since: clock(), info: nil)
      elsewhere.append(member)
      inner.enter(room: room, member) { _ in }
    }
  }

  /// The users of room r.
  var users: Set<String> {
    var users: Set<String> = []
    inner.users(room: Array("r".utf8), from: nil) {
      if case .success(let page) = $0 { users = Set(page.users.map { String(decoding: $0, as: UTF8.self) }) }
    }
    return users
  }

  /// The users of room r, each with what it says about itself, a JSON string.
  var presence: [String: String] {
    var found: [String: String] = [:]
    inner.members(room: Array("r".utf8), after: nil, limit: Limits.memberPageMax) {
      guard case .success(let page) = $0 else { return }
      for member in page.members {
        let state = page.states[member.user].map { String(decoding: $0.dropFirst().dropLast(), as: UTF8.self) }
        found[String(decoding: member.user, as: UTF8.self)] = state ?? ""
      }
    }
    return found
  }

  /// Forgets what is older than its time.
  func expire() { inner.expire() }

  /// Where a room stands.
  func position(of room: String) -> Position? {
    var found: Position?
    inner.position(room: Array(room.utf8)) { found = try? $0.get() }
    return found.map { room == "r" ? reigns.name($0) : $0 }
  }

  /// Gives the hub the next answer that waits.
  func answerNext() { if !answers.isEmpty { answers.removeFirst()() } }

  /// Gives the hub the next publication that waits.
  func hearNext() { if !hearings.isEmpty { hearings.removeFirst()() } }

  private func answer<Value>(_ reply: @escaping BrokerReply<Value>, _ ask: (@escaping BrokerReply<Value>) -> Void) {
    guard isAvailable else { return later { reply(.failure(.unavailable)) } }
    var result: Result<Value, BrokerError> = .failure(.unavailable)
    ask { result = $0 }
    if losesNextAnswer { result = .failure(.unavailable) }
    losesNextAnswer = false
    later { reply(result) }
  }

  private func later(_ action: @escaping () -> Void) { if isQueuing { answers.append(action) } else { action() } }
  private func bring(_ action: @escaping () -> Void) { if isQueuing { hearings.append(action) } else { action() } }

  // MARK: Broker

  func start() {}
  func stop(_ reply: @escaping () -> Void) { reply() }
  func publish(_ message: RoomMessage, _ reply: @escaping BrokerReply<Position>) {
    answer(reply) { keep(message, $0) }
  }
  func publish(ephemeral envelope: [UInt8], in room: [UInt8], _ reply: @escaping BrokerReply<Void>) {
    answer(reply) { inner.publish(ephemeral: envelope, in: room, $0) }
  }
  func subscribe(room: [UInt8], _ reply: @escaping BrokerReply<Void>) {
    if isAvailable { subscribed.insert(room) }
    answer(reply) { inner.subscribe(room: room, $0) }
  }
  func unsubscribe(room: [UInt8]) {
    subscribed.remove(room)
    inner.unsubscribe(room: room)
  }
  func subscribe(prefix: [UInt8], _ reply: @escaping BrokerReply<Void>) {
    if isAvailable { prefixes.insert(prefix) }
    answer(reply) { inner.subscribe(prefix: prefix, $0) }
  }
  func unsubscribe(prefix: [UInt8]) {
    prefixes.remove(prefix)
    inner.unsubscribe(prefix: prefix)
  }
  func revoke(_ subject: Revocation.Subject, forMilliseconds: UInt64, _ reply: @escaping BrokerReply<UInt64?>) {
    answer(reply) { inner.revoke(subject, forMilliseconds: forMilliseconds, $0) }
  }
  func delivery(
    _ id: [UInt8], of hook: [UInt8], at position: Position?, _ reply: @escaping BrokerReply<Position?>
  ) {
    answer(reply) { inner.delivery(id, of: hook, at: position, $0) }
  }
  func revocations(_ reply: @escaping BrokerReply<[Revocation]>) { answer(reply) { inner.revocations($0) } }
  func begin(room: [UInt8], _ reply: @escaping BrokerReply<Position>) {
    answer(reply) { reply in inner.begin(room: room) { [self] in reply($0.map { named($0, room) }) } }
  }

  func position(room: [UInt8], _ reply: @escaping BrokerReply<Position>) {
    answer(reply) { reply in inner.position(room: room) { [self] in reply($0.map { named($0, room) }) } }
  }
  func compare(room: [UInt8], with known: StreamEnd, _ reply: @escaping BrokerReply<Position>) {
    if isAvailable, room == Array("r".utf8), let offset = position(of: "r")?.offset {
      reigns.compare(known.position, at: offset, epoch: life << 20 + 1 << 19)
    }
    position(room: room, reply)
  }
  func history(
    room: [UInt8], _ query: HistoryQuery, bytesMax: Int, _ reply: @escaping BrokerReply<HistoryPage>
  ) {
    historyReads += 1
    answer(reply) { reply in
      inner.history(room: room, query, bytesMax: bytesMax) { [self] result in
        reply(
          result.map { page in
            HistoryPage(
              position: named(page.position, room), entries: page.entries,
              lineage: room == Array("r".utf8) ? reigns.lineage : [])
          })
      }
    }
  }
  private func named(_ position: Position, _ room: [UInt8]) -> Position {
    room == Array("r".utf8) ? reigns.name(position) : position
  }
  func send(
    _ envelope: [UInt8], to audience: Audience, dedupe: [UInt8]?, _ reply: @escaping BrokerReply<Int>
  ) {
    answer(reply) { inner.send(envelope, to: audience, dedupe: dedupe, $0) }
  }
  func enter(room: [UInt8], _ member: Member, _ reply: @escaping BrokerReply<Position>) {
    answer(reply) { reply in
      inner.enter(room: room, member) { [self] result in
        reply(result.map { named($0, room) })
      }
    }
  }
  func leave(room: [UInt8], _ member: Member, graceMilliseconds: Int) {
    inner.leave(room: room, member, graceMilliseconds: graceMilliseconds)
  }
  func endGraces(room: [UInt8], _ reply: @escaping BrokerReply<Int?>) {
    answer(reply) { inner.endGraces(room: room, $0) }
  }
  func setState(
    room: [UInt8], _ member: Member, _ state: [UInt8]?, isAssertion: Bool, _ reply: @escaping BrokerReply<Void>
  ) {
    answer(reply) { inner.setState(room: room, member, state, isAssertion: isAssertion, $0) }
  }
  func members(
    room: [UInt8], after cursor: MemberCursor?, limit: Int, _ reply: @escaping BrokerReply<MemberPage>
  ) {
    answer(reply) { inner.members(room: room, after: cursor, limit: limit, $0) }
  }
  func users(room: [UInt8], from cursor: [UInt8]?, _ reply: @escaping BrokerReply<UserPage>) {
    answer(reply) { inner.users(room: room, from: cursor, $0) }
  }
  func subscribe(user: [UInt8]) {
    heardUsers.insert(user)
    inner.subscribe(user: user)
  }
  func unsubscribe(user: [UInt8]) {
    heardUsers.remove(user)
    inner.unsubscribe(user: user)
  }
  func connect(_ member: Member) { inner.connect(member) }
  func disconnect(_ member: Member) { inner.disconnect(member) }
  func connections(of user: [UInt8], _ reply: @escaping BrokerReply<[Member]>) {
    answer(reply) { inner.connections(of: user, $0) }
  }
  func connection(named name: [UInt8], _ reply: @escaping BrokerReply<Member?>) {
    answer(reply) { inner.connection(named: name, $0) }
  }
  func rooms(prefix: [UInt8], after: [UInt8]?, limit: Int, _ reply: @escaping BrokerReply<RoomListing>) {
    answer(reply) { inner.rooms(prefix: prefix, after: after, limit: limit, $0) }
  }
  func nodes(_ reply: @escaping BrokerReply<[NodeEntry]>) { answer(reply) { inner.nodes($0) } }
  func ask(
    node: [UInt8], _ question: [UInt8], withinMilliseconds milliseconds: Int, _ reply: @escaping (NodeAnswer) -> Void
  ) {
    inner.ask(node: node, question, withinMilliseconds: milliseconds, reply)
  }

  // MARK: BrokerListener

  func received(room: Span<UInt8>, at position: Position, envelope: Span<UInt8>) {
    guard isAvailable, !isLosing else { return }
    let (name, bytes) = (copy(room), copy(envelope))
    let position = named(position, name)
    // Redis brings a message once for the channel and once for every pattern that matches it.
    let copies = prefixes.count { name.starts(with: $0) } + (subscribed.contains(name) ? 1 : 0)
    for _ in 0..<max(1, copies) {
      bring { [weak self] in self?.listener?.received(room: name.span, at: position, envelope: bytes.span) }
    }
  }
  func received(room: Span<UInt8>, notice: Span<UInt8>) {
    guard isAvailable, !isLosing else { return }
    let (name, bytes) = (copy(room), copy(notice))
    bring { [weak self] in self?.listener?.received(room: name.span, notice: bytes.span) }
  }
  func received(user: Span<UInt8>, envelope: Span<UInt8>) -> Int {
    let (name, bytes) = (copy(user), copy(envelope))
    bring { [weak self] in self?.listener?.received(user: name.span, envelope: bytes.span) }
    return .max
  }
  func receivedByEveryone(envelope: Span<UInt8>) {
    let bytes = copy(envelope)
    bring { [weak self] in self?.listener?.receivedByEveryone(envelope: bytes.span) }
  }
  func received(question: Span<UInt8>, from node: [UInt8], _ answer: @escaping ([UInt8]) -> Void) {
    listener?.received(question: question, from: node, answer)
  }
  func brokerLost() {}
  func subscriptionsLost(where isAffected: RoomFilter?) {}
  func brokerRestored(where isAffected: RoomFilter?) {}
  func roomsUnverified(where isAffected: RoomFilter?) { listener?.roomsUnverified(where: isAffected) }
  func presenceLost() {}
  func isHere(_ connection: Span<UInt8>, in room: [UInt8]?) -> Bool { listener?.isHere(connection, in: room) ?? true }
  func graceBegan(in room: [UInt8], milliseconds: Int) {
    listener?.graceBegan(in: room, milliseconds: milliseconds)
  }
  func nodeReport() -> [UInt8] { listener?.nodeReport() ?? [] }

  private func copy(_ span: Span<UInt8>) -> [UInt8] { span.withUnsafeBufferPointer { Array($0) } }
}
