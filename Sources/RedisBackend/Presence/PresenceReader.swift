import Realtime

/// Reads members and users of rooms, and connections of users.
final class PresenceReader {
  private let batch: PresenceBatch
  private let nodes: NodeStates
  private let context: BrokerContext

  init(_ context: BrokerContext, batch: PresenceBatch, nodes: NodeStates) {
    self.context = context
    self.batch = batch
    self.nodes = nodes
  }

  // MARK: Rooms

  func members(
    room: [UInt8], after cursor: MemberCursor?, limit: Int, _ reply: @escaping BrokerReply<MemberPage>
  ) {
    guard context.isAvailable else { return reply(.failure(.unavailable)) }
    let limit = max(1, min(limit, Limits.memberPageMax))
    let answer: ScriptRunner.Handler = { [weak self] answer in
      guard let self, let answer, answer.count == 6 else { return reply(.failure(BrokerError(answer))) }
      reply(.success(page(of: answer, limit: limit)))
    }
    context.scripts.run(.members, keys: 4, parts: 6, answer) { [keys = context.keys] writer in
      for end in ["}:order", "}:members", "}:users", "}:extras"] as [StaticString] {
        writer.bulk(keys.room, room, end)
      }
      writer.bulk(RoomOrder.lowerBound(after: cursor))
      // One more than a page tells whether there is a next.
      writer.bulk(limit + 1)
    }
  }

  /// Reads the reply of members.lua. Members of dead nodes are left out, so that a page may be short, or empty, in the middle
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
      if let member, name.isEmpty || !nodes.isDead(member.node) { page.members.append(member) }
    }
    page.members = nodes.withoutDuplicates(page.members)
    page.states = PresenceReader.states(answer[4], answer[5])
    if entries.count > limit, let (user, name) = RoomOrder.parts(of: entries[limit - 1].copy) {
      page.next = MemberCursor(user: user, connection: name)
    }
    return page
  }

  private static func states(_ users: Reply, _ states: Reply) -> [[UInt8]: [UInt8]] {
    var found: [[UInt8]: [UInt8]] = [:]
    for i in 0..<min(users.count, states.count) { found[users[i].copy] = states[i].copy }
    return found
  }

  /// The cursor is the one of HSCAN. The first page is read with the changes of the room in this tick's batch.
  func users(room: [UInt8], from cursor: [UInt8]?, _ reply: @escaping BrokerReply<UserPage>) {
    guard context.isAvailable else { return reply(.failure(.unavailable)) }
    let answer: ScriptRunner.Handler = { answer in
      guard let answer, answer.count == 2 else { return reply(.failure(BrokerError(answer))) }
      let (next, fields) = (answer[0].copy, answer[1])
      var page = UserPage(users: [], states: [:], next: next == [0x30] ? nil : next)
      for i in stride(from: 0, to: fields.count - 1, by: 2) {
        let (user, state) = (fields[i].copy, fields[i + 1].copy)
        page.users.append(user)
        if !state.isEmpty { page.states[user] = state }
      }
      reply(.success(page))
    }
    if cursor == nil, batch.readUsers(of: room, answer) { return }
    context.scripts.run(.users, keys: 2, parts: 4, answer) { [keys = context.keys] writer in
      writer.bulk(keys.room, room, "}:users")
      writer.bulk(keys.room, room, "}:extras")
      writer.bulk(cursor ?? [0x30])
      writer.bulk(RedisLimits.scanChunk)
    }
  }

  // MARK: Connections

  func connections(of user: [UInt8], _ reply: @escaping BrokerReply<[Member]>) {
    guard context.isAvailable else { return reply(.failure(.unavailable)) }
    let answer: PendingReplies.Handler = { [nodes, context] fields in
      guard let fields, fields.kind == .array else {
        let key = context.keys.user + user + Array("}:connections".utf8)
        return reply(.failure(context.wrongTypes.failure(of: fields, key)))
      }
      let members = stride(from: 0, to: fields.count - 1, by: 2).compactMap { i in
        MemberCodec.decode(name: fields[i].copy, fields[i + 1].bytes)
      }
      reply(.success(members.filter { !nodes.isDead($0.node) && !nodes.isLeaving($0.node) }))
    }
    context.commands.request(answer) { writer in
      writer.command(parts: 2)
      writer.bulk("HGETALL")
      writer.bulk(context.keys.user, user, "}:connections")
    }
  }

  func connection(named name: [UInt8], _ reply: @escaping BrokerReply<Member?>) {
    guard context.isAvailable else { return reply(.failure(.unavailable)) }
    guard let owner = RedisKeys.node(ofConnection: name), !nodes.isDead(owner), !nodes.isLeaving(owner) else {
      return reply(.success(nil))
    }
    let answer: PendingReplies.Handler = { [context] value in
      guard let value, !value.isError else {
        let key = context.keys.node + owner + Array("}:connections".utf8)
        return reply(.failure(context.wrongTypes.failure(of: value, key)))
      }
      reply(.success(value.kind == .string ? MemberCodec.decode(name: name, value.bytes) : nil))
    }
    context.commands.request(answer) { writer in
      writer.command(parts: 3)
      writer.bulk("HGET")
      writer.bulk(context.keys.node, owner, "}:connections")
      writer.bulk(name)
    }
  }
}

@available(*, unavailable)
extension PresenceReader: Sendable {}
