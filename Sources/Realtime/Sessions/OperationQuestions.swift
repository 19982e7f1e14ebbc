import ClientProtocol
import JSONCore

/// Operations that others decide on, in their own time, and what must not overtake them.
///
/// Of a connection one question is open at a time. What it sends meanwhile waits in a line of its own, in its order: the
/// decider gets the questions of a connection in the order of its operations, and its messages are published in that order.
/// What waits counts for its own connection, which is read no further when it is too much, and against a bound of the node;
/// it never counts against what may wait for the broker.
/// Confined to the loop that created its hub.
final class OperationQuestions {
  /// What one session waits for.
  private struct Line {
    /// The operation that is being decided on.
    var asked: Postponed?
    /// Which question is open: an answer to an earlier one is none to this.
    var ticket: UInt64 = 0
    /// What came after it; from `next` on.
    private var rest: [Postponed] = []
    private var next = 0
    /// Bytes of all of it.
    var bytes = 0
    /// Whether `advance` is taking operations out.
    var isAdvancing = false

    var count: Int { rest.count - next + (asked == nil ? 0 : 1) }

    mutating func append(_ operation: Postponed) { rest.append(operation) }

    /// Puts operations before those that wait.
    mutating func insert(_ operation: Postponed, at place: Int) { rest.insert(operation, at: next + place) }

    mutating func takeNext() -> Postponed? {
      guard next < rest.count else { return nil }
      defer {
        next += 1
        if next == rest.count { (rest, next) = ([], 0) }
      }
      return rest[next]
    }
  }

  private let context: HubContext
  private let access: RoomAccess
  private let wildcards: WildcardTable
  private let backPressure: BackPressure
  var deciders = Deciders() { didSet { isActive = deciders.asksAboutOperations } }
  /// Whether there is anything to ask.
  private(set) var isActive = false
  private var lines: [SlabID: Line] = [:]
  /// What waits on the node.
  private(set) var waitingCount = 0
  private(set) var waitingBytes = 0
  private var lastTicket: UInt64 = 0
  /// Does an operation: one that was decided on, or, without a decision, one whose turn has come.
  var carryOut: (SlabID, Postponed, Decision?) -> Void = { _, _, _ in }

  init(_ context: HubContext, access: RoomAccess, wildcards: WildcardTable, backPressure: BackPressure) {
    self.context = context
    self.access = access
    self.wildcards = wildcards
    self.backPressure = backPressure
  }

  // MARK: What is asked

  /// The question about an operation of a session; nil: nothing is to be decided, or it will be refused anyway.
  func question(about operation: ClientOperation, _ text: Span<UInt8>, from id: SlabID) -> Question? {
    var subject: Question.Subject?
    operation.withRoom(in: text) { name in
      switch operation.kind {
      case .message:
        let isForRequest = RequestAnswers.origin(operation.answerTag) == .request
        guard mayPublish(in: name, id, isForRequest: isForRequest) else { return }
        if deciders.message != nil {
          subject = OperationQuestions.message(operation, text, in: name)
        } else if isForRequest, deciders.join != nil, !isIn(name, id) {
          // Who is kept out of a room is not to write into it by a request, which needs no join.
          subject = .join(room: [UInt8](copying: name))
        }
      case .join, .history, .presence: subject = joining(name, of: id, isRead: operation.kind != .join)
      default: break
      }
    }
    return subject.flatMap { question($0, of: id, operation.trace) }
  }

  /// The same about a binary message.
  func question(about binary: BinaryEnvelope, _ bytes: Span<UInt8>, from id: SlabID) -> Question? {
    let name = bytes.extracting(binary.room)
    guard deciders.message != nil, mayPublish(in: name, id) else { return nil }
    let payload = [UInt8](copying: bytes.extracting(binary.payload))
    return question(.binary(room: [UInt8](copying: name), payload: payload), of: id)
  }

  /// The same about an operation of a request.
  func question(about operation: ClientOperation, _ text: Span<UInt8>, from request: RequestCaller) -> Question? {
    var subject: Question.Subject?
    operation.withRoom(in: text) { name in
      guard !RoomName.isWildcard(name) else { return }
      let (rooms, rule) = (request.identity?.rooms, rule(of: name))
      switch operation.kind {
      case .message:
        guard rooms?.mayPublish(name) ?? true, rule.mayPublish else { return }
        if deciders.message != nil {
          subject = OperationQuestions.message(operation, text, in: name)
        } else if deciders.join != nil {
          subject = .join(room: [UInt8](copying: name))
        }
      case .history, .presence:
        guard deciders.join != nil, rooms?.mayJoin(name) ?? true, rule.mayJoin else { return }
        subject = .join(room: [UInt8](copying: name))
      default: break
      }
    }
    return subject.map {
      Question(
        subject: $0, client: Principal(user: request.user, info: request.identity?.info, connection: nil),
        owner: context.owner(of: .request(request)), trace: operation.trace)
    }
  }

  private func question(_ subject: Question.Subject, of id: SlabID, _ trace: TraceContext? = nil) -> Question? {
    guard let user = context.sessions[id.index].user else { return nil }
    let info = context.sessions[id.index].identity?.info
    return Question(
      subject: subject, client: Principal(user: user.name, info: info, connection: context.connectionName(id)),
      owner: context.owner(of: .session(id)), trace: trace)
  }

  private func joining(_ name: Span<UInt8>, of id: SlabID, isRead: Bool) -> Question.Subject? {
    guard deciders.join != nil, !isIn(name, id), access.mayJoin(id.index, name), rule(of: name).mayJoin else {
      return nil
    }
    // A wildcard cannot be read, so that question would be for nothing.
    if isRead, RoomName.isWildcard(name) { return nil }
    return .join(room: [UInt8](copying: name))
  }

  /// Whether a session has joined a room or a wildcard of that name, or is joining it.
  private func isIn(_ name: Span<UInt8>, _ id: SlabID) -> Bool {
    if RoomName.isWildcard(name) {
      guard let wildcard = wildcards.byName.find(name) else { return false }
      return wildcards.index(of: id.index, in: wildcard) != nil
    }
    guard let room = context.rooms.find(name) else { return false }
    return context.sessions[id.index].subscriptionIndex(room) != nil
  }

  private static func message(
    _ operation: ClientOperation, _ text: Span<UInt8>, in name: Span<UInt8>
  ) -> Question.Subject {
    var members: [UInt8] = [UInt8(ascii: "{")]
    members.reserveCapacity(operation.passThrough.byteCount + 2)
    operation.passThrough.appendMembers(of: text, to: &members)
    members.append(UInt8(ascii: "}"))
    return .message(room: [UInt8](copying: name), members: members, isEphemeral: operation.isEphemeral)
  }

  /// - Parameter isForRequest: whether a request has brought the operation: then it needs no join.
  private func mayPublish(in name: Span<UInt8>, _ id: SlabID, isForRequest: Bool = false) -> Bool {
    guard let room = context.rooms.find(name), let index = context.joinedIndex(id, room) else {
      return isForRequest && !RoomName.isWildcard(name) && access.mayPublish(id.index, name)
        && rule(of: name).mayPublish
    }
    return context.sessions[id.index].subscriptions[index].mayPublish && room.rule.mayPublish
  }

  private func rule(of name: Span<UInt8>) -> RoomRule {
    context.rooms.find(name)?.rule ?? context.configuration.rules.rule(for: name)
  }

  // MARK: The line of a session

  /// Whether what a session sends has to wait for its turn.
  func mustWait(_ id: SlabID) -> Bool { !lines.isEmpty && lines[id] != nil }

  /// Asks about an operation whose turn it is.
  func ask(_ question: Question, _ form: Postponed.Form, _ bytes: Span<UInt8>, of id: SlabID, answerID: [UInt8]?) {
    guard admits(bytes.count, of: id, answerID) else { return }
    lastTicket += 1
    let ticket = lastTicket
    lines[id, default: Line()].asked = Postponed(form, bytes, answerID: answerID)
    lines[id]?.ticket = ticket
    noteWaiting(bytes.count, of: id)
    decide(question) { [weak self] in self?.decided(id, ticket, $0) }
  }

  /// Has an operation wait for its turn.
  func wait(_ form: Postponed.Form, _ bytes: Span<UInt8>, of id: SlabID, answerID: [UInt8]?) {
    guard admits(bytes.count, of: id, answerID) else { return }
    lines[id]?.append(Postponed(form, bytes, answerID: answerID))
    noteWaiting(bytes.count, of: id)
  }

  /// Has operations that were sent before everything in the line wait for their turn.
  func waitFirst(_ operations: [Postponed], of id: SlabID) {
    var place = 0
    for operation in operations where admits(operation.bytes.count, of: id, OperationQuestions.answerID(operation)) {
      lines[id]?.insert(operation, at: place)
      noteWaiting(operation.bytes.count, of: id)
      place += 1
    }
  }

  private static func answerID(_ operation: Postponed) -> [UInt8]? {
    operation.operation?.answerID(in: operation.bytes.span)
  }

  private func decided(_ id: SlabID, _ ticket: UInt64, _ decision: Decision) {
    guard let line = lines[id], line.ticket == ticket, let operation = line.asked else { return }
    lines[id]?.asked = nil
    noteServed(operation.bytes.count, of: id)
    carryOut(id, operation, decision)
    advance(id)
  }

  /// Does what waits for its turn, up to the next operation that is to be decided on.
  private func advance(_ id: SlabID) {
    // An answer that comes while its question is asked leaves the rest to the call that asked.
    guard lines[id]?.isAdvancing == false else { return }
    lines[id]?.isAdvancing = true
    while lines[id]?.asked == nil, let operation = lines[id]?.takeNext() {
      noteServed(operation.bytes.count, of: id)
      carryOut(id, operation, nil)
    }
    if lines[id]?.asked == nil { lines[id] = nil } else { lines[id]?.isAdvancing = false }
  }

  /// Gives up what a session that has ended waits for; what is still answered is dropped.
  func forget(_ id: SlabID) {
    guard let line = lines.removeValue(forKey: id) else { return }
    waitingCount -= line.count
    waitingBytes -= line.bytes
  }

  // MARK: Others who ask

  /// Asks about an operation of a request. Answers once.
  func ask(_ question: Question, bytes: Int, _ reply: @escaping (Decision) -> Void) {
    guard hasPlace(bytes) else {
      context.counters.refusals.add(.questions)
      return reply(.unavailable(reason: Refusal.tooManyQuestions))
    }
    waitingCount += 1
    waitingBytes += bytes
    var isAnswered = false
    decide(question) { [weak self] decision in
      guard !isAnswered else { return }
      isAnswered = true
      self?.waitingCount -= 1
      self?.waitingBytes -= bytes
      reply(decision)
    }
  }

  /// Asks whether a client may join rooms, for a transport that must know before it begins. What is refused anyway is not
  /// asked about. Answers once, with what is wrong with the first room that it may not join, or nil.
  func decideJoins(
    of rooms: [[UInt8]], user: [UInt8], _ identity: Identity?, _ reply: @escaping (ProtocolError?) -> Void
  ) {
    guard deciders.join != nil else { return reply(nil) }
    let rooms = rooms.filter { access.refusal(ofJoining: $0.span, user: user, identity) == nil }
    askAboutJoins(of: rooms, user: user, identity, reply)
  }

  /// The same for a client who is to join all of the rooms: what is refused anyway is what is wrong.
  func admit(to rooms: [[UInt8]], user: [UInt8], _ identity: Identity?, _ reply: @escaping (ProtocolError?) -> Void) {
    for room in rooms {
      if let problem = access.refusal(ofJoining: room.span, user: user, identity) { return reply(problem) }
    }
    askAboutJoins(of: rooms, user: user, identity, reply)
  }

  private func askAboutJoins(
    of rooms: [[UInt8]], user: [UInt8], _ identity: Identity?, _ reply: @escaping (ProtocolError?) -> Void
  ) {
    guard let decider = deciders.join, !rooms.isEmpty else { return reply(nil) }
    guard waitingCount + rooms.count <= Limits.questionsMax else {
      context.counters.refusals.add(.questions)
      return reply(ProtocolError(.unavailable, Refusal.tooManyQuestions))
    }
    let client = Principal(user: user, info: identity?.info, connection: nil)
    waitingCount += rooms.count
    var problems = [ProtocolError?](repeating: nil, count: rooms.count)
    var open = Set(rooms.indices)
    for (place, room) in rooms.enumerated() {
      decider(Question(subject: .join(room: room), client: client, owner: .user(user))) { [weak self] decision in
        guard open.remove(place) != nil else { return }
        self?.waitingCount -= 1
        switch decision {
        case .allowed: break
        case .refused(let reason): problems[place] = ProtocolError(.forbidden, reason)
        case .unavailable(let reason): problems[place] = ProtocolError(.unavailable, reason)
        }
        if open.isEmpty { reply(problems.lazy.compactMap { $0 }.first) }
      }
    }
  }

  private func decide(_ question: Question, _ reply: @escaping (Decision) -> Void) {
    let decider: Deciders.OperationDecider?
    switch question.subject {
    case .join: decider = deciders.join
    case .message, .binary: decider = deciders.message
    }
    guard let decider else { return reply(.allowed()) }
    decider(question, reply)
  }

  // MARK: Bounds

  private func hasPlace(_ bytes: Int) -> Bool {
    waitingCount < Limits.questionsMax && (waitingBytes == 0 || waitingBytes + bytes <= Limits.questionBytesMax)
  }

  /// Whether an operation may wait; if not, it was refused.
  private func admits(_ bytes: Int, of id: SlabID, _ answerID: [UInt8]?) -> Bool {
    if let line = lines[id], line.count > 0,
      line.count >= Limits.questionsPerSessionMax || line.bytes + bytes > Limits.questionBytesPerSessionMax
    {
      context.counters.refusals.add(.questions)
      context.refuse(id, .rateLimited, Refusal.tooManyOwnQuestions, answerID)
      return false
    }
    guard hasPlace(bytes) else {
      context.counters.refusals.add(.questions)
      context.refuse(id, .unavailable, Refusal.tooManyQuestions, answerID)
      return false
    }
    return true
  }

  private func noteWaiting(_ bytes: Int, of id: SlabID) {
    lines[id]?.bytes += bytes
    waitingCount += 1
    waitingBytes += bytes
    backPressure.waitBegins(id, bytes: bytes)
  }

  private func noteServed(_ bytes: Int, of id: SlabID) {
    lines[id]?.bytes -= bytes
    waitingCount -= 1
    waitingBytes -= bytes
    backPressure.waitEnds(id, bytes: bytes)
  }
}
