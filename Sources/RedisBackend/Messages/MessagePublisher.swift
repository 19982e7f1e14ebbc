import ClientProtocol
import Realtime

/// Publishes messages in rooms, and sends messages to users and to everyone.
final class MessagePublisher {
  private let batch: PublishBatch
  private let presence: PresenceBatch
  private let epochs: RoomEpochs
  private let ids: MessageIDs
  private let retries: RetrySender
  private let nodes: NodeStates
  private let context: BrokerContext

  init(
    _ context: BrokerContext, batch: PublishBatch, presence: PresenceBatch, epochs: RoomEpochs, ids: MessageIDs,
    retries: RetrySender, nodes: NodeStates
  ) {
    self.context = context
    self.batch = batch
    self.presence = presence
    self.epochs = epochs
    self.ids = ids
    self.retries = retries
    self.nodes = nodes
    batch.answered = { [weak self] in self?.answered($0, $1) }
  }

  // MARK: Rooms

  func publish(_ message: RoomMessage, _ reply: @escaping BrokerReply<Position>) {
    guard context.isAvailable, mayPublish(in: message.room) else { return reply(.failure(.unavailable)) }
    guard message.dedupe != nil else { return publishOnce(message, for: .final(reply)) }
    retries.send(byteCount: message.envelope.count, reply) { [weak self] in
      self?.publishOnce(message, for: .retrying($0))
    }
  }

  /// Publishes a message that its caller sends again by itself: what gets no answer fails at once, in the order of sending.
  func publishWithoutRetry(_ message: RoomMessage, _ reply: @escaping BrokerReply<Position>) {
    guard context.isAvailable, mayPublish(in: message.room) else { return reply(.failure(.unavailable)) }
    publishOnce(message, for: .final(reply))
  }

  /// Whether the master that holds a room takes messages.
  private func mayPublish(in room: [UInt8]) -> Bool {
    let shards = context.shards
    guard shards.isSharded else { return shards.current.first?.isPublishFrozen == false }
    guard let shard = shards.shard(of: context.keys.roomChannel(room)) else { return false }
    return shard.isServing && !shard.isPublishFrozen
  }

  private func publishOnce(_ message: RoomMessage, for recipient: PublishBatch.Recipient) {
    let dues = epochs.publish(in: message.room)
    if message.dedupe != nil { ids.bound(.room(message.room)) }
    if !presence.isEmpty, presence.contains(message.room) { presence.close() }
    if batch.isEmpty { context.shards.current.first?.commands.wake() }
    batch.append(
      message, dues, unknownEpoch: epochs.unknownEpoch, message.retention ?? context.configuration.retention,
      masterTag: context.commands.masterTag(of: context.keys.roomChannel(message.room)), for: recipient)
  }

  private func answered(_ sent: PublishBatch.Waiting, _ answer: Reply?) {
    let outcome = answer.flatMap { self.outcome(of: sent, $0) }
    switch sent.recipient {
    case .final(let reply): reply(outcome ?? .failure(context.failure))
    case .retrying(let reply): reply(outcome)
    }
  }

  /// What became of a message; nil: the answer does not say it.
  private func outcome(of sent: PublishBatch.Waiting, _ answer: Reply) -> Result<Position, BrokerError>? {
    if answer.isWrongType { return .failure(context.wrongTypes.refusal(of: sent.message)) }
    return publishedPosition(answer, room: sent.message.room, epoch: sent.epoch).map { .success($0) }
  }

  /// Reads the script's answer: an offset in the epoch that it was given, or a whole position, with the epoch, or an older one.
  private func publishedPosition(_ answer: Reply, room: [UInt8], epoch: [UInt8]) -> Position? {
    if answer.kind == .integer {
      guard let epoch = Epoch(text: epoch.span), let offset = MessagePublisher.offset(answer.integer) else {
        return nil
      }
      return Position(epoch: epoch, offset: offset)
    }
    // Of a repeated message, which may be of an epoch that is over.
    if answer.kind == .array { return answer.count == 1 ? answer[0].position : nil }
    guard let position = answer.position else { return nil }
    epochs.learn(position.epoch, of: room, isCounting: true)
    return position
  }

  /// An offset that a script counted; nil for what no counter of ours reaches, such as a field that another program set.
  private static func offset(_ number: Int) -> UInt64? {
    guard let offset = UInt64(exactly: number), (1...Position.offsetMax).contains(offset) else { return nil }
    return offset
  }

  func publish(ephemeral envelope: [UInt8], in room: [UInt8], _ reply: @escaping BrokerReply<Void>) {
    let channel = context.keys.roomChannel(room)
    guard context.isAvailable, !context.shards.isSharded || context.isServed(channel) else {
      return reply(.failure(.unavailable))
    }
    publish(Array("- ".utf8) + envelope, to: channel) { [weak self] isPublished in
      reply(isPublished ? .success(()) : .failure(self?.context.failure ?? .uncertain))
    }
  }

  // MARK: Users and everyone

  func send(
    _ envelope: [UInt8], to audience: Audience, dedupe: [UInt8]?, _ reply: @escaping BrokerReply<Int>
  ) {
    let channel = channel(of: audience)
    guard context.isAvailable, !context.shards.isSharded || context.isServed(channel) else {
      return reply(.failure(.unavailable))
    }
    if let dedupe { return sendIdempotent(envelope, to: audience, dedupe, reply) }
    var count: Int? = 0
    if case .user(let user) = audience {
      count = nil
      // Answered before the publish: both go to one master, in this order.
      countConnections(of: user) { count = $0 }
    }
    publish(envelope, to: channel) { [weak self] isPublished in
      guard isPublished, let count else { return reply(.failure(self?.context.failure ?? .uncertain)) }
      reply(.success(count))
    }
  }

  private func channel(of audience: Audience) -> [UInt8] {
    switch audience {
    case .everyone: context.keys.everyone
    case .user(let user): context.keys.userChannel(user)
    }
  }

  private func sendIdempotent(
    _ envelope: [UInt8], to audience: Audience, _ key: [UInt8], _ reply: @escaping BrokerReply<Int>
  ) {
    let send = { [weak self] (count: Int) in
      guard let self else { return }
      retries.send(byteCount: envelope.count, reply) { [weak self] in
        self?.sendIdempotent(envelope, to: audience, count: count, key, $0)
      }
    }
    guard case .user(let user) = audience else { return send(0) }
    countConnections(of: user) { count in
      guard let count else { return reply(.failure(.unavailable)) }
      send(count)
    }
  }

  private func sendIdempotent(
    _ envelope: [UInt8], to audience: Audience, count: Int, _ key: [UInt8],
    _ reply: @escaping (Result<Int, BrokerError>?) -> Void
  ) {
    ids.bound(.audience(audience))
    let answer: ScriptRunner.Handler = { answer in
      if let answer, answer.kind == .integer { return reply(.success(answer.integer)) }
      reply(answer?.isWrongType == true ? .failure(.refused) : nil)
    }
    let channel = channel(of: audience)
    context.scripts.run(.publishIdempotent, keys: 2, parts: 6, answer) { [keys = context.keys] writer in
      keys.writeIDKeys(of: .audience(audience), to: &writer)
      writer.bulk(channel)
      writer.bulk(envelope)
      writer.bulk(count)
      writer.bulk(IDMemory.fingerprint(scope: IDOwner.audience(audience).scope, key))
    }
  }

  private func publish(_ envelope: [UInt8], to channel: [UInt8], _ reply: @escaping (Bool) -> Void) {
    context.commands.request({ reply($0?.kind == .integer) }) { writer in
      writer.command(parts: 3)
      if context.shards.isSharded { writer.bulk("SPUBLISH") } else { writer.bulk("PUBLISH") }
      writer.bulk(channel)
      writer.bulk(envelope)
    }
  }

  private func countConnections(of user: [UInt8], _ reply: @escaping (Int?) -> Void) {
    let counted: PendingReplies.Handler = { [weak self] names in
      guard let self, let names, names.kind == .array else { return reply(nil) }
      reply((0..<names.count).count { !self.nodes.hasEnded(connection: names[$0].copy) })
    }
    context.commands.request(counted) { writer in
      writer.command(parts: 2)
      writer.bulk("HKEYS")
      writer.bulk(context.keys.user, user, "}:connections")
    }
  }
}

@available(*, unavailable)
extension MessagePublisher: Sendable {}
