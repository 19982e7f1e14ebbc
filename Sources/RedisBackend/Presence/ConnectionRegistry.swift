import Realtime

/// Writes the registrations of this node's connections, each under its node and under its user.
final class ConnectionRegistry {
  /// Called with a registration, or its removal, that failed.
  var failed: (OfflineQueue.Entry) -> Void = { _ in }
  private let context: BrokerContext

  init(_ context: BrokerContext) { self.context = context }

  /// Writes a connection's registration: the node's first, so that a sweep finds the user's.
  func connect(_ member: Member) {
    let value = MemberCodec.encode(member)
    var hasFailed = false
    // In a cluster they have two masters, one of which may be away.
    let answered = { [weak self] (isSet: Bool) in
      guard !isSet, !hasFailed else { return }
      hasFailed = true
      self?.failed(.connect(member))
    }
    setField(context.keys.node, context.node, member.name, value, answered)
    setField(context.keys.user, member.user, member.name, value, answered)
  }

  /// Removes a connection's registration, in the other order: while the user's exists, a sweep must find it.
  func disconnect(_ member: Member) {
    let isSharded = context.shards.isSharded
    deleteField(context.keys.user, member.user, member.name) { [weak self] isDeleted in
      guard let self, isSharded else { return }
      if isDeleted { deleteFromNode(member) } else { failed(.disconnect(member)) }
    }
    // On one connection both are done or neither; of two masters, one may be away.
    if !isSharded { deleteFromNode(member) }
  }

  private func deleteFromNode(_ member: Member) {
    deleteField(context.keys.node, context.node, member.name) { [weak self] isDeleted in
      if !isDeleted { self?.failed(.disconnect(member)) }
    }
  }

  private func setField(
    _ prefix: [UInt8], _ owner: [UInt8], _ name: [UInt8], _ value: [UInt8], _ reply: @escaping (Bool) -> Void
  ) {
    // Which rooms a connection is in stands elsewhere: the batch with that need not be sent first.
    context.commands.request(isGathered: true, { reply($0?.kind == .integer) }) { writer in
      writer.command(parts: 4)
      writer.bulk("HSET")
      writer.bulk(prefix, owner, "}:connections")
      writer.bulk(name)
      writer.bulk(value)
    }
  }

  private func deleteField(_ prefix: [UInt8], _ owner: [UInt8], _ name: [UInt8], _ reply: @escaping (Bool) -> Void) {
    context.commands.request(isGathered: true, { reply($0?.kind == .integer) }) { writer in
      writer.command(parts: 3)
      writer.bulk("HDEL")
      writer.bulk(prefix, owner, "}:connections")
      writer.bulk(name)
    }
  }
}

@available(*, unavailable)
extension ConnectionRegistry: Sendable {}
