import ClientProtocol
import JSONCore

// What operators and backends ask, by way of the admin endpoint. Nothing here belongs to a session.

extension Hub {
  /// Publishes the members of `data`, a JSON object, into a room.
  ///
  /// - Parameters:
  ///   - user: in whose name; nil: `user` is null in the message.
  ///   - idempotencyKey: makes a retry recognisable; nil: always published.
  public func publish(
    room: [UInt8], data: Span<UInt8>, user: [UInt8]? = nil, idempotencyKey: [UInt8]?,
    _ reply: @escaping BrokerReply<Position>
  ) throws(ProtocolError) {
    if let problem = RoomName.problem(room.span) { throw ProtocolError(.badRoom, problem) }
    let envelope = try AdminMessage.envelope(.message, data: data, user: user, at: clock())
    // No user has an empty name, so no client's retry can look like this one.
    let dedupe = Hub.dedupeKey(user: [], id: idempotencyKey)
    let rule = configuration.rules.rule(for: room.span)
    let message = RoomMessage(room: room, envelope: envelope, dedupe: dedupe, retention: rule.retention)
    publish(message, in: rooms.find(room.span), for: .backend(reply), nil)
  }

  /// Sends the members of `data` to one user or to everyone.
  ///
  /// - Parameters:
  ///   - user: in whose name; nil: `user` is null in the message.
  ///   - idempotencyKey: makes a retry recognisable; nil: always sent.
  public func send(
    data: Span<UInt8>, user: [UInt8]? = nil, to audience: Audience, idempotencyKey: [UInt8]?,
    _ reply: @escaping BrokerReply<Int>
  ) throws(ProtocolError) {
    let kind: Envelope.Kind = audience == .everyone ? .broadcast : .direct
    let envelope = try AdminMessage.envelope(kind, data: data, user: user, at: clock())
    // One key may stand for a broadcast and for a direct message: they are two things.
    let dedupe = idempotencyKey.map { [kind.rawValue] + $0 }
    broker.send(envelope, to: audience, dedupe: dedupe, reply)
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
    Envelope.begin(.disconnect, timestamp: clock(), origin: [], userJSON: Array("null".utf8), into: &envelope)
    var writer = JSONWriter(appendingTo: envelope)
    writer.beginObject()
    writer.key(key)
    writer.string(value)
    writer.endObject()
    broker.send(writer.finish(), to: audience, reply)
  }
}
