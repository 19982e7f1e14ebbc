import LoopCore

/// Finds members that no sweep would find, and has them looked at.
///
/// A sweep finds a dead node by its lease and its members by its lists. When Redis has lost either and kept members, on
/// another master or because they came after a FLUSHALL, nobody would ever remove them. So after every loss of data one node
/// goes through all rooms, users and nodes, page by page, and writes into the lists what they lack. Whoever has members and
/// no lease gets one that has run out: the usual sweep does the rest. Whoever has a lease and was not listed may have
/// members of an earlier process with its id: it looks itself. Confined to the loop that created it.
final class Census {
  private let masters: Masters
  private let road: CommandRouter
  private let keys: RedisKeys
  private let node: [UInt8]
  private let loop: EventLoop
  /// Nodes with a lease, and nodes without, as far as this census has met them.
  private var living: Set<[UInt8]> = []
  private var dead: Set<[UInt8]> = []
  /// Nodes with a lease whose lists lacked something.
  private var unlisted: Set<[UInt8]> = []
  private(set) var isRunning = false
  private var beganAt: UInt64 = 0

  /// What came of a census.
  enum Outcome {
    /// Everything was looked at, by this node or, just now, by another. The dead must be swept, and the unlisted must
    /// look who of their members is here.
    case done(dead: Set<[UInt8]>, unlisted: Set<[UInt8]>)
    /// Another node is at it, or a master was out of reach: to be tried again.
    case postponed
    /// Redis does not let this node look, and says why.
    case refused(String)
  }

  init(loop: EventLoop, masters: Masters, road: CommandRouter, keys: RedisKeys, node: [UInt8]) {
    self.loop = loop
    self.masters = masters
    self.road = road
    self.keys = keys
    self.node = node
  }

  /// Goes through everything.
  ///
  /// - Parameter isShared: whether it will do if another node has just looked.
  func run(isShared: Bool, _ done: @escaping (Outcome) -> Void) {
    guard !isRunning else { return done(.postponed) }
    isRunning = true
    beganAt = loop.now
    (living, dead, unlisted) = ([node], [], [])
    let finish = { [weak self] (outcome: Outcome) in
      self?.isRunning = false
      done(outcome)
    }
    let shards = masters.shards.filter { $0.slotCount > 0 }[...]
    guard isShared else { return scan(shards, cursor: [0x30], finish) }
    claim { [weak self] standing in
      guard let self else { return }
      switch standing {
      case .mine: scan(shards, cursor: [0x30], finish)
      case .done: finish(.done(dead: [], unlisted: []))
      case .taken, nil: finish(.postponed)
      }
    }
  }

  // MARK: Who does it

  private enum Claim { case mine, taken, done }

  /// One node is enough. Whoever fails to claim waits until it reads that it is done, or that nobody is at it.
  private func claim(_ reply: @escaping (Claim?) -> Void) {
    let claimed: PendingReplies.Handler = { [weak self] answer in
      guard let self, let answer, !answer.isError else { return reply(nil) }
      if answer.kind == .status { return reply(.mine) }
      road.request({ reply($0.map { $0.begins(with: "done") ? .done : .taken }) }) { [keys] writer in
        writer.command(parts: 2)
        writer.bulk("GET")
        writer.bulk(keys.census)
      }
    }
    road.request(claimed) { [keys, node] writer in
      writer.command(parts: 6)
      writer.bulk("SET")
      writer.bulk(keys.census)
      writer.bulk(node)
      writer.bulk("NX")
      writer.bulk("PX")
      writer.bulk(RedisLimits.censusMilliseconds)
    }
  }

  /// Spares others the work for as long as it surely began after what made them ask for it.
  private func conclude() {
    let isRecent = loop.now < beganAt + UInt64(RedisLimits.censusFreshMilliseconds) * 1_000_000
    road.request({ _ in }) { [keys] writer in
      writer.command(parts: isRecent ? 5 : 2)
      writer.bulk(isRecent ? "SET" : "DEL")
      writer.bulk(keys.census)
      guard isRecent else { return }
      writer.bulk("done")
      writer.bulk("PX")
      writer.bulk(RedisLimits.returnMilliseconds - RedisLimits.censusFreshMilliseconds)
    }
  }

  // MARK: What there is

  /// Where members are written: in a room, or as connections of a user or of a node.
  private enum Place {
    case room([UInt8]), user([UInt8]), node([UInt8])
  }

  private func scan(_ left: ArraySlice<Shard>, cursor: [UInt8], _ finish: @escaping (Outcome) -> Void) {
    guard let shard = left.first else { return bury(finish) }
    let scanned: PendingReplies.Handler = { [weak self] reply in
      guard let self, let reply else { return finish(.postponed) }
      if reply.begins(with: "NOPERM") { return finish(.refused(reply.text)) }
      guard reply.count == 2 else { return finish(.postponed) }
      let next = reply[0].copy
      let found = reply[1]
      let places = (0..<found.count).compactMap { self.place(of: found[$0].copy) }
      look(at: places[...]) { [weak self] isComplete in
        guard let self, isComplete else { return finish(.postponed) }
        if next == [0x30] { scan(left.dropFirst(), cursor: next, finish) } else { scan(left, cursor: next, finish) }
      }
    }
    shard.commands.request(scanned) { [keys] writer in
      writer.command(parts: 6)
      writer.bulk("SCAN")
      writer.bulk(cursor)
      writer.bulk("MATCH")
      writer.bulk(keys.membersPattern)
      writer.bulk("COUNT")
      writer.bulk(RedisLimits.censusChunk)
    }
  }

  private func place(of key: [UInt8]) -> Place? {
    if let room = RedisKeys.name(in: key, after: keys.room, before: "}:members") { return .room(room) }
    if let user = RedisKeys.name(in: key, after: keys.user, before: "}:connections") { return .user(user) }
    let node = RedisKeys.name(in: key, after: keys.node, before: "}:connections")
    return (node ?? RedisKeys.name(in: key, after: keys.node, before: "}:rooms")).map { .node($0) }
  }

  /// Looks at places in their order, some at a time.
  private func look(at places: ArraySlice<Place>, _ done: @escaping (_ isComplete: Bool) -> Void) {
    let chunk = places.prefix(RedisLimits.sweepChunk)
    guard !chunk.isEmpty else { return done(true) }
    let all = Gathering(chunk.count) { [weak self] isComplete in
      guard let self, isComplete else { return done(false) }
      look(at: places.dropFirst(chunk.count), done)
    }
    for place in chunk { look(at: place, all.one) }
  }

  private func look(at place: Place, _ done: @escaping (Bool) -> Void) {
    switch place {
    case .node(let node): judge([node], done)
    case .room(let room): lookAt(room: room, done)
    case .user(let user): lookAt(user: user, done)
    }
  }

  /// Reads whose members are in a room, and puts it into the lists of those nodes, where their sweep looks.
  private func lookAt(room: [UInt8], _ done: @escaping (Bool) -> Void) {
    let read: PendingReplies.Handler = { [weak self] reply in
      guard let self, let reply else { return done(false) }
      guard reply.kind == .array else { return done(Census.isForeign(reply)) }
      let nodes = Set((0..<reply.count).compactMap { RedisKeys.node(ofConnection: reply[$0].copy) })
      judge(nodes) { [weak self] isComplete in
        guard let self, isComplete else { return done(false) }
        let all = Gathering(nodes.count, done)
        for node in nodes { list(room, of: node, all.one) }
      }
    }
    road.request(read) { [keys] writer in
      writer.command(parts: 2)
      writer.bulk("HKEYS")
      writer.bulk(keys.room, room, "}:members")
    }
  }

  /// Reads a user's connections, and puts them among those of their nodes, where a sweep looks.
  private func lookAt(user: [UInt8], _ done: @escaping (Bool) -> Void) {
    let read: PendingReplies.Handler = { [weak self] fields in
      guard let self, let fields else { return done(false) }
      guard fields.kind == .array else { return done(Census.isForeign(fields)) }
      let found = stride(from: 0, to: fields.count - 1, by: 2).compactMap { index in
        let name = fields[index].copy
        return RedisKeys.node(ofConnection: name).map { (node: $0, name: name, value: fields[index + 1].copy) }
      }
      judge(Set(found.map(\.node))) { [weak self] isComplete in
        guard let self, isComplete else { return done(false) }
        let all = Gathering(found.count, done)
        for entry in found { register(entry.name, entry.value, of: entry.node, all.one) }
      }
    }
    road.request(read) { [keys] writer in
      writer.command(parts: 2)
      writer.bulk("HGETALL")
      writer.bulk(keys.user, user, "}:connections")
    }
  }

  /// Whether a key is somebody else's, with another type than its name suggests.
  private static func isForeign(_ reply: Reply) -> Bool { reply.begins(with: "WRONGTYPE") }

  /// Finds out which of some nodes have a lease. Asked after their members were read: a node takes its lease before it has
  /// any.
  private func judge(_ nodes: Set<[UInt8]>, _ done: @escaping (_ isComplete: Bool) -> Void) {
    let unknown = nodes.subtracting(living).subtracting(dead)
    let all = Gathering(unknown.count, done)
    for node in unknown {
      let scored: PendingReplies.Handler = { [weak self] score in
        guard let self, let score, !score.isError else { return all.one(false) }
        if score.kind == .string { living.insert(node) } else { dead.insert(node) }
        all.one(true)
      }
      road.request(scored) { [keys] writer in
        writer.command(parts: 3)
        writer.bulk("ZSCORE")
        writer.bulk(keys.leases)
        writer.bulk(node)
      }
    }
  }

  // MARK: What is written

  private func list(_ room: [UInt8], of node: [UInt8], _ done: @escaping (Bool) -> Void) {
    road.request({ [weak self] reply in self?.noted(node, reply, done) }) { [keys] writer in
      writer.command(parts: 4)
      writer.bulk("ZADD")
      writer.bulk(keys.node, node, "}:rooms")
      writer.bulk(0)
      writer.bulk(room)
    }
  }

  private func register(_ name: [UInt8], _ value: [UInt8], of node: [UInt8], _ done: @escaping (Bool) -> Void) {
    road.request({ [weak self] reply in self?.noted(node, reply, done) }) { [keys] writer in
      writer.command(parts: 4)
      writer.bulk("HSETNX")
      writer.bulk(keys.node, node, "}:connections")
      writer.bulk(name)
      writer.bulk(value)
    }
  }

  /// Takes the number of entries that a list lacked.
  private func noted(_ node: [UInt8], _ reply: Reply?, _ done: (Bool) -> Void) {
    guard let reply, reply.kind == .integer else { return done(false) }
    if reply.integer > 0, living.contains(node) { unlisted.insert(node) }
    done(true)
  }

  /// Gives every dead node a lease that has run out, unless it has one after all.
  private func bury(_ finish: @escaping (Outcome) -> Void) {
    let all = Gathering(dead.count) { [weak self] isComplete in
      guard let self, isComplete else { return finish(.postponed) }
      conclude()
      finish(.done(dead: dead, unlisted: unlisted))
    }
    for node in dead {
      road.request({ all.one($0?.kind == .integer) }) { [keys] writer in
        writer.command(parts: 5)
        writer.bulk("ZADD")
        writer.bulk(keys.leases)
        writer.bulk("NX")
        writer.bulk(1)
        writer.bulk(node)
      }
    }
  }
}

@available(*, unavailable)
extension Census: Sendable {}
