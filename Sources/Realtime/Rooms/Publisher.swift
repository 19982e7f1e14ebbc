import ClientProtocol
import JSONCore

/// What clients and backends publish in rooms and send outside of them.
///
/// One path into a room: text and binary messages of sessions, operations over HTTP, and what backends publish all end in
/// `publish(_:in:for:_:)`.
/// Confined to the loop that created its hub.
final class Publisher {
  private let context: HubContext
  /// The context's, held here too: reached through the context it is retained for every call.
  private let broker: any Broker
  private let access: RoomAccess
  private let backPressure: BackPressure
  private let pending: PendingOperations
  private let limiters: RateLimiters
  private let reads: SessionReads

  init(
    _ context: HubContext, access: RoomAccess, backPressure: BackPressure, pending: PendingOperations,
    limiters: RateLimiters, reads: SessionReads
  ) {
    self.context = context
    broker = context.broker
    self.access = access
    self.backPressure = backPressure
    self.pending = pending
    self.limiters = limiters
    self.reads = reads
  }

  /// Publishes a client's message: a session's in a room that it has joined, a request's in any room that its user may
  /// publish in.
  ///
  /// - Parameter data: the JSON object whose members take the place of the message's, or nil.
  func publish(_ operation: ClientOperation, _ text: Span<UInt8>, from caller: Caller, data: [UInt8]? = nil) {
    context.counters.messagesReceived += 1
    let answerID = operation.answerID(in: text)
    var target: PublishTarget?
    operation.withRoom(in: text) { target = self.target($0, for: caller, answerID) }
    guard let target, let user = context.userName(of: caller), limiters.chargePublish(in: target.room, caller, answerID)
    else { return }
    var envelope: [UInt8] = []
    envelope.reserveCapacity(operation.passThrough.byteCount + 96)
    // Without an origin nobody is left out, so the sender receives it too.
    beginEnvelope(
      operation.isEphemeral ? .ephemeral : .message, of: caller, hasOrigin: !operation.echo, into: &envelope)
    guard Publisher.appendMembers(of: operation, text, or: data, to: &envelope) else {
      return context.refuse(caller, .unavailable, Refusal.unusableDecision, answerID)
    }
    // What it publishes comes back to it: a session that does not read it is read no further.
    if operation.echo, case .session(let id) = caller { reads.pauseUntilRoom(id) }
    let message = RoomMessage(
      room: target.name, envelope: envelope, dedupe: Publisher.dedupeKey(user: user, id: operation.decodedID(in: text)),
      retention: target.rule.retention)
    publish(message, in: target.room, isEphemeral: operation.isEphemeral, for: caller, answerID, trace: operation.trace)
  }

  /// Appends a message's members, or those of `data`. Returns false when these cannot stand in a message.
  private static func appendMembers(
    of operation: ClientOperation, _ text: Span<UInt8>, or data: [UInt8]?, to envelope: inout [UInt8]
  ) -> Bool {
    guard let data else {
      operation.passThrough.appendMembers(of: text, to: &envelope)
      return true
    }
    guard let replaced = try? MessageData(data.span) else { return false }
    replaced.members.appendMembers(of: data.span, to: &envelope)
    return true
  }

  /// Publishes a session's binary message.
  func publish(_ binary: BinaryEnvelope, _ bytes: Span<UInt8>, from id: SlabID) {
    let caller = Caller.session(id)
    let name = bytes.extracting(binary.room)
    if let room = context.rooms.find(name), let index = context.sessions[id.index].subscriptionIndex(room),
      !context.sessions[id.index].subscriptions[index].isJoined
    {
      return pending.postpone(.binary, bytes, of: id, answerID: nil)
    }
    guard let target = target(name, for: caller, nil), limiters.chargePublish(in: target.room, caller, nil) else {
      return
    }
    context.counters.messagesReceived += 1
    var envelope: [UInt8] = []
    envelope.reserveCapacity(binary.payload.count + 96)
    beginEnvelope(.binary, of: caller, into: &envelope)
    envelope.append(copying: bytes.extracting(binary.payload))
    let message = RoomMessage(room: target.name, envelope: envelope, dedupe: nil, retention: target.rule.retention)
    publish(message, in: target.room, for: caller, nil)
  }

  /// Has the broker publish a message, and answers the caller.
  ///
  /// - Parameters:
  ///   - room: the room, where this node has it.
  ///   - parent: the trace that it is part of; nil: none.
  func publish(
    _ message: RoomMessage, in room: Room?, isEphemeral: Bool = false, for caller: Caller, _ answerID: [UInt8]?,
    trace parent: TraceContext? = nil
  ) {
    guard parent != nil || context.beginsTraces else {
      return send(message, in: room, isEphemeral: isEphemeral, for: caller, answerID, nil)
    }
    var message = message
    let trace = note(parent, in: &message.envelope)
    send(message, in: room, isEphemeral: isEphemeral, for: caller, answerID, trace)
  }

  /// Begins the spans of a publish, and has its envelope carry the trace. Nil: it is not recorded.
  private func note(_ parent: TraceContext?, in envelope: inout [UInt8]) -> PublishTrace? {
    let trace = context.tracer?.begin(parent)
    if let carried = trace?.carried ?? parent { Envelope.insert(carried, into: &envelope) }
    return trace
  }

  private func send(
    _ message: RoomMessage, in room: Room?, isEphemeral: Bool, for caller: Caller, _ answerID: [UInt8]?,
    _ trace: PublishTrace?
  ) {
    let size = message.envelope.count
    reads.seal(room: message.room)
    backPressure.operationBegins(caller, bytes: size)
    if isEphemeral {
      return broker.publish(ephemeral: message.envelope, in: message.room) { [self] result in
        backPressure.operationEnds(caller, bytes: size)
        conclude(result.map { nil }, message, room, for: caller, answerID, trace)
      }
    }
    // Each is answered once, at the latest when its broker stops: no weak reference for every message.
    broker.publish(message) { [self] result in
      backPressure.operationEnds(caller, bytes: size)
      if case .success(let position) = result { room?.note(acknowledged: position) }
      conclude(result.map { $0 }, message, room, for: caller, answerID, trace)
    }
  }

  private func conclude(
    _ result: Result<Position?, BrokerError>, _ message: RoomMessage, _ room: Room?, for caller: Caller,
    _ answerID: [UInt8]?, _ trace: PublishTrace?
  ) {
    switch result {
    case .success(let position):
      trace?.end(nil, room: message.room, at: position, bytes: message.envelope.count)
      if let position {
        context.observers.report(.messages, .published(room: message.room, position, envelope: message.envelope))
      }
      if case .backend(let reply) = caller { return reply(position.map { .success($0) } ?? .failure(.uncertain)) }
      if answerID == nil, case .session = caller { return }
      let roomJSON = room?.nameJSON ?? JSONString.quoting(message.room)
      context.acknowledge(caller, .ack(roomJSON: roomJSON, position), id: answerID)
    case .failure(let error):
      trace?.end(error, room: message.room, bytes: message.envelope.count)
      if case .backend(let reply) = caller { return reply(.failure(error)) }
      let hasDedupe = message.dedupe != nil
      context.refuse(caller, failure: error, Refusal.outOfReach(error, hasDedupe: hasDedupe), answerID)
    }
  }

  /// A room that a caller may publish in.
  private struct PublishTarget {
    let name: [UInt8]
    /// The room, where this node has it.
    let room: Room?
    let rule: RoomRule
  }

  /// The room of that name, when the caller may publish in it; else the caller was refused.
  private func target(_ name: Span<UInt8>, for caller: Caller, _ answerID: [UInt8]?) -> PublishTarget? {
    let room = context.rooms.find(name)
    let mayPublish: Bool
    switch caller {
    case .session(let id):
      if let room, let index = context.joinedIndex(id, room) {
        mayPublish = context.sessions[id.index].subscriptions[index].mayPublish
      } else if RequestAnswers.origin(answerID) == .request, !RoomName.isWildcard(name) {
        // Over HTTP a message needs no join.
        mayPublish = access.mayPublish(id.index, name)
      } else {
        access.refuseUnjoined(id, name, answerID)
        return nil
      }
    case .request(let request):
      guard !RoomName.isWildcard(name) else {
        context.refuse(caller, .badRoom, RoomName.wildcardRule, answerID)
        return nil
      }
      mayPublish = request.identity?.rooms?.mayPublish(name) ?? true
    case .backend: mayPublish = true
    }
    let rule = room?.rule ?? context.configuration.rules.rule(for: name)
    guard mayPublish, rule.mayPublish else {
      let mayRead = context.identity(of: caller)?.rooms?.mayJoin(name) ?? true
      let reason = mayPublish ? Refusal.readOnlyRoom : mayRead ? Refusal.publishForbidden : Refusal.roomForbidden
      context.refuse(caller, .forbidden, reason, answerID)
      return nil
    }
    // What nobody here is in may be nowhere yet, and a message makes its counter and its log.
    guard room != nil || limiters.chargeNewRoom(caller, answerID) else { return nil }
    guard access.isAuthorised(.publish(room: [UInt8](copying: name)), caller, answerID) else { return nil }
    return PublishTarget(name: room?.name ?? [UInt8](copying: name), room: room, rule: rule)
  }

  /// Writes an envelope's header for a user's message.
  ///
  /// - Parameter hasOrigin: whether the connection that it comes from is to receive no copy.
  private func beginEnvelope(
    _ kind: Envelope.Kind, of caller: Caller, hasOrigin: Bool = true, into output: inout [UInt8]
  ) {
    Envelope.begin(
      kind, timestamp: context.clock(), into: &output,
      origin: { output in
        switch caller {
        case .session(let id) where hasOrigin: context.appendConnectionName(id, to: &output)
        case .session, .backend: output.append(Envelope.noOrigin)
        case .request: output.append(Envelope.requestOrigin)
        }
      },
      user: { context.appendUserJSON(of: caller, to: &$0) })
  }

  /// What makes a retry recognisable: the user's name with its length, so that no two pairs look alike, and the id.
  static func dedupeKey(user: [UInt8], id: [UInt8]?) -> [UInt8]? {
    guard let id else { return nil }
    var key: [UInt8] = []
    key.reserveCapacity(user.count + id.count + 5)
    JSONNumber.append(UInt64(user.count), to: &key)
    key.append(UInt8(ascii: ":"))
    key.append(contentsOf: user)
    key.append(UInt8(ascii: ":"))
    key.append(contentsOf: id)
    return key
  }

  func direct(_ operation: ClientOperation, _ text: Span<UInt8>, from caller: Caller) {
    let answerID = operation.answerID(in: text)
    guard let name = operation.to?.decoded(in: text) else {
      return context.refuse(caller, .badRequest, "direct needs to, the name of a user", answerID)
    }
    guard (1...Limits.userNameBytesMax).contains(name.count) else {
      return context.refuse(
        caller, .badRequest, "to is the name of a user: 1 to \(Limits.userNameBytesMax) bytes", answerID)
    }
    guard mayDirect(caller, to: name, answerID), let envelope = personal(.direct, operation, text, from: caller) else {
      return
    }
    send(envelope, to: .user(name), for: caller, answerID, trace: operation.trace) { .ackDelivered($0) }
  }

  /// Has the broker send a client's message outside of rooms, and answers the caller.
  ///
  /// - Parameters:
  ///   - parent: the trace that it is part of; nil: none.
  ///   - answer: makes the answer of the number of connections.
  private func send(
    _ envelope: [UInt8], to audience: Audience, for caller: Caller, _ answerID: [UInt8]?, trace parent: TraceContext?,
    _ answer: @escaping (Int) -> ServerEvent
  ) {
    let size = envelope.count
    backPressure.operationBegins(caller, bytes: size)
    send(envelope, to: audience, dedupe: nil, trace: parent) { [weak self] result in
      self?.backPressure.operationEnds(caller, bytes: size)
      switch result {
      case .success(let count): self?.context.acknowledge(caller, answer(count), id: answerID)
      case .failure(let error):
        self?.context.refuse(caller, failure: error, Refusal.outOfReach(error, hasDedupe: false), answerID)
      }
    }
  }

  /// Has the broker send a message outside of rooms. The parameters are those of `MessageBroker.send`.
  ///
  /// - Parameter parent: the trace that it is part of; nil: none.
  func send(
    _ envelope: [UInt8], to audience: Audience, dedupe: [UInt8]?, trace parent: TraceContext?,
    _ reply: @escaping BrokerReply<Int>
  ) {
    guard parent != nil || context.beginsTraces else {
      return broker.send(envelope, to: audience, dedupe: dedupe, reply)
    }
    var envelope = envelope
    let trace = note(parent, in: &envelope)
    let size = envelope.count
    broker.send(envelope, to: audience, dedupe: dedupe) { result in
      trace?.end(result.failure, bytes: size)
      reply(result)
    }
  }

  /// Whether a caller may send a direct message to a user now; else it was refused.
  private func mayDirect(_ caller: Caller, to receiver: [UInt8], _ answerID: [UInt8]?) -> Bool {
    switch context.configuration.clientDirects {
    case .everyone: break
    case .nobody:
      context.refuse(caller, .forbidden, "clients may not send direct messages here", answerID)
      return false
    case .permitted:
      guard context.identity(of: caller)?.mayDirect ?? true else {
        context.refuse(
          caller, .forbidden, "the token does not allow direct messages: its permissions must list direct", answerID)
        return false
      }
    }
    guard access.isAuthorised(.direct(to: receiver), caller, answerID) else { return false }
    return limiters.chargeDirect(caller, to: receiver, answerID)
  }

  func broadcast(_ operation: ClientOperation, _ text: Span<UInt8>, from caller: Caller) {
    let answerID = operation.answerID(in: text)
    guard access.mayBroadcast(caller) else {
      return context.refuse(caller, .forbidden, Refusal.broadcastForbidden, answerID)
    }
    guard access.isAuthorised(.broadcast, caller, answerID) else { return }
    guard let envelope = personal(.broadcast, operation, text, from: caller) else { return }
    send(envelope, to: .everyone, for: caller, answerID, trace: operation.trace) { _ in .ackSent }
  }

  private func personal(
    _ kind: Envelope.Kind, _ operation: ClientOperation, _ text: Span<UInt8>, from caller: Caller
  ) -> [UInt8]? {
    guard context.userName(of: caller) != nil else { return nil }
    context.counters.messagesReceived += 1
    var envelope: [UInt8] = []
    envelope.reserveCapacity(operation.passThrough.byteCount + 96)
    beginEnvelope(kind, of: caller, into: &envelope)
    operation.passThrough.appendMembers(of: text, to: &envelope)
    return envelope
  }
}
