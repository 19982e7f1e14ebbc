import ClientProtocol
import JSONCore

/// What a client asks, in the form it arrives in: a JSON text or a binary envelope.
/// Confined to the loop that created its hub.
final class OperationDispatcher {
  private let context: HubContext
  private let wildcards: WildcardTable
  private let access: RoomAccess
  private let backPressure: BackPressure
  private let pending: PendingOperations
  private let limiters: RateLimiters
  private let joins: RoomJoins
  private let wildcardJoins: WildcardJoins
  private let authentication: Authentication
  private let publisher: Publisher
  private let queries: RoomQueries
  private let requests: ClientRequests
  private let questions: OperationQuestions

  init(
    _ context: HubContext, wildcards: WildcardTable, access: RoomAccess, backPressure: BackPressure,
    pending: PendingOperations, limiters: RateLimiters, joins: RoomJoins, wildcardJoins: WildcardJoins,
    authentication: Authentication, publisher: Publisher, queries: RoomQueries, requests: ClientRequests,
    questions: OperationQuestions
  ) {
    self.context = context
    self.wildcards = wildcards
    self.access = access
    self.backPressure = backPressure
    self.pending = pending
    self.limiters = limiters
    self.joins = joins
    self.wildcardJoins = wildcardJoins
    self.authentication = authentication
    self.publisher = publisher
    self.queries = queries
    self.requests = requests
    self.questions = questions
  }

  /// Takes one text from a client. Whatever is wrong with it is answered; nobody else notices.
  /// `text` must be valid UTF-8 (RFC 6455 section 8.1 has the frames checked before).
  func receive(text: Span<UInt8>, from id: SlabID) {
    guard context.sessions.contains(id) else { return }
    let operation: ClientOperation
    do {
      operation = try ClientOperation(parsing: text)
    } catch {
      // What cannot be read counts too: it costs as much.
      guard limiters.charge(id, bytes: text.count, text, error.id) else { return }
      return context.refuse(id, error.code, error.message, error.id.map { [UInt8](copying: text.extracting($0)) })
    }
    guard isAllowed(operation.kind, .text, id, text, operation.id) else { return }
    perform(operation, text, from: id)
  }

  /// Takes one binary message from a client.
  func receive(binary bytes: Span<UInt8>, from id: SlabID) {
    guard context.sessions.contains(id) else { return }
    let envelope: BinaryEnvelope
    do {
      envelope = try BinaryEnvelope(parsing: bytes)
    } catch {
      guard limiters.charge(id, bytes: bytes.count, bytes, nil) else { return }
      return context.refuse(id, error.code, error.message, nil)
    }
    guard isAllowed(.message, .binary, id, bytes, nil) else { return }
    perform(envelope, bytes, from: id)
  }

  /// Publishes a binary message, when it was its turn and somebody decided on it, where that is asked for.
  ///
  /// - Parameter isItsTurn: whether what its session sent before is done.
  private func perform(_ envelope: BinaryEnvelope, _ bytes: Span<UInt8>, from id: SlabID, isItsTurn: Bool = false) {
    if questions.isActive {
      if !isItsTurn, questions.mustWait(id) { return questions.wait(.binary, bytes, of: id, answerID: nil) }
      if let question = questions.question(about: envelope, bytes, from: id) {
        return questions.ask(question, .binary, bytes, of: id, answerID: nil)
      }
    }
    publisher.publish(envelope, bytes, from: id)
  }

  /// Does an operation, when it was its turn, its room is joined, and somebody decided on it, where that is asked for.
  ///
  /// - Parameter isItsTurn: whether what its session sent before is done.
  func perform(_ operation: ClientOperation, _ text: Span<UInt8>, from id: SlabID, isItsTurn: Bool = false) {
    if questions.isActive, !isItsTurn, questions.mustWait(id), operation.kind.keepsOrder {
      return questions.wait(.text, text, of: id, answerID: operation.answerID(in: text))
    }
    if mustWait(operation, text, id) {
      return pending.postpone(.text, text, of: id, answerID: operation.answerID(in: text))
    }
    if questions.isActive, let question = questions.question(about: operation, text, from: id) {
      return questions.ask(question, .text, text, of: id, answerID: operation.answerID(in: text))
    }
    carryOut(operation, text, from: id, data: nil)
  }

  /// Does an operation that nothing stands in the way of any more.
  ///
  /// - Parameter data: the JSON object whose members take the place of a message's, or nil.
  private func carryOut(_ operation: ClientOperation, _ text: Span<UInt8>, from id: SlabID, data: [UInt8]?) {
    switch operation.kind {
    case .message: publisher.publish(operation, text, from: .session(id), data: data)
    case .join:
      operation.withRoom(in: text) { join(id, $0, since: operation.since, answerID: operation.answerID(in: text)) }
    case .leave: operation.withRoom(in: text) { answerLeave(id, roomName: $0, answerID: operation.answerID(in: text)) }
    case .direct: publisher.direct(operation, text, from: .session(id))
    case .broadcast: publisher.broadcast(operation, text, from: .session(id))
    case .presence:
      operation.withRoom(in: text) {
        queries.presence(.session(id), roomName: $0, operation, text, answerID: operation.answerID(in: text))
      }
    case .state:
      guard let state = operation.state else { return }
      operation.withRoom(in: text) {
        queries.setState(id, roomName: $0, text.extracting(state), answerID: operation.answerID(in: text))
      }
    case .history:
      operation.withRoom(in: text) {
        queries.history(.session(id), roomName: $0, operation, answerID: operation.answerID(in: text))
      }
    case .request: requests.request(operation, text, from: .session(id))
    case .ping: pong(id, answerID: operation.answerID(in: text))
    case .auth:
      authentication.authenticate(
        id, token: operation.token?.decoded(in: text) ?? [], answerID: operation.answerID(in: text))
    }
  }

  /// Has a session join a room or a wildcard, at no charge to its rates.
  func join(_ id: SlabID, _ name: [UInt8], since: Position?) {
    guard context.sessions.contains(id), context.sessions[id.index].user != nil else { return }
    join(id, name.span, since: since, answerID: nil)
  }

  private func join(_ id: SlabID, _ name: Span<UInt8>, since: Position?, answerID: [UInt8]?) {
    if RoomName.isWildcard(name) {
      wildcardJoins.join(id, wildcardName: name, asksToResume: since != nil, answerID: answerID)
    } else {
      joins.join(id, roomName: name, since: since, answerID: answerID)
    }
  }

  /// Performs one operation of a session's own connection, and gives its answer to `reply`.
  ///
  /// - Parameter text: the operation as JSON; valid UTF-8.
  func perform(_ text: Span<UInt8>, from id: SlabID, _ reply: @escaping RequestAnswers.Reply) {
    guard context.sessions.contains(id) else { return }
    var operation: ClientOperation
    do {
      operation = try ClientOperation(parsing: text)
    } catch {
      let tag = context.requestAnswers.tag(id, id: nil, from: .connection, reply)
      guard limiters.charge(id, bytes: text.count, tag) else { return }
      return context.refuse(id, error.code, error.message, tag)
    }
    let tag = context.requestAnswers.tag(id, id: operation.answerID(in: text), from: .connection, reply)
    guard limiters.charge(id, bytes: text.count, tag) else { return }
    guard context.sessions[id.index].user != nil else {
      return context.refuse(id, .unauthenticated, "connect with a token first", tag)
    }
    operation.answerTag = tag
    perform(operation, text, from: id)
  }

  /// Performs one operation that a request has brought for a session, and answers the request.
  ///
  /// - Parameter text: the operation as JSON; valid UTF-8.
  func perform(_ text: Span<UInt8>, for id: SlabID, _ reply: @escaping RequestAnswers.Reply) {
    var operation: ClientOperation
    do {
      operation = try ClientOperation(parsing: text)
    } catch {
      let tag = context.requestAnswers.tag(id, id: error.id.map { [UInt8](copying: text.extracting($0)) }, reply)
      guard limiters.charge(id, bytes: text.count, tag) else { return }
      return context.refuse(id, error.code, error.message, tag)
    }
    let tag = context.requestAnswers.tag(id, id: operation.answerID(in: text), reply)
    guard limiters.charge(id, bytes: text.count, tag) else { return }
    // A connection that is read no further sends nothing over its socket either.
    guard !backPressure.isCongested, !context.sessions[id.index].inFlight.isFull else {
      return context.refuse(id, .unavailable, "too much waits for Redis: send it again in a moment", tag)
    }
    operation.answerTag = tag
    perform(operation, text, from: id)
  }

  /// Performs one operation of a client that has no connection: all but those that change a connection. It is charged to
  /// the caller's user, or to its address where names are not proved, with the rates of a connection.
  ///
  /// - Parameter text: the operation as JSON; valid UTF-8.
  func perform(_ text: Span<UInt8>, by request: RequestCaller) {
    var operation: ClientOperation
    let caller = Caller.request(request)
    do {
      operation = try ClientOperation(parsing: text)
    } catch {
      guard limiters.charge(request, bytes: text.count, nil) else { return }
      return context.refuse(caller, error.code, error.message, error.id.map { [UInt8](copying: text.extracting($0)) })
    }
    operation.trace = operation.trace ?? request.trace
    let answerID = operation.answerID(in: text)
    guard limiters.charge(request, bytes: text.count, answerID) else { return }
    guard !backPressure.isCongested else {
      return context.refuse(caller, .unavailable, "too much waits for Redis: send it again in a moment", answerID)
    }
    guard questions.isActive, let question = questions.question(about: operation, text, from: request) else {
      return carryOut(operation, text, by: request, data: nil)
    }
    let copy = [UInt8](copying: text)
    questions.ask(question, bytes: copy.count) { [weak self] decision in
      guard let self else { return }
      switch decision {
      case .allowed(let data): carryOut(operation, copy.span, by: request, data: data)
      case .refused(let reason): context.refuse(caller, .forbidden, reason, answerID)
      case .unavailable(let reason): context.refuse(caller, .unavailable, reason, answerID)
      }
    }
  }

  /// Does an operation of a request that nothing stands in the way of any more.
  ///
  /// - Parameter data: the JSON object whose members take the place of a message's, or nil.
  private func carryOut(
    _ operation: ClientOperation, _ text: Span<UInt8>, by request: RequestCaller, data: [UInt8]?
  ) {
    let caller = Caller.request(request)
    let answerID = operation.answerID(in: text)
    switch operation.kind {
    case .message: publisher.publish(operation, text, from: caller, data: data)
    case .direct: publisher.direct(operation, text, from: caller)
    case .broadcast: publisher.broadcast(operation, text, from: caller)
    case .ping: request.answer(.pong(at: context.clock()), id: answerID)
    case .presence:
      operation.withRoom(in: text) {
        queries.presence(caller, roomName: $0, operation, text, answerID: answerID)
      }
    case .history:
      operation.withRoom(in: text) { queries.history(caller, roomName: $0, operation, answerID: answerID) }
    case .request: requests.request(operation, text, from: caller)
    case .auth: context.refuse(caller, .badRequest, Refusal.authWithoutConnection, answerID)
    case .join, .leave, .state: context.refuse(caller, .badRequest, Refusal.noConnection, answerID)
    }
  }

  /// Whether the operation is about a room that its session has asked to join and is not in yet: a client need not wait
  /// for `joined` before it speaks, and its operations keep their order.
  private func mustWait(_ operation: ClientOperation, _ text: Span<UInt8>, _ id: SlabID) -> Bool {
    switch operation.kind {
    case .message, .join, .leave, .presence, .state: break
    case .auth, .direct, .broadcast, .history, .request, .ping: return false
    }
    var isJoining = false
    operation.withRoom(in: text) { name in
      if RoomName.isWildcard(name) { return isJoining = wildcardJoins.isJoiningWildcard(name, id.index) }
      guard let room = context.rooms.find(name), let index = context.sessions[id.index].subscriptionIndex(room) else {
        return
      }
      isJoining = !context.sessions[id.index].subscriptions[index].isJoined
    }
    return isJoining
  }

  /// Does what has waited for a join of these sessions. What waits for another room keeps waiting, in its order.
  func performPostponed(of ids: [SlabID]) {
    for id in ids {
      let operations = pending.take(id)
      for operation in operations { backPressure.operationEnds(id, bytes: operation.bytes.count) }
      // They came before all that waits for its turn now.
      if questions.isActive, questions.mustWait(id) {
        questions.waitFirst(operations, of: id)
      } else {
        for operation in operations where context.sessions.contains(id) { perform(operation, of: id) }
      }
    }
  }

  /// Does an operation that has waited.
  ///
  /// - Parameter isItsTurn: whether what its session sent before is done.
  private func perform(_ operation: Postponed, of id: SlabID, isItsTurn: Bool = false) {
    switch operation.form {
    case .text:
      guard let parsed = operation.operation else { return }
      perform(parsed, operation.bytes.span, from: id, isItsTurn: isItsTurn)
    case .binary:
      guard let envelope = try? BinaryEnvelope(parsing: operation.bytes.span) else { return }
      perform(envelope, operation.bytes.span, from: id, isItsTurn: isItsTurn)
    }
  }

  /// Obeys a decision on an operation, or, without one, does an operation whose turn has come.
  func carryOut(_ operation: Postponed, of id: SlabID, _ decision: Decision?) {
    guard let decision else { return perform(operation, of: id, isItsTurn: true) }
    let parsed = operation.operation
    let answerID = parsed?.answerID(in: operation.bytes.span)
    switch decision {
    case .refused(let reason): context.refuse(id, .forbidden, reason, answerID)
    case .unavailable(let reason): context.refuse(id, .unavailable, reason, answerID)
    case .allowed(let data):
      if let parsed { return carryOut(parsed, operation.bytes.span, from: id, data: data) }
      guard let envelope = try? BinaryEnvelope(parsing: operation.bytes.span) else { return }
      // There are no members to replace.
      guard data == nil else { return context.refuse(id, .unavailable, Refusal.unusableDecision, nil) }
      publisher.publish(envelope, operation.bytes.span, from: id)
    }
  }

  private func isAllowed(
    _ kind: ClientOperation.Kind, _ form: Postponed.Form, _ id: SlabID, _ text: Span<UInt8>, _ answerID: Range<Int>?
  ) -> Bool {
    guard limiters.charge(id, bytes: text.count, text, answerID) else { return false }
    if context.sessions[id.index].user == nil, kind != .auth {
      let quoted = answerID.map { [UInt8](copying: text.extracting($0)) }
      guard !authentication.isPending(id) else {
        authentication.postponeUntilJudged(form, text, of: id, answerID: quoted)
        return false
      }
      context.refuse(id, .unauthenticated, "authenticate first: {\"type\":\"auth\",\"token\":…}", quoted)
      return false
    }
    return true
  }

  /// Holds a session to the grants of its new token: it leaves the rooms that they do not name.
  func reviseAccess(of id: SlabID) {
    for name in context.sessions[id.index].subscriptions.map(\.room.name) {
      if access.mayJoin(id.index, name.span) || access.isInByOrder(id.index, name.span) {
        let mayPublish = access.mayPublish(id.index, name.span)
        if let room = context.rooms.find(name.span), let index = context.sessions[id.index].subscriptionIndex(room) {
          context.sessions[id.index].subscriptions[index].mayPublish = mayPublish
        }
      } else {
        joins.leave(id, roomName: name.span)
        tellExpelled(id, from: name)
      }
    }
    for name in wildcards.memberships(of: id.index).map(\.wildcard.name) where !access.mayJoin(id.index, name.span) {
      wildcardJoins.leave(id, wildcardName: name.span)
      tellExpelled(id, from: name)
    }
  }

  private func tellExpelled(_ id: SlabID, from name: [UInt8]) {
    context.refuse(id, .forbidden, "the new token does not allow a room that the old one did: it was left", nil)
    context.answerLeft(id, name.span, nil)
  }

  /// Has a session leave a room or a wildcard.
  func leave(_ id: SlabID, _ name: [UInt8]) {
    if context.sessions.contains(id) { answerLeave(id, roomName: name.span, answerID: nil) }
  }

  private func answerLeave(_ id: SlabID, roomName: Span<UInt8>, answerID: [UInt8]?) {
    if RoomName.isWildcard(roomName) {
      wildcardJoins.leave(id, wildcardName: roomName)
    } else {
      joins.leave(id, roomName: roomName)
    }
    context.answerLeft(id, roomName, answerID)
  }

  private func pong(_ id: SlabID, answerID: [UInt8]?) {
    context.answer(id, .pong(at: context.clock()), id: answerID)
  }
}
