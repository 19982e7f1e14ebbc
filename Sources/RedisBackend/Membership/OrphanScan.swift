/// Finds members that no sweep would find, and has them swept or reconciled.
///
/// A sweep finds a dead node by its lease and its members by its lists. When Redis has lost either and kept members, on
/// another master or because they came after a FLUSHALL, they would never be removed. So after every loss of data one node
/// goes through all rooms, users and nodes, page by page, and writes into the lists what they lack. A node that has members and
/// no lease gets an expired one: the usual sweep does the rest. A node that has a lease and whose lists lacked something may
/// have members of an earlier process with its id: it reconciles them itself. Confined to the loop of its broker.
final class OrphanScan {
  /// The result of a scan.
  enum Outcome {
    /// Everything was scanned, by this node or, since the loss, by another. The dead must be swept, and the unlisted must
    /// reconcile: all but this node itself were asked to.
    case done(dead: Set<[UInt8]>, unlisted: Set<[UInt8]>)
    /// Another node is scanning, a master was out of reach, or more was lost meanwhile: to be tried again.
    case postponed
    /// Redis refused: its error, and what to do about it.
    case refused(String)
  }

  private let shards: ShardMap
  let router: CommandRouter
  private let scripts: ScriptRunner
  let keys: RedisKeys
  private let node: [UInt8]
  private(set) var isRunning = false
  /// Nodes with a lease, and nodes without, as far as this scan has met them.
  private(set) var living: Set<[UInt8]> = []
  private var dead: Set<[UInt8]> = []
  /// Nodes whose lists this node has written something into, or may have; kept until they were asked to reconcile, or
  /// have a lease that ends.
  var unlisted: Set<[UInt8]> = []
  /// What Redis refused, in its words.
  private var refusal: String?
  /// Which slots were where at the beginning.
  private var generation = 0
  private var canTrustLeases: () -> Bool = { false }
  private var finish: (Outcome) -> Void = { _ in }

  init(shards: ShardMap, router: CommandRouter, scripts: ScriptRunner, keys: RedisKeys, node: [UInt8]) {
    self.shards = shards
    self.router = router
    self.scripts = scripts
    self.keys = keys
    self.node = node
  }

  /// Goes through everything, unless another node does, or has since the loss.
  ///
  /// - Parameters:
  ///   - age: how long ago the loss was noticed.
  ///   - canTrustLeases: asked in the end whether leases still tell which nodes live.
  func run(lossMillisecondsAgo age: Int, canTrustLeases: @escaping () -> Bool, _ done: @escaping (Outcome) -> Void) {
    isRunning = true
    (living, dead, refusal) = ([node], [], nil)
    generation = shards.generation
    self.canTrustLeases = canTrustLeases
    finish = { [weak self] outcome in
      guard let self, isRunning else { return }
      isRunning = false
      (finish, self.canTrustLeases) = ({ _ in }, { false })
      done(outcome)
    }
    reportProgress("begin", age: age) { [weak self] answer in
      guard let self else { return }
      switch answer {
      case 1: scan(shards.current.filter { $0.slotCount > 0 }[...], cursor: [0x30])
      // Another node has scanned. An earlier attempt of this one may have written lists after the other looked at them: those
      // nodes are asked to reconcile, or swept.
      case 0: judgeAgain()
      default: finish(.postponed)
      }
    }
  }

  /// Reports the progress of this node. Answers whether it may scan.
  private func reportProgress(_ stage: StaticString, age: Int = 0, _ done: @escaping (Int?) -> Void) {
    scripts.run(.orphanScan, keys: 1, parts: 5, { done($0?.integer) }) { [keys, node] writer in
      writer.bulk(keys.orphanScan)
      writer.bulk(node)
      writer.bulk(stage)
      writer.bulk(age)
      writer.bulk(RedisLimits.orphanScanMilliseconds)
    }
  }

  /// Stops: for good when Redis refused something.
  private func breakOff() {
    finish(refusal.map { .refused("\($0); grant the ACL user what docs/redis.md lists") } ?? .postponed)
  }

  /// Uses an answer if it is good. A key of another program, with another type than its name suggests, holds no members: it is
  /// skipped.
  func accept(_ reply: Reply?, _ done: (Bool) -> Void, _ use: (Reply) -> Void) {
    guard let reply else { return done(false) }
    guard reply.isError else { return use(reply) }
    if reply.begins(with: "WRONGTYPE") { return done(true) }
    for sort in ["NOPERM", "ERR", "OOM"] as [StaticString] where reply.begins(with: sort) { refusal = reply.text }
    done(false)
  }

  // MARK: What there is

  /// Where members are written: in a room, or as connections of a user or of a node.
  private enum Place {
    case room([UInt8]), user([UInt8]), node([UInt8])
  }

  private func scan(_ left: ArraySlice<Shard>, cursor: [UInt8]) {
    guard let shard = left.first else { return judgeAgain() }
    let scanned: PendingReplies.Handler = { [weak self] reply in
      self?.accept(reply, { _ in self?.breakOff() }) { reply in self?.look(at: reply, of: left) }
    }
    reportProgress("page") { _ in }
    shard.commands.request(scanned) { [keys] writer in
      writer.command(parts: 6)
      writer.bulk("SCAN")
      writer.bulk(cursor)
      writer.bulk("MATCH")
      writer.bulk(keys.membersPattern)
      writer.bulk("COUNT")
      writer.bulk(RedisLimits.orphanScanChunk)
    }
  }

  private func look(at page: Reply, of left: ArraySlice<Shard>) {
    guard page.count == 2 else { return breakOff() }
    let (next, found) = (page[0].copy, page[1])
    let places = (0..<found.count).compactMap { self.place(of: found[$0].copy) }
    inTurn(places[...], { [weak self] in self?.look(at: $0, $1) }) { [weak self] isComplete in
      guard let self, isComplete else { self?.breakOff(); return }
      if next == [0x30] { scan(left.dropFirst(), cursor: next) } else { scan(left, cursor: next) }
    }
  }

  private func place(of key: [UInt8]) -> Place? {
    if let room = RedisKeys.name(in: key, after: keys.room, before: "}:members") { return .room(room) }
    if let user = RedisKeys.name(in: key, after: keys.user, before: "}:connections") { return .user(user) }
    let node = RedisKeys.name(in: key, after: keys.node, before: "}:connections")
    return (node ?? RedisKeys.name(in: key, after: keys.node, before: "}:rooms")).map { .node($0) }
  }

  /// Does something with each of many things, a chunk at a time. Answers once, whether all of it was done.
  private func inTurn<Thing>(
    _ things: ArraySlice<Thing>, _ body: @escaping (Thing, _ done: @escaping (Bool) -> Void) -> Void,
    _ done: @escaping (_ isComplete: Bool) -> Void
  ) {
    let chunk = things.prefix(RedisLimits.sweepChunk)
    guard !chunk.isEmpty else { return done(true) }
    let all = WaitGroup(chunk.count) { [weak self] isComplete in
      guard let self, isComplete else { return done(false) }
      inTurn(things.dropFirst(chunk.count), body, done)
    }
    for thing in chunk { body(thing, all.one) }
  }

  private func look(at place: Place, _ done: @escaping (Bool) -> Void) {
    switch place {
    case .node(let node): judge([node], done)
    case .room(let room): lookAt(room: room, done)
    case .user(let user): lookAt(user: user, done)
    }
  }

  /// Reads whose members are in a room, chunk by chunk, and puts it into the lists of those nodes, where their sweep looks.
  private func lookAt(room: [UInt8], cursor: [UInt8] = [0x30], _ done: @escaping (Bool) -> Void) {
    let scanned: PendingReplies.Handler = { [weak self] reply in
      self?.accept(reply, done) { reply in
        guard reply.count == 2 else { return done(false) }
        let (next, fields) = (reply[0].copy, reply[1])
        let names = stride(from: 0, to: fields.count, by: 2).lazy.map { fields[$0].copy }
        let nodes = Set(names.compactMap { RedisKeys.node(ofConnection: $0) })
        self?.judge(nodes) { [weak self] isComplete in
          guard let self, isComplete else { return done(false) }
          inTurn(Array(nodes)[...], { [weak self] node, done in self?.list(room, of: node, done) }) {
            [weak self] isComplete in
            guard let self, isComplete, next != [0x30] else { return done(isComplete) }
            lookAt(room: room, cursor: next, done)
          }
        }
      }
    }
    router.request(scanned) { [keys] in $0.members(of: room, from: cursor, keys) }
  }

  /// Reads a user's connections, and puts them among those of their nodes, where a sweep looks.
  private func lookAt(user: [UInt8], _ done: @escaping (Bool) -> Void) {
    let read: PendingReplies.Handler = { [weak self] reply in
      self?.accept(reply, done) { fields in
        let found = stride(from: 0, to: fields.count - 1, by: 2).compactMap { index in
          let name = fields[index].copy
          return RedisKeys.node(ofConnection: name).map { (node: $0, name: name, value: fields[index + 1].copy) }
        }
        self?.judge(Set(found.map(\.node))) { [weak self] isComplete in
          guard let self, isComplete else { return done(false) }
          inTurn(
            found[...], { [weak self] entry, done in self?.register(entry.name, entry.value, of: entry.node, done) },
            done)
        }
      }
    }
    router.request(read) { writer in
      writer.command(parts: 2)
      writer.bulk("HGETALL")
      writer.bulk(keys.user, user, "}:connections")
    }
  }

  /// Reads which of some nodes have a lease. Called after their members were read: a node takes its lease before it has any.
  private func judge(_ nodes: Set<[UInt8]>, _ done: @escaping (_ isComplete: Bool) -> Void) {
    let unknown = nodes.subtracting(living).subtracting(dead)
    inTurn(
      Array(unknown)[...],
      { [weak self] node, done in
        let scored: PendingReplies.Handler = { [weak self] reply in
          self?.accept(reply, done) { score in
            if score.kind == .string { self?.living.insert(node) } else { self?.dead.insert(node) }
            done(true)
          }
        }
        self?.router.request(scored) { writer in
          writer.command(parts: 3)
          writer.bulk("ZSCORE")
          writer.bulk(self?.keys.leases ?? [])
          writer.bulk(node)
        }
      }, done)
  }

  // MARK: The end

  /// Asks once more for the leases of nodes whose lists lacked something: one may have ended meanwhile, with a sweep that read
  /// the lists before they were written.
  private func judgeAgain() {
    let written = unlisted.subtracting([node])
    living.subtract(written)
    judge(written) { [weak self] isComplete in
      guard let self, isComplete else { self?.breakOff(); return }
      expireOrphanLeases()
    }
  }

  /// Has the dead swept, and the unlisted asked to reconcile, if leases still tell which nodes live and no slot has moved to a
  /// master that was scanned before.
  private func expireOrphanLeases() {
    guard canTrustLeases(), shards.generation == generation else { return finish(.postponed) }
    let buried: ScriptRunner.Handler = { [weak self] reply in
      guard let self, reply?.integer == 1 else { self?.finish(.postponed); return }
      unlisted.subtract(dead)
      requestResyncs()
    }
    scripts.run(.expireOrphanLeases, keys: 1, parts: 2 + dead.count, buried) { [keys, node, dead] writer in
      writer.bulk(keys.leases)
      writer.bulk(node)
      for node in dead { writer.bulk(node) }
    }
  }

  private func requestResyncs() {
    inTurn(
      Array(unlisted.subtracting([node]))[...],
      { [weak self] other, done in
        guard let self else { return }
        scripts.run(.requestResync, keys: 1, parts: 2, { done($0 != nil) }) { [keys] writer in
          writer.bulk(keys.swept)
          writer.bulk(other)
        }
      }
    ) { [weak self] isComplete in
      guard let self, isComplete else { self?.finish(.postponed); return }
      reportProgress("end") { _ in }
      let asked = unlisted
      unlisted = []
      finish(.done(dead: dead, unlisted: asked))
    }
  }
}

@available(*, unavailable)
extension OrphanScan: Sendable {}
