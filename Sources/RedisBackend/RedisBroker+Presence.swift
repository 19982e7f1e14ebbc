import ClientProtocol
import Realtime

extension RedisBroker {
  public func enter(room: [UInt8], _ member: Member, _ reply: @escaping BrokerReply<Position>) {
    guard isAvailable else { return reply(.failure(.unavailable)) }
    enterings.enter(room: room, member.name)
    let isDue = ledger.isMetaDue(room, now: loop.now)
    list(room)
    change(room, .enter(member), isMetaDue: isDue) { [weak self] outcome in
      let hasLeft = self?.enterings.answered(room: room, member.name) == true
      if hasLeft, let self { leave(room: room, member) }
      switch outcome {
      case .done(let position?):
        self?.learn(position, of: room)
        reply(.success(position))
      case .refused: reply(.failure(.refused))
      case .done, .failed:
        self?.undoEntry(room: room, member)
        reply(.failure(.unavailable))
      }
    }
  }

  public func leave(room: [UInt8], _ member: Member, graceMilliseconds: Int) {
    guard isAvailable else { return remember(.leave(room: room, member)) }
    if masters.isSharded { departures.append(.leave(room: room, member), now: loop.now) }
    enterings.leave(room: room, member.name)
    let leave = PresenceOperation.leave(
      name: member.name, user: member.user, graceMilliseconds: graceMilliseconds)
    change(room, leave) { [weak self] outcome in
      if case .failed = outcome { self?.remember(.leave(room: room, member)) }
    }
  }

  /// Takes a connection out that no client has taken out just now: with the grace of the room.
  func leave(room: [UInt8], _ member: Member) {
    leave(room: room, member, graceMilliseconds: configuration.graceMilliseconds(room))
  }

  public func setState(
    room: [UInt8], _ member: Member, _ state: [UInt8]?, isAssertion: Bool, _ reply: @escaping BrokerReply<Void>
  ) {
    guard isAvailable else { return reply(.failure(.unavailable)) }
    change(room, .state(member, state, isAssertion: isAssertion)) { [weak self] outcome in
      switch outcome {
      case .done: reply(.success(()))
      case .refused: reply(.failure(.refused))
      case .failed: reply(.failure(self?.failure ?? .uncertain))
      }
    }
  }

  /// Has an operation done with those of this tick.
  private func change(
    _ room: [UInt8], _ operation: PresenceOperation, isMetaDue: Bool = false, _ handler: @escaping PresenceBatch.Handler
  ) {
    if batch.contains(room) { batch.close() }
    if presence.isEmpty { masters.shards.first?.commands.wake() }
    presence.append(operation, in: room, epoch: ledger.epoch(of: room), isMetaDue: isMetaDue, handler)
  }

  public func endGraces(room: [UInt8], _ reply: @escaping BrokerReply<Int?>) {
    guard isAvailable else { return reply(.failure(.unavailable)) }
    let answer: ScriptRunner.Handler = { answer in
      guard let answer, !answer.isError else { return reply(.failure(RedisBroker.failure(of: answer))) }
      reply(.success(answer.kind == .integer ? answer.integer : nil))
    }
    let masterTag = commands.masterTag(of: keys.roomChannel(room))
    scripts.run(.endGraces, keys: 5, parts: 9, answer) { [keys] writer in
      for end in ["}:meta", "}:users", "}:order", "}:extras", "}:graces"] as [StaticString] {
        writer.bulk(keys.room, room, end)
      }
      writer.bulk(keys.room, room, "}:ch")
      writer.bulk(masterTag: masterTag)
      writer.bulk(RedisLimits.gracesMax)
      writer.bulk(RedisLimits.unusedMetaMilliseconds)
    }
  }

  /// Lets the counter of a room go that was begun here without a member, if nobody ever published there.
  func expireUnused(room: [UInt8]) {
    guard begunRooms.remove(room) != nil, isAvailable else { return }
    presence.touch(room)
  }

  /// Puts a room into the node's list before a member can be in it, so that a sweep finds every member.
  private func list(_ room: [UInt8]) {
    guard listedRooms.insert(room).inserted else { return }
    presence.list(room)
  }

  /// Takes a room without local members out of the node's list. Asked for even when the room is not known to be listed:
  /// what was listed before presence was forgotten, or by a command whose answer got lost, may stand there all the same.
  func delist(_ room: [UInt8]) {
    listedRooms.remove(room)
    unlist(room)
  }

  /// Does it in Redis, now or when it is back. A room that may hold members who have left stays in the list until it has
  /// been looked at.
  func unlist(_ room: [UInt8]) {
    guard isAvailable, !isAuditDue else { return remember(.delist(room: room)) }
    strike(room)
  }

  /// Takes a room out of the node's list in Redis.
  func strike(_ room: [UInt8]) {
    if presence.isEmpty { masters.shards.first?.commands.wake() }
    presence.delist(room)
  }

  /// Notes that rooms could not be put into the node's list, or taken out of it.
  func listFailed(_ rooms: [[UInt8]], isListed: Bool) {
    if isListed {
      listedRooms.subtract(rooms)
    } else {
      for room in rooms { remember(.delist(room: room)) }
    }
  }

  public func subscribe(user: [UInt8]) { hearEventually(keys.userChannel(user)) }

  public func unsubscribe(user: [UInt8]) { stopHearing(keys.userChannel(user)) }

  /// Writes a connection's registration: the node's first, so that a sweep finds the user's.
  public func connect(_ member: Member) {
    guard isAvailable else { return remember(.connect(member)) }
    let value = MemberCodec.encode(member)
    var hasFailed = false
    // In a cluster they have two masters, of which one may be away.
    let answered = { [weak self] (isSet: Bool) in
      guard !isSet, !hasFailed else { return }
      hasFailed = true
      self?.remember(.connect(member))
    }
    setField(keys.node, node, member.name, value, answered)
    setField(keys.user, member.user, member.name, value, answered)
  }

  /// Takes a connection's registration back, in the other order: as long as the user's stands, a sweep must find it.
  public func disconnect(_ member: Member) {
    guard isAvailable else { return remember(.disconnect(member)) }
    if masters.isSharded { departures.append(.disconnect(member), now: loop.now) }
    deleteField(keys.user, member.user, member.name) { [weak self] isDeleted in
      guard let self, masters.isSharded else { return }
      if isDeleted { deleteFromNode(member) } else { remember(.disconnect(member)) }
    }
    // On one connection both are done or neither; of two masters, one may be away.
    if !masters.isSharded { deleteFromNode(member) }
  }

  private func deleteFromNode(_ member: Member) {
    deleteField(keys.node, node, member.name) { [weak self] isDeleted in
      if !isDeleted { self?.remember(.disconnect(member)) }
    }
  }

  private func setField(
    _ prefix: [UInt8], _ owner: [UInt8], _ name: [UInt8], _ value: [UInt8], _ reply: @escaping (Bool) -> Void
  ) {
    // Which rooms a connection is in stands elsewhere: what is gathered of that need not be sent first.
    commands.request(isGathered: true, { reply($0?.kind == .integer) }) { writer in
      writer.command(parts: 4)
      writer.bulk("HSET")
      writer.bulk(prefix, owner, "}:connections")
      writer.bulk(name)
      writer.bulk(value)
    }
  }

  private func deleteField(_ prefix: [UInt8], _ owner: [UInt8], _ name: [UInt8], _ reply: @escaping (Bool) -> Void) {
    commands.request(isGathered: true, { reply($0?.kind == .integer) }) { writer in
      writer.command(parts: 3)
      writer.bulk("HDEL")
      writer.bulk(prefix, owner, "}:connections")
      writer.bulk(name)
    }
  }
}
