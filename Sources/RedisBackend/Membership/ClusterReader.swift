import Realtime

/// Lists the live nodes, and the rooms with members on them.
final class ClusterReader {
  private let context: BrokerContext

  init(_ context: BrokerContext) { self.context = context }

  func nodes(_ reply: @escaping BrokerReply<[NodeEntry]>) {
    guard context.isAvailable else { return reply(.failure(.unavailable)) }
    let answer: ScriptRunner.Handler = { entries in
      guard let entries, entries.kind == .array else { return reply(.failure(BrokerError(entries))) }
      // Redis lists them by the end of their leases, which changes with every renewal.
      let nodes = stride(from: 0, to: entries.count - 1, by: 2)
        .map { NodeEntry(id: entries[$0].copy, report: entries[$0 + 1].copy) }
        .sorted { $0.id.lexicographicallyPrecedes($1.id) }
      reply(.success(nodes))
    }
    context.scripts.runLiveNodes(context.keys, answer)
  }

  func rooms(
    prefix: [UInt8], after cursor: [UInt8]?, limit: Int, _ reply: @escaping BrokerReply<RoomListing>
  ) {
    nodes { [weak self] nodes in
      guard let self, let nodes = try? nodes.get() else { return reply(.failure(.unavailable)) }
      listRooms(nodes.map(\.id), RoomRange(prefix: prefix, cursor: cursor, limit: max(1, limit)), reply)
    }
  }

  /// Reads one page of every node's list and merges them. In a cluster what is on a master that is away is left out, and
  /// the listing says so.
  private func listRooms(
    _ nodes: [[UInt8]], _ range: RoomRange, isComplete: Bool = true, _ reply: @escaping BrokerReply<RoomListing>
  ) {
    guard !nodes.isEmpty else { return reply(.success(RoomListing(rooms: [], next: nil))) }
    var merge = RoomMerge(limit: range.limit)
    let isSharded = context.shards.isSharded
    let all = WaitGroup(nodes.count) { [weak self] _ in
      guard let self, merge.failures == 0 || (isSharded && merge.failures < nodes.count) else {
        return reply(.failure(.unavailable))
      }
      let (names, next) = merge.finish()
      let hasFailures = merge.failures > 0
      countUsers(of: names) { [weak self] counts in
        let isWhole = !hasFailures && !counts.contains(nil)
        guard let self, isWhole || isSharded else { return reply(.failure(.unavailable)) }
        // A room stays in a node's list for a moment after its last member; a page of nothing else is passed over.
        let rooms = zip(names, counts).map { (name: $0.0, userCount: $0.1 ?? 0) }.filter { $0.userCount > 0 }
        let isComplete = isComplete && isWhole
        if rooms.isEmpty, let next {
          let rest = RoomRange(prefix: range.prefix, cursor: next, limit: range.limit)
          return listRooms(nodes, rest, isComplete: isComplete, reply)
        }
        reply(.success(RoomListing(rooms: rooms, next: next, isComplete: isComplete)))
      }
    }
    for node in nodes {
      let answer: PendingReplies.Handler = { names in
        if let names, names.kind == .array {
          merge.add((0..<names.count).map { names[$0].copy })
        } else {
          merge.failures += 1
        }
        all.one(true)
      }
      // One more than a page tells whether there is a next.
      context.commands.request(answer) { [keys = context.keys] in
        $0.rooms(of: node, in: range, limit: range.limit + 1, keys)
      }
    }
  }

  /// Reads the number of users of each room, pipelined; nil for those that could not be read.
  private func countUsers(of rooms: [[UInt8]], _ reply: @escaping ([Int?]) -> Void) {
    var counts = [Int?](repeating: nil, count: rooms.count)
    let all = WaitGroup(rooms.count) { _ in reply(counts) }
    for (index, room) in rooms.enumerated() {
      let answer: PendingReplies.Handler = { [context] count in
        // Several masters answer in any order.
        if let count, count.kind == .integer { counts[index] = count.integer }
        // What is no hash has no users, and must not hide the other rooms.
        let key = context.keys.room + room + Array("}:users".utf8)
        if context.wrongTypes.failure(of: count, key) == .refused { counts[index] = 0 }
        all.one(true)
      }
      context.commands.request(answer) { writer in
        writer.command(parts: 2)
        writer.bulk("HLEN")
        writer.bulk(context.keys.room, room, "}:users")
      }
    }
  }
}

extension ScriptRunner {
  /// Lists the nodes with a lease, and their reports.
  func runLiveNodes(_ keys: RedisKeys, _ answer: @escaping Handler) {
    run(.liveNodes, keys: 2, parts: 3, answer) { writer in
      writer.bulk(keys.leases)
      writer.bulk(keys.leaving)
      writer.bulk(keys.report)
    }
  }
}

@available(*, unavailable)
extension ClusterReader: Sendable {}
