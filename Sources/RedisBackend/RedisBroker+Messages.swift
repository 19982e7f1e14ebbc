import ClientProtocol
import JSONCore
import Realtime

extension RedisBroker {
  public func publish(_ message: RoomMessage, _ reply: @escaping BrokerReply<Position>) {
    guard isAvailable, mayPublish(in: message.room) else { return reply(.failure(.unavailable)) }
    guard message.dedupe != nil else {
      return publishOnce(message) { [weak self] in reply($0 ?? .failure(self?.failure ?? .uncertain)) }
    }
    sendSurely(byteCount: message.envelope.count, reply) { [weak self] in self?.publishOnce(message, $0) }
  }

  /// Whether the master that holds a room takes messages.
  private func mayPublish(in room: [UInt8]) -> Bool {
    guard masters.isSharded else { return masters.shards.first?.isPublishFrozen == false }
    guard let shard = masters.shard(of: keys.roomChannel(room)) else { return false }
    return shard.isServing && !shard.isPublishFrozen
  }

  /// Publishes a message once; the reply is nil when there was no answer.
  private func publishOnce(_ message: RoomMessage, _ reply: @escaping (Result<Position, BrokerError>?) -> Void) {
    let dues = ledger.publish(in: message.room, now: loop.now)
    if message.dedupe != nil { boundIDs(of: .room(message.room)) }
    if !presence.isEmpty, presence.contains(message.room) { presence.close() }
    if batch.isEmpty { masters.shards.first?.commands.wake() }
    batch.append(
      PublishBatch.Message(
        room: message.room, envelope: message.envelope, dedupe: message.dedupe,
        epoch: dues.epoch.isEmpty ? epochless : dues.epoch, dues: dues,
        retention: message.retention ?? configuration.retention,
        masterTag: commands.masterTag(of: keys.roomChannel(message.room))
      )
    ) { [weak self] answer in
      guard let self, let answer else { return reply(nil) }
      if answer.isWrongType { return reply(.failure(refusal(of: message))) }
      reply(publishedPosition(answer, room: message.room, epoch: dues.epoch).map { .success($0) })
    }
  }

  /// Reads the script's answer: an offset in the epoch it was given, or a whole position, which tells the epoch, or an older one.
  private func publishedPosition(_ answer: Reply, room: [UInt8], epoch: [UInt8]) -> Position? {
    if answer.kind == .integer {
      guard let epoch = Epoch(text: epoch.span), let offset = RedisBroker.offset(answer.integer) else { return nil }
      return Position(epoch: epoch, offset: offset)
    }
    // Of a repeated message, which may be of an epoch that is over.
    if answer.kind == .array { return answer.count == 1 ? answer[0].position : nil }
    guard let position = answer.position else { return nil }
    learn(position.epoch, of: room, isCounting: true)
    return position
  }

  /// An offset that a script counted; nil for what no counter of ours reaches, such as a field that somebody else has set.
  private static func offset(_ number: Int) -> UInt64? {
    guard let offset = UInt64(exactly: number), (1...Position.offsetMax).contains(offset) else { return nil }
    return offset
  }

  /// Notes a room's epoch. A new one in a room that was known may mean that Redis has lost everything, the lease too: asked
  /// for at once, it is taken again before this node can die with members that nobody would sweep.
  ///
  /// - Parameter isCounting: whether it comes from a publish. What else tells an epoch may tell one of another reign.
  func learn(_ epoch: Epoch, of room: [UInt8], isCounting: Bool) {
    if ledger.learn(epoch, of: room, isCounting: isCounting || leaderEpochKey.isEmpty) { renewSoon() }
  }

  /// Notes the epoch that entering a room has told, and that the first message there is to give the counter its full life.
  func learn(_ position: Position, of room: [UInt8]) {
    learn(position.epoch, of: room, isCounting: false)
    if position.offset == 0 { ledger.makeDue(room) }
  }

  public func subscribe(room: [UInt8], _ reply: @escaping BrokerReply<Void>) { hear(keys.roomChannel(room), reply) }

  public func unsubscribe(room: [UInt8]) {
    stopHearing(keys.roomChannel(room))
    delist(room)
    expireUnused(room: room)
  }

  public func position(room: [UInt8], _ reply: @escaping BrokerReply<Position>) {
    position(room: room, life: 0, isDue: false) { reply(RedisBroker.position($0)) }
  }

  public func begin(room: [UInt8], _ reply: @escaping BrokerReply<Position>) {
    begunRooms.insert(room)
    let isDue = ledger.isMetaDue(room, now: loop.now)
    position(room: room, life: configuration.metaMilliseconds, isDue: isDue) { [weak self] answer in
      if let position = answer?.position { self?.learn(position, of: room) }
      reply(RedisBroker.position(answer))
    }
  }

  private func position(room: [UInt8], life: Int, isDue: Bool, _ answer: @escaping ScriptRunner.Handler) {
    guard isAvailable else { return answer(nil) }
    scripts.run(.position, keys: 2, parts: 5, answer) { [keys, leaderEpochKey] writer in
      writer.bulk(keys.room, room, "}:meta")
      writer.bulk(keys.room, room, "}:log")
      writer.bulk(life)
      writer.bulk(isDue)
      writer.bulk(leaderEpochKey)
    }
  }

  public func compare(room: [UInt8], with known: StreamEnd, _ reply: @escaping BrokerReply<Position>) {
    guard isAvailable else { return reply(.failure(.unavailable)) }
    var epoch: [UInt8] = []
    known.position.epoch.append(to: &epoch)
    scripts.run(.verifyPosition, keys: 2, parts: 7, { reply(RedisBroker.position($0)) }) {
      [keys, configuration, leaderEpochKey] writer in
      writer.bulk(keys.room, room, "}:meta")
      writer.bulk(keys.room, room, "}:log")
      writer.bulk(configuration.metaMilliseconds)
      writer.bulk(epoch)
      writer.bulk(Int(clamping: known.position.offset))
      writer.bulk(Int(clamping: known.timestamp))
      writer.bulk(leaderEpochKey)
    }
  }

  private static func position(_ reply: Reply?) -> Result<Position, BrokerError> {
    guard let position = reply?.position else { return .failure(failure(of: reply)) }
    return .success(position)
  }

  public func history(
    room: [UInt8], _ query: HistoryQuery, bytesMax: Int, _ reply: @escaping BrokerReply<HistoryPage>
  ) {
    guard isAvailable else { return reply(.failure(.unavailable)) }
    let limit: Int
    var after = Array("-".utf8)
    switch query {
    case .newest(let count): limit = count
    case .after(let offset, let count):
      limit = count
      after = []
      // Lua counts in doubles: what is beyond them is beyond every room's counter.
      JSONNumber.append(min(offset, Position.offsetMax), to: &after)
    }
    let size = configuration.rules.retention(of: room, standard: configuration.retention).messagesMax
    let answer: ScriptRunner.Handler = { reply(RedisBroker.page($0)) }
    scripts.run(.history, keys: 2, parts: 6, answer) { [keys] writer in
      writer.bulk(keys.room, room, "}:meta")
      writer.bulk(keys.room, room, "}:log")
      writer.bulk(size)
      writer.bulk(max(0, min(limit, size)))
      writer.bulk(after)
      writer.bulk(bytesMax)
    }
  }

  private static func page(_ reply: Reply?) -> Result<HistoryPage, BrokerError> {
    guard let reply, reply.count % 2 == 1 else { return .failure(failure(of: reply)) }
    let places = reply[0].copy.split(separator: 0x20)
    guard let first = places.first, let position = Position(text: Array(first).span) else {
      return .failure(.unavailable)
    }
    var page = HistoryPage(position: position, entries: [], past: past(places.dropFirst()))
    page.entries.reserveCapacity(reply.count / 2)
    for i in stride(from: 1, to: reply.count, by: 2) {
      guard let offset = Position.offset(parsing: reply[i].bytes), offset > 0 else { return .failure(.unavailable) }
      let envelope = reply[i + 1].bytes
      let start = MasterTag.count(before: envelope)
      page.entries.append((offset, [UInt8](copying: envelope.extracting(start..<envelope.count))))
    }
    return .success(page)
  }

  /// Reads what a room's epoch continues, as history.lua tells it: newest first. What is missing since one of them is missing
  /// since those before it too.
  private static func past(_ places: ArraySlice<ArraySlice<UInt8>>) -> [Ancestor] {
    var isWhole = true
    return places.compactMap { place in
      let isMarked = place.first == 0x21
      if isMarked { isWhole = false }
      return Position(text: Array(place.dropFirst(isMarked ? 1 : 0)).span).map { Ancestor(end: $0, isWhole: isWhole) }
    }
  }

  public func send(
    _ envelope: [UInt8], to audience: Audience, dedupe: [UInt8]?, _ reply: @escaping BrokerReply<Int>
  ) {
    guard isAvailable, !masters.isSharded || isServed(channel(of: audience)) else {
      return reply(.failure(.unavailable))
    }
    if let dedupe { return sendOnce(envelope, to: audience, dedupe, reply) }
    switch audience {
    case .everyone:
      publish(envelope, to: keys.everyone) { [weak self] isPublished in
        reply(isPublished ? .success(0) : .failure(self?.failure ?? .uncertain))
      }
    case .user(let user):
      var count: Int?
      countConnections(of: user) { count = $0 }
      publish(envelope, to: keys.userChannel(user)) { [weak self] isPublished in
        guard isPublished, let count else { return reply(.failure(self?.failure ?? .uncertain)) }
        reply(.success(count))
      }
    }
  }

  public func publish(ephemeral envelope: [UInt8], in room: [UInt8], _ reply: @escaping BrokerReply<Void>) {
    let channel = keys.roomChannel(room)
    guard isAvailable, !masters.isSharded || isServed(channel) else { return reply(.failure(.unavailable)) }
    publish(Array("- ".utf8) + envelope, to: channel) { [weak self] isPublished in
      reply(isPublished ? .success(()) : .failure(self?.failure ?? .uncertain))
    }
  }

  private func channel(of audience: Audience) -> [UInt8] {
    switch audience {
    case .everyone: keys.everyone
    case .user(let user): keys.userChannel(user)
    }
  }

  private func sendOnce(
    _ envelope: [UInt8], to audience: Audience, _ key: [UInt8], _ reply: @escaping BrokerReply<Int>
  ) {
    let send = { [weak self] (count: Int) in
      guard let self else { return }
      sendSurely(byteCount: envelope.count, reply) { [weak self] in
        self?.runSendOnce(envelope, to: audience, count: count, key, $0)
      }
    }
    guard case .user(let user) = audience else { return send(0) }
    countConnections(of: user) { count in
      guard let count else { return reply(.failure(.unavailable)) }
      send(count)
    }
  }

  private func runSendOnce(
    _ envelope: [UInt8], to audience: Audience, count: Int, _ key: [UInt8],
    _ reply: @escaping (Result<Int, BrokerError>?) -> Void
  ) {
    boundIDs(of: .audience(audience))
    let answer: ScriptRunner.Handler = { answer in
      if let answer, answer.kind == .integer { return reply(.success(answer.integer)) }
      reply(answer?.isWrongType == true ? .failure(.refused) : nil)
    }
    let channel = channel(of: audience)
    scripts.run(.publishIdempotent, keys: 2, parts: 6, answer) { [keys] writer in
      keys.writeIDKeys(of: .audience(audience), to: &writer)
      writer.bulk(channel)
      writer.bulk(envelope)
      writer.bulk(count)
      writer.bulk(IDMemory.fingerprint(scope: IDOwner.audience(audience).scope, key))
    }
  }

  private func publish(_ envelope: [UInt8], to channel: [UInt8], _ reply: @escaping (Bool) -> Void) {
    commands.request({ reply($0?.kind == .integer) }) { writer in
      writer.command(parts: 3)
      if masters.isSharded { writer.bulk("SPUBLISH") } else { writer.bulk("PUBLISH") }
      writer.bulk(channel)
      writer.bulk(envelope)
    }
  }

  private func countConnections(of user: [UInt8], _ reply: @escaping (Int?) -> Void) {
    let counted: PendingReplies.Handler = { [weak self] names in
      guard let self, let names, names.kind == .array else { return reply(nil) }
      reply((0..<names.count).count { !self.isOfDeadNode(names[$0].copy) })
    }
    commands.request(counted) { writer in
      writer.command(parts: 2)
      writer.bulk("HKEYS")
      writer.bulk(keys.user, user, "}:connections")
    }
  }

  /// Whether the node in a connection's name is known to be dead, or to have closed it.
  func isOfDeadNode(_ name: [UInt8]) -> Bool {
    RedisKeys.node(ofConnection: name).map { isDead($0) || leavingNodes.contains($0) } ?? true
  }
}

extension RedisConfiguration {
  /// What rooms keep that no rule names.
  var retention: Retention { Retention(messagesMax: historySize, milliseconds: historyTTLMilliseconds) }

  /// Life of a room's counter: never shorter than its log's, which means nothing without it.
  var metaMilliseconds: Int {
    let longest = max(historyTTLMilliseconds, rules.retentionMillisecondsMax)
    return max(RedisLimits.metaMilliseconds, 2 * (longest + RedisLimits.logSlackMilliseconds))
  }
}
