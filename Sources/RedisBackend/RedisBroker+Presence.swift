import Realtime

extension RedisBroker {
  public func enter(room: [UInt8], _ member: Member, announce: Bool, _ reply: @escaping BrokerReply<RoomEntry>) {
    guard isAvailable else { return reply(.failure(.unavailable)) }
    list(room)
    let isDue = ledger.isMetaDue(room, now: loop.now)
    enterings.enter(room: room, member.name)
    let answer: ScriptRunner.Handler = { [weak self] answer in
      if self?.enterings.answered(room: room, member.name) == true { self?.leave(room: room, member) }
      guard let answer, answer.count == 2, let position = answer[0].position else {
        self?.undoEntry(room: room, member)
        return reply(.failure(RedisBroker.failure(of: answer)))
      }
      self?.learn(position, of: room)
      reply(.success(RoomEntry(position: position, userCount: answer[1].integer)))
    }
    let term = commands.term(of: keys.roomChannel(room))
    scripts.run(.enter, keys: 4, parts: 14, answer) { [keys, configuration, reign] writer in
      writer.bulk(keys.room, room, "}:meta")
      writer.bulk(keys.room, room, "}:log")
      writer.bulk(keys.room, room, "}:members")
      writer.bulk(keys.room, room, "}:users")
      writer.bulk(configuration.metaMilliseconds)
      writer.bulk(isDue)
      writer.bulk(member.name)
      writer.bulk(MemberCodec.encode(member))
      writer.bulk(member.user)
      writer.bulk(MemberCodec.json(user: member.user))
      writer.bulk(keys.room, room, "}:ch")
      writer.bulk(announce)
      writer.bulk(term: term)
      writer.bulk(reign)
    }
  }

  public func leave(room: [UInt8], _ member: Member) {
    guard isAvailable else { return remember(.leave(room: room, member)) }
    if masters.isSharded { departures.append(.leave(room: room, member), now: loop.now) }
    enterings.leave(room: room, member.name)
    let answer: ScriptRunner.Handler = { [weak self] answer in
      if answer == nil { self?.remember(.leave(room: room, member)) }
    }
    let term = commands.term(of: keys.roomChannel(room))
    scripts.leave(room: room, [(member.name, member.user)], keys, term: term, answer)
  }

  /// Lets the counter of a room go that was begun here without a member, if nobody ever published there.
  func expireUnused(room: [UInt8]) {
    guard begunRooms.remove(room) != nil, isAvailable else { return }
    scripts.leave(room: room, [], keys, term: commands.term(of: keys.roomChannel(room))) { _ in }
  }

  /// Puts a room into the node's list before a member can be in it, so that a sweep finds every member.
  private func list(_ room: [UInt8]) {
    guard listedRooms.insert(room).inserted else { return }
    let answer: PendingReplies.Handler = { [weak self] answer in
      if answer?.kind != .integer { self?.listedRooms.remove(room) }
    }
    commands.request(answer) { writer in
      writer.command(parts: 4)
      writer.bulk("ZADD")
      writer.bulk(keys.node, node, "}:rooms")
      writer.bulk(0)
      writer.bulk(room)
    }
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
    let answer: PendingReplies.Handler = { [weak self] answer in
      if answer == nil { self?.remember(.delist(room: room)) }
    }
    commands.request(answer) { writer in
      writer.command(parts: 3)
      writer.bulk("ZREM")
      writer.bulk(keys.node, node, "}:rooms")
      writer.bulk(room)
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
    commands.request({ reply($0?.kind == .integer) }) { writer in
      writer.command(parts: 4)
      writer.bulk("HSET")
      writer.bulk(prefix, owner, "}:connections")
      writer.bulk(name)
      writer.bulk(value)
    }
  }

  private func deleteField(_ prefix: [UInt8], _ owner: [UInt8], _ name: [UInt8], _ reply: @escaping (Bool) -> Void) {
    commands.request({ reply($0?.kind == .integer) }) { writer in
      writer.command(parts: 3)
      writer.bulk("HDEL")
      writer.bulk(prefix, owner, "}:connections")
      writer.bulk(name)
    }
  }
}
