import Realtime

extension RedisBroker {
  public func members(
    room: [UInt8], after cursor: MemberCursor?, limit: Int, _ reply: @escaping BrokerReply<MemberPage>
  ) {
    guard isAvailable else { return reply(.failure(.unavailable)) }
    let limit = max(1, min(limit, Limits.memberPageMax))
    let answer: ScriptRunner.Handler = { [weak self] answer in
      guard let self, let answer, answer.count == 6 else { return reply(.failure(RedisBroker.failure(of: answer))) }
      reply(.success(page(of: answer, limit: limit)))
    }
    scripts.run(.members, keys: 4, parts: 6, answer) { [keys] writer in
      for end in ["}:order", "}:members", "}:users", "}:extras"] as [StaticString] {
        writer.bulk(keys.room, room, end)
      }
      writer.bulk(RoomOrder.lowerBound(after: cursor))
      // One more than a page tells whether there is a next.
      writer.bulk(limit + 1)
    }
  }

  /// Reads what members.lua answers. Members of dead nodes are left out, so that a page may be short, or empty, in the middle
  /// of a room.
  private func page(of answer: Reply, limit: Int) -> MemberPage {
    let (entries, values) = (answer[2], answer[3])
    var page = MemberPage(
      members: [], userCount: answer[0].integer, connectionCount: answer[1].integer, next: nil)
    page.members.reserveCapacity(min(limit, entries.count))
    for i in 0..<min(limit, entries.count, values.count) where values[i].kind == .string {
      guard let (_, name) = RoomOrder.parts(of: entries[i].copy) else { continue }
      let member =
        name.isEmpty ? MemberCodec.decodeAbsent(values[i].bytes) : MemberCodec.decode(name: name, values[i].bytes)
      if let member, name.isEmpty || !isDead(member.node) { page.members.append(member) }
    }
    page.members = withoutSeconds(page.members)
    page.states = RedisBroker.states(answer[4], answer[5])
    if entries.count > limit, let (user, name) = RoomOrder.parts(of: entries[limit - 1].copy) {
      page.next = MemberCursor(user: user, connection: name)
    }
    return page
  }

  /// Leaves out what a node has handed over of users who are back elsewhere: they are there once. It sees one page: a user
  /// whose connections two pages share may be there once on each.
  private func withoutSeconds(_ members: [Member]) -> [Member] {
    guard members.contains(where: { leavingNodes.contains($0.node) }) else { return members }
    let present = Set(members.lazy.filter { !self.leavingNodes.contains($0.node) }.map(\.user))
    return members.filter { !leavingNodes.contains($0.node) || !present.contains($0.user) }
  }

  private static func states(_ users: Reply, _ states: Reply) -> [[UInt8]: [UInt8]] {
    var found: [[UInt8]: [UInt8]] = [:]
    for i in 0..<min(users.count, states.count) { found[users[i].copy] = states[i].copy }
    return found
  }

  /// The cursor is the one of HSCAN. The first page is read with the changes of the room that this tick has gathered.
  public func users(room: [UInt8], from cursor: [UInt8]?, _ reply: @escaping BrokerReply<UserPage>) {
    guard isAvailable else { return reply(.failure(.unavailable)) }
    let answer: ScriptRunner.Handler = { answer in
      guard let answer, answer.count == 4 else { return reply(.failure(RedisBroker.failure(of: answer))) }
      let next = answer[0].copy
      let users = (0..<answer[1].count).map { answer[1][$0].copy }
      let states = RedisBroker.states(answer[2], answer[3])
      reply(.success(UserPage(users: users, states: states, next: next == [0x30] ? nil : next)))
    }
    if cursor == nil, presence.readUsers(of: room, answer) { return }
    scripts.run(.users, keys: 2, parts: 4, answer) { [keys] writer in
      writer.bulk(keys.room, room, "}:users")
      writer.bulk(keys.room, room, "}:extras")
      writer.bulk(cursor ?? [0x30])
      writer.bulk(RedisLimits.scanChunk)
    }
  }

  public func connections(of user: [UInt8], _ reply: @escaping BrokerReply<[Member]>) {
    readConnections(of: user) { [weak self] result in
      reply(result.map { members in members.filter { self?.leavingNodes.contains($0.node) != true } })
    }
  }

  private func readConnections(of user: [UInt8], _ reply: @escaping BrokerReply<[Member]>) {
    guard isAvailable else { return reply(.failure(.unavailable)) }
    let answer: PendingReplies.Handler = { [weak self, keys] fields in
      guard let self, let fields, fields.kind == .array else {
        return reply(
          .failure(self?.failure(of: fields, keys.user + user + Array("}:connections".utf8)) ?? .unavailable))
      }
      var members: [Member] = []
      for i in stride(from: 0, to: fields.count - 1, by: 2) {
        guard let member = MemberCodec.decode(name: fields[i].copy, fields[i + 1].bytes), !isDead(member.node)
        else { continue }
        members.append(member)
      }
      reply(.success(members))
    }
    commands.request(answer) { writer in
      writer.command(parts: 2)
      writer.bulk("HGETALL")
      writer.bulk(keys.user, user, "}:connections")
    }
  }

  public func connection(named name: [UInt8], _ reply: @escaping BrokerReply<Member?>) {
    guard isAvailable else { return reply(.failure(.unavailable)) }
    guard let owner = RedisKeys.node(ofConnection: name), !isDead(owner), !leavingNodes.contains(owner) else {
      return reply(.success(nil))
    }
    let answer: PendingReplies.Handler = { [weak self, keys] value in
      guard let value, !value.isError else {
        return reply(
          .failure(self?.failure(of: value, keys.node + owner + Array("}:connections".utf8)) ?? .unavailable))
      }
      reply(.success(value.kind == .string ? MemberCodec.decode(name: name, value.bytes) : nil))
    }
    commands.request(answer) { writer in
      writer.command(parts: 3)
      writer.bulk("HGET")
      writer.bulk(keys.node, owner, "}:connections")
      writer.bulk(name)
    }
  }

  public func nodes(_ reply: @escaping BrokerReply<[NodeEntry]>) {
    guard isAvailable else { return reply(.failure(.unavailable)) }
    let answer: ScriptRunner.Handler = { entries in
      guard let entries, entries.kind == .array else { return reply(.failure(RedisBroker.failure(of: entries))) }
      // Redis lists them by the end of their leases, which changes with every renewal.
      let nodes = stride(from: 0, to: entries.count - 1, by: 2)
        .map { NodeEntry(id: entries[$0].copy, report: entries[$0 + 1].copy) }
        .sorted { $0.id.lexicographicallyPrecedes($1.id) }
      reply(.success(nodes))
    }
    scripts.run(.liveNodes, keys: 2, parts: 3, answer) { [keys] writer in
      writer.bulk(keys.leases)
      writer.bulk(keys.leaving)
      writer.bulk(keys.report)
    }
  }

  public func rooms(
    prefix: [UInt8], after cursor: [UInt8]?, limit: Int, _ reply: @escaping BrokerReply<RoomListing>
  ) {
    nodes { [weak self] nodes in
      guard let self, let nodes = try? nodes.get() else { return reply(.failure(.unavailable)) }
      listRooms(nodes.map(\.id), RoomRange(prefix: prefix, cursor: cursor, limit: max(1, limit)), reply)
    }
  }

  /// Reads one page of every node's list and merges them. In a cluster what a master that is away holds is left out, and
  /// the listing says so.
  private func listRooms(
    _ nodes: [[UInt8]], _ range: RoomRange, isComplete: Bool = true, _ reply: @escaping BrokerReply<RoomListing>
  ) {
    var merge = RoomMerge(limit: range.limit)
    var left = nodes.count
    guard left > 0 else { return reply(.success(RoomListing(rooms: [], next: nil))) }
    for node in nodes {
      let answer: PendingReplies.Handler = { [weak self] names in
        left -= 1
        if let names, names.kind == .array {
          merge.add((0..<names.count).map { names[$0].copy })
        } else {
          merge.failures += 1
        }
        guard left == 0 else { return }
        guard let self, merge.failures == 0 || (masters.isSharded && merge.failures < nodes.count) else {
          return reply(.failure(.unavailable))
        }
        let (names, next) = merge.finish()
        countUsers(of: names) { counts in
          let isWhole = merge.failures == 0 && !counts.contains(nil)
          guard isWhole || self.masters.isSharded else { return reply(.failure(.unavailable)) }
          // A room stays in a node's list for a moment after its last member; a page of nothing else is passed over.
          let rooms = zip(names, counts).map { (name: $0.0, userCount: $0.1 ?? 0) }.filter { $0.userCount > 0 }
          let isComplete = isComplete && isWhole
          if rooms.isEmpty, let next {
            let rest = RoomRange(prefix: range.prefix, cursor: next, limit: range.limit)
            return self.listRooms(nodes, rest, isComplete: isComplete, reply)
          }
          reply(.success(RoomListing(rooms: rooms, next: next, isComplete: isComplete)))
        }
      }
      // One more than a page tells whether there is a next.
      commands.request(answer) { $0.rooms(of: node, in: range, limit: range.limit + 1, keys) }
    }
  }

  /// Reads the number of users of each room, pipelined; nil for those that could not be read.
  private func countUsers(of rooms: [[UInt8]], _ reply: @escaping ([Int?]) -> Void) {
    guard !rooms.isEmpty else { return reply([]) }
    var counts = [Int?](repeating: nil, count: rooms.count)
    var left = rooms.count
    for (index, room) in rooms.enumerated() {
      let answer: PendingReplies.Handler = { [weak self, keys] count in
        left -= 1
        // Several masters answer in any order.
        if let count, count.kind == .integer { counts[index] = count.integer }
        // What is no hash has no users, and must not hide the other rooms.
        if let self, self.failure(of: count, keys.room + room + Array("}:users".utf8)) == .refused { counts[index] = 0 }
        if left == 0 { reply(counts) }
      }
      commands.request(answer) { writer in
        writer.command(parts: 2)
        writer.bulk("HLEN")
        writer.bulk(keys.room, room, "}:users")
      }
    }
  }
}
