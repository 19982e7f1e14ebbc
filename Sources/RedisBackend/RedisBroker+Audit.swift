import Realtime

// What another master says of this node's members, compared with what there is. A replica that was promoted lacks the last
// that its master was told, and a Redis that was restarted from a file lacks more: members whose entering it lacks are
// asserted again, members whose leaving it lacks are found here and taken out.

extension RedisBroker {
  /// Asks a master which process it is: a promoted replica, or a Redis that was restarted, is another.
  func identify(_ shard: Shard) {
    (shard.run, shard.replicationID) = (nil, nil)
    ask(shard, "server", for: "run_id:") { $0.run = $1 }
    if !masters.isSharded {
      ask(shard, "server", for: "redis_mode:") { shard, mode in
        if mode == Array("cluster".utf8) { shard.commands.fail(RedisLink.clusterAdvice) }
      }
    }
    if finder != nil { ask(shard, "replication", for: "master_replid:") { $0.replicationID = $1 } }
  }

  /// Asks for a line of INFO. Nothing is told after a refusal, and where there is no such line.
  private func ask(
    _ shard: Shard, _ section: StaticString, for key: String, _ take: @escaping (Shard, [UInt8]) -> Void
  ) {
    let answer: PendingReplies.Handler = { [weak shard] reply in
      guard let shard, let reply, reply.kind == .string else { return }
      let line = reply.copy.split { $0 == 0x0D || $0 == 0x0A }.first { $0.starts(with: key.utf8) }
      if let line { take(shard, Array(line.dropFirst(key.utf8.count))) }
    }
    shard.commands.request(answer) { writer in
      writer.command(parts: 2)
      writer.bulk("INFO")
      writer.bulk(section)
    }
  }

  /// Takes out of Redis what it holds of this node that is not here, on the masters that were taken over. Works in chunks;
  /// what cannot be reached is looked at again with the next renewal.
  func auditPresence() {
    let audited = masters.shards.filter { $0.mustAudit && $0.isServing }
    guard !isAuditing, !isStopping, isAvailable, !audited.isEmpty else { return }
    isAuditing = true
    for shard in audited { shard.mustAudit = false }
    let isAffected: (_ key: [UInt8]) -> Bool = { [masters] key in
      masters.shard(of: key).map { owner in audited.contains { $0 === owner } } ?? false
    }
    repeatDepartures(where: isAffected)
    auditRooms(after: nil, where: isAffected) { [weak self] isComplete in
      guard let self else { return }
      isAuditing = false
      if !isComplete { for shard in audited { shard.mustAudit = true } }
      // Rooms that were to be taken out of the list have waited.
      if isAvailable { replay() }
    }
  }

  /// Whether Redis may hold members of this node that have left, in rooms that only the node's list names. A master that is
  /// away again holds nobody's list up for as long as that lasts.
  var isAuditDue: Bool { isAuditing || masters.shards.contains { $0.mustAudit && $0.isServing } }

  /// Says again who has left lately. Whoever is back under the same name has entered since.
  private func repeatDepartures(where isAffected: (_ key: [UInt8]) -> Bool) {
    let departures = departures.take(now: loop.now) { entry in
      switch entry {
      case .leave(let room, _): isAffected(keys.roomChannel(room))
      case .disconnect(let member): isAffected(keys.userChannel(member.user))
      case .connect, .delist: false
      }
    }
    for departure in departures {
      switch departure {
      case .leave(let room, let member): if !isHere(member.name, in: room) { leave(room: room, member) }
      case .disconnect(let member): if !isHere(member.name, in: nil) { disconnect(member) }
      case .connect, .delist: break
      }
    }
  }

  /// Whether a connection is here, and in the room if one is named. Without anybody to ask it is believed.
  func isHere(_ connection: [UInt8], in room: [UInt8]?) -> Bool {
    listener?.isHere(connection.span, in: room) ?? true
  }

  // MARK: Rooms

  /// Goes through the node's list of rooms, which holds every room that had members of this node when the list was what
  /// the master knows.
  private func auditRooms(
    after cursor: [UInt8]?, where isAffected: @escaping ([UInt8]) -> Bool, _ done: @escaping (Bool) -> Void
  ) {
    let range = RoomRange(prefix: [], cursor: cursor, limit: RedisLimits.sweepChunk)
    let listed: PendingReplies.Handler = { [weak self] reply in
      guard let self, let reply, reply.kind == .array else { return done(false) }
      let rooms = (0..<reply.count).map { reply[$0].copy }
      audit(rooms.filter { isAffected(self.keys.roomChannel($0)) }) { [weak self] isComplete in
        guard let self, isComplete else { return done(false) }
        guard let last = rooms.last, rooms.count >= RedisLimits.sweepChunk else {
          return isAffected(keys.probeChannel(node)) ? auditConnections(cursor: [0x30], done) : done(true)
        }
        auditRooms(after: last, where: isAffected, done)
      }
    }
    commands.request(listed) { [keys, node] in $0.rooms(of: node, in: range, limit: range.limit, keys) }
  }

  /// Looks at rooms, pipelined. Answers once, when the last is done.
  private func audit(_ rooms: [[UInt8]], _ done: @escaping (_ isComplete: Bool) -> Void) {
    let all = WaitGroup(rooms.count, done)
    for room in rooms { audit(room, all.one) }
  }

  /// Goes through a room's members in chunks, and takes out those of this node that are not here.
  private func audit(_ room: [UInt8], cursor: [UInt8] = [0x30], _ done: @escaping (Bool) -> Void) {
    let scanned: PendingReplies.Handler = { [weak self] reply in
      guard let self, let reply, reply.count == 2 else { return done(false) }
      let fields = reply[1]
      for i in stride(from: 0, to: fields.count - 1, by: 2) where self.isOwn(fields[i].bytes) {
        let name = fields[i].copy
        if !isHere(name, in: room) { leave(room: room, MemberCodec.leaver(name: name, fields[i + 1].bytes)) }
      }
      let next = reply[0].copy
      guard next == [0x30] else { return audit(room, cursor: next, done) }
      if !listedRooms.contains(room) { strike(room) }
      done(true)
    }
    commands.request(scanned) { [keys] in $0.members(of: room, from: cursor, keys) }
  }

  /// Whether a connection's name is one that this node gives.
  private func isOwn(_ name: Span<UInt8>) -> Bool {
    guard name.count > node.count + 1, name[node.count] == 0x2D else { return false }
    for i in 0..<node.count where name[i] != node[i] { return false }
    for i in (node.count + 1)..<name.count where name[i] == 0x2D { return false }
    return true
  }

  // MARK: Connections

  private func auditConnections(cursor: [UInt8], _ done: @escaping (_ isComplete: Bool) -> Void) {
    let scanned: PendingReplies.Handler = { [weak self] reply in
      guard let self, let reply, reply.count == 2 else { return done(false) }
      let fields = reply[1]
      for i in stride(from: 0, to: fields.count - 1, by: 2) where !isHere(fields[i].copy, in: nil) {
        disconnect(MemberCodec.leaver(name: fields[i].copy, fields[i + 1].bytes))
      }
      let next = reply[0].copy
      if next == [0x30] { done(true) } else { auditConnections(cursor: next, done) }
    }
    commands.request(scanned) { [keys, node] in $0.connections(of: node, from: cursor, keys) }
  }
}
