import ClientProtocol
import JSONCore

// What operators and backends ask, by way of the admin endpoint. Nothing here belongs to a session.

extension Hub {
  /// Checks a message of a backend, once for all rooms that it is for.
  ///
  /// - Parameters:
  ///   - data: a JSON object in UTF-8 whose members become the message's.
  ///   - user: in whose name; nil: `user` is null in the message.
  ///   - idempotencyKey: makes a retry recognisable, in each room; nil: always published.
  ///   - trace: the trace that it is part of; nil: none.
  public func backendMessage(
    data: Span<UInt8>, user: [UInt8]? = nil, idempotencyKey: [UInt8]?, trace: TraceContext? = nil
  ) throws(ProtocolError) -> BackendMessage {
    let envelope = try AdminMessage.envelope(.message, data: data, user: user, at: context.clock())
    // No user has an empty name, so no client's retry can look like this one.
    return BackendMessage(
      envelope: envelope, dedupe: Publisher.dedupeKey(user: [], id: idempotencyKey), trace: trace)
  }

  /// Publishes a backend's message into a room. Throws `bad_room` for a name that no room has.
  public func publish(
    _ message: BackendMessage, in room: [UInt8], _ reply: @escaping BrokerReply<Position>
  ) throws(ProtocolError) {
    if let problem = RoomName.problem(room.span) { throw ProtocolError(.badRoom, problem) }
    let rule = configuration.rules.rule(for: room.span)
    let sent = RoomMessage(
      room: room, envelope: message.envelope, dedupe: message.dedupe, retention: rule.retention)
    publisher.publish(sent, in: context.rooms.find(room.span), for: .backend(reply), nil, trace: message.trace)
  }

  /// Publishes the members of `data`, a JSON object, into a room. The parameters are those of `backendMessage`.
  public func publish(
    room: [UInt8], data: Span<UInt8>, user: [UInt8]? = nil, idempotencyKey: [UInt8]?, trace: TraceContext? = nil,
    _ reply: @escaping BrokerReply<Position>
  ) throws(ProtocolError) {
    if let problem = RoomName.problem(room.span) { throw ProtocolError(.badRoom, problem) }
    let message = try backendMessage(data: data, user: user, idempotencyKey: idempotencyKey, trace: trace)
    try publish(message, in: room, reply)
  }

  /// Sends the members of `data` to one user or to everyone.
  ///
  /// - Parameters:
  ///   - user: in whose name; nil: `user` is null in the message.
  ///   - idempotencyKey: makes a retry recognisable; nil: always sent.
  ///   - trace: the trace that it is part of; nil: none.
  public func send(
    data: Span<UInt8>, user: [UInt8]? = nil, to audience: Audience, idempotencyKey: [UInt8]?,
    trace: TraceContext? = nil, _ reply: @escaping BrokerReply<Int>
  ) throws(ProtocolError) {
    let kind: Envelope.Kind = audience == .everyone ? .broadcast : .direct
    let envelope = try AdminMessage.envelope(kind, data: data, user: user, at: context.clock())
    // One key may stand for a broadcast and for a direct message: they are two things.
    let dedupe = idempotencyKey.map { [kind.rawValue] + $0 }
    publisher.send(envelope, to: audience, dedupe: dedupe, trace: trace, reply)
  }

  /// Has every node close a user's connections, with 4409.
  public func disconnect(user: [UInt8], _ reply: @escaping BrokerReply<Int>) {
    order(key: "user", value: user, to: .user(user), reply)
  }

  /// Has the node that holds it close one connection, with 4409.
  public func disconnect(connection name: [UInt8], _ reply: @escaping BrokerReply<Int>) {
    order(key: "connection", value: name, to: .everyone, reply)
  }

  private func order(key: StaticString, value: [UInt8], to audience: Audience, _ reply: @escaping BrokerReply<Int>) {
    var envelope: [UInt8] = []
    Envelope.begin(.disconnect, timestamp: context.clock(), origin: [], userJSON: Array("null".utf8), into: &envelope)
    var writer = JSONWriter(appendingTo: envelope)
    writer.beginObject()
    writer.key(key)
    writer.string(value)
    writer.endObject()
    context.broker.send(writer.finish(), to: audience, reply)
  }

  /// Moves connections into a room or out of it, on whatever node they are. Answers with the number of the user's
  /// connections: each of them gets `joined`, `left` or an error, as if it had asked for it without an `id`.
  ///
  /// Tokens, room rules and authorisers do not forbid it, and no rate counts it; the rooms that a connection may be in do.
  public func move(_ move: RoomMove, _ reply: @escaping BrokerReply<Int>) {
    send(.move(move), to: .user(move.user), reply)
  }

  /// Has another node of the cluster begin its drain.
  public func drain(node: [UInt8], _ reply: @escaping BrokerReply<Int>) {
    send(.drain(node: node), to: .everyone, reply)
  }

  /// Does what an operator ordered, as far as it is for this node. Returns for how many connections.
  func obey(_ order: AdminOrder) -> Int {
    switch order {
    case .move(let move): return orders.apply(move)
    case .drain(let node):
      if node == configuration.nodeID { obeyDrain() }
      return 0
    }
  }

  /// Begins the drain of this node, as an operator ordered.
  public func obeyDrain() { drainOrdered() }

  private func send(_ order: AdminOrder, to audience: Audience, _ reply: @escaping BrokerReply<Int>) {
    context.broker.send(order.envelope(at: context.clock()), to: audience, reply)
  }

  /// Where the first delivery of an incoming hook with an id was published; see `MessageBroker.delivery`.
  public func hookDelivery(
    _ id: [UInt8], of hook: [UInt8], at position: Position?, _ reply: @escaping BrokerReply<Position?>
  ) {
    context.broker.delivery(id, of: hook, at: position, reply)
  }

  /// What a broker that is there refused a moment ago; nil: nothing.
  public var brokerRefusal: BrokerRefusal? { context.broker.refusal }

  /// Reads a room's history: as much as one answer holds.
  public func readHistory(room: [UInt8], _ query: HistoryQuery, _ reply: @escaping BrokerReply<HistoryPage>) {
    reads.readHistory(room: room, query, reply)
  }

  /// Reads a room's members: those of at most `limit` users whose names come after a name.
  public func readMembers(
    room: [UInt8], after: [UInt8]?, limit: Int, _ reply: @escaping BrokerReply<MemberList>
  ) {
    reads.readMembers(room: room, after: after, limit: limit, reply)
  }

  /// Has every node refuse a user's tokens, or one token, from now on, and close what was opened with them.
  ///
  /// Answers with the moment at which that ends, or nil when `Limits.revocationsMax` stand already. After a failure it may
  /// stand, but some nodes may not have received it: ask again.
  public func revoke(
    _ subject: Revocation.Subject, forMilliseconds milliseconds: UInt64, _ reply: @escaping BrokerReply<UInt64?>
  ) {
    revocations.revoke(subject, forMilliseconds: milliseconds, reply)
  }

  /// Reads which revocations the broker keeps and applies them; gives the broker those that it has lost, so that a Redis
  /// which was restarted empty has them again. The node calls it before it takes connections, the hub whenever it may have
  /// missed something.
  public func refreshRevocations(_ done: @escaping () -> Void) { revocations.refreshRevocations(done) }
}
