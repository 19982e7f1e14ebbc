import LoopCore
import Realtime

/// Removes what a dead node left: its members from every room, its connections from every user.
///
/// Every step may be repeated and may run on several nodes at once; the lease is removed last, so that a sweep that
/// broke off is continued by the next node that reads the lease. Works in chunks, each of them short for Redis.
final class Sweeper {
  private let router: CommandRouter
  private let scripts: ScriptRunner
  private let keys: RedisKeys
  /// The node that sweeps.
  private let node: [UInt8]
  /// The nodes being swept, and when each was claimed last, in nanoseconds.
  private var claims: [[UInt8]: UInt64] = [:]
  /// The error with which Redis refused a step of a sweep; nil: it never did.
  private(set) var refusal: String?
  /// Called when a dead node has been swept completely.
  var swept: (_ node: [UInt8]) -> Void = { _ in }
  /// Called when users have got a grace: no node of the room may be left to end it.
  var graceBegan: (_ room: [UInt8], _ milliseconds: Int) -> Void = { _, _ in }

  private let loop: EventLoop
  private let events: RoomEventRecorder
  /// How long a user of a room may be away before it has left.
  private let graceMilliseconds: (_ room: [UInt8]) -> Int
  /// The process that gives its node's id up with the sweep of itself; empty: none does.
  private var released: [UInt8] = []

  init(
    loop: EventLoop, router: CommandRouter, scripts: ScriptRunner, keys: RedisKeys, node: [UInt8],
    graceMilliseconds: @escaping (_ room: [UInt8]) -> Int, events: RoomEventRecorder
  ) {
    self.events = events
    self.loop = loop
    self.graceMilliseconds = graceMilliseconds
    self.router = router
    self.scripts = scripts
    self.keys = keys
    self.node = node
  }

  /// Sweeps a node whose lease has expired, unless another node does.
  func sweep(dead node: [UInt8]) {
    guard claims[node] == nil else { return }
    claim(node, isFirst: true) { [weak self] isClaimed in
      guard let self, isClaimed else {
        self?.claims[node] = nil
        return
      }
      sweepRooms(of: node, isOwn: false) { [weak self] isComplete in
        self?.claims[node] = nil
        if isComplete { self?.swept(node) }
      }
    }
  }

  /// Claims a node, or claims it again. Answers false when it must not be swept, or not any more.
  private func claim(_ node: [UInt8], isFirst: Bool, _ done: @escaping (_ isClaimed: Bool) -> Void) {
    // The claim is as old as the question: its answer may have been long on its way.
    claims[node] = loop.now
    scripts.run(.sweepBegin, keys: 2, parts: 5, { done($0?.integer == 1) }) { [keys] writer in
      writer.bulk(keys.leases)
      writer.bulk(keys.swept)
      writer.bulk(node)
      writer.bulk(RedisLimits.claimMilliseconds)
      writer.bulk(!isFirst)
    }
  }

  /// Goes on under the claim there is, or under a new one. A sweep of this node itself needs none.
  private func whileClaimed(_ node: [UInt8], _ body: @escaping (_ isClaimed: Bool) -> Void) {
    if isClaimFresh(node) { body(true) } else { claim(node, isFirst: false, body) }
  }

  /// Whether steps of a sweep may be sent: a dead node may be back by now, and may have asserted what they would remove.
  private func isClaimFresh(_ node: [UInt8]) -> Bool {
    guard let claimedAt = claims[node] else { return true }
    return loop.now < claimedAt + UInt64(RedisLimits.claimTrustMilliseconds) * 1_000_000
  }

  /// Takes back the presence and the lease of this node itself, or of an earlier process with its id.
  ///
  /// - Parameter process: gives the node's id up, for another process to take; empty: the id is kept.
  func sweep(own node: [UInt8], releasing process: [UInt8] = [], _ done: @escaping (_ isComplete: Bool) -> Void) {
    released = process
    sweepRooms(of: node, isOwn: true, done)
  }

  /// Sweeps chunk by chunk. Rooms that could not be swept stay in the list, are passed over, and make the sweep incomplete:
  /// with several masters one may be away.
  private func sweepRooms(of node: [UInt8], isOwn: Bool, passedOver: Int = 0, _ done: @escaping (Bool) -> Void) {
    let listed: PendingReplies.Handler = { [weak self] reply in
      guard let self, let reply, accept(reply, "ZRANGE") else { return done(false) }
      guard reply.count > 0 else {
        guard passedOver == 0 else { return done(false) }
        return sweepConnections(of: node, cursor: [0x30], isOwn, done)
      }
      let rooms = (0..<reply.count).map { reply[$0].copy }
      whileClaimed(node) { [weak self] isClaimed in
        guard let self, isClaimed else { return done(false) }
        sweep(node, from: rooms) { [weak self] swept in
          guard let self else { return done(false) }
          if !swept.isEmpty { forget(rooms: swept, of: node) }
          sweepRooms(of: node, isOwn: isOwn, passedOver: passedOver + rooms.count - swept.count, done)
        }
      }
    }
    router.request(listed) { writer in
      writer.command(parts: 4)
      writer.bulk("ZRANGE")
      writer.bulk(keys.node, node, "}:rooms")
      writer.bulk(passedOver)
      writer.bulk(passedOver + RedisLimits.sweepChunk - 1)
    }
  }

  /// Whether a reply is not an error.
  private func accept(_ reply: Reply, _ command: String) -> Bool {
    if reply.isError { refusal = RedisLink.refusal(of: command, reply) }
    return !reply.isError
  }

  private func forget(rooms: [[UInt8]], of node: [UInt8]) {
    router.request({ _ in }) { writer in
      writer.command(parts: 2 + rooms.count)
      writer.bulk("ZREM")
      writer.bulk(keys.node, node, "}:rooms")
      for room in rooms { writer.bulk(room) }
    }
  }

  /// Removes the node's members from all the rooms, pipelined. Answers once, when the last room is done, with those that
  /// could be swept.
  private func sweep(_ node: [UInt8], from rooms: [[UInt8]], _ done: @escaping ([[UInt8]]) -> Void) {
    var left = rooms.count
    var swept: [[UInt8]] = []
    for room in rooms {
      sweep(node, from: room, cursor: [0x30]) { isDone in
        left -= 1
        if isDone { swept.append(room) }
        if left == 0 { done(swept) }
      }
    }
  }

  private func sweep(_ node: [UInt8], from room: [UInt8], cursor: [UInt8], _ done: @escaping (Bool) -> Void) {
    let found: ScriptRunner.Handler = { [weak self] reply in
      // A key that is not a hash has no members, and must not keep the node from being swept.
      if reply?.isWrongType == true { return done(true) }
      guard let self, let reply, reply.count % 2 == 1 else { return done(false) }
      let next = reply[0].copy
      // What cannot be read has no user, and goes all the same.
      let members = stride(from: 1, to: reply.count, by: 2)
        .map { (name: reply[$0].copy, user: MemberCodec.user(of: reply[$0 + 1].bytes) ?? []) }
      whileClaimed(node) { [weak self] isClaimed in
        guard let self, isClaimed else { return done(false) }
        remove(members, from: room) { [weak self] isDone in
          guard let self, isDone else { return done(false) }
          guard next != [0x30] else {
            // What the node had recorded when it died.
            return events.moveAll(of: room, done)
          }
          sweep(node, from: room, cursor: next, done)
        }
      }
    }
    scripts.run(.sweepFind, keys: 1, parts: 4, found) { [keys] writer in
      writer.bulk(keys.room, room, "}:members")
      writer.bulk(node)
      writer.bulk(cursor)
      writer.bulk(RedisLimits.sweepChunk)
    }
  }

  /// Removes members that were found, in chunks: a small hash is found at once, whatever the chunk.
  private func remove(
    _ members: [(name: [UInt8], user: [UInt8])], from room: [UInt8], _ done: @escaping (Bool) -> Void
  ) {
    let chunk = Array(members.prefix(RedisLimits.sweepChunk))
    guard !chunk.isEmpty else { return done(true) }
    let grace = graceMilliseconds(room)
    let leaves = chunk.map { PresenceOperation.leave(name: $0.name, user: $0.user, graceMilliseconds: grace) }
    scripts.change(room, leaves, keys, events, masterTag: router.masterTag(of: keys.roomChannel(room))) {
      [weak self] isDone in
      guard let self, isDone else { return done(false) }
      if grace > 0 { graceBegan(room, grace) }
      remove(Array(members.dropFirst(chunk.count)), from: room, done)
    }
  }

  private func sweepConnections(
    of node: [UInt8], cursor: [UInt8], _ isOwn: Bool, wasComplete: Bool = true, _ done: @escaping (Bool) -> Void
  ) {
    let scanned: PendingReplies.Handler = { [weak self] reply in
      guard let self, let reply, accept(reply, "HSCAN"), reply.count == 2 else { return done(false) }
      let next = reply[0].copy
      guard isClaimFresh(node) else { return done(false) }
      delete(reply[1], of: node) { [weak self] isComplete in
        guard let self else { return done(false) }
        let isComplete = isComplete && wasComplete
        guard next == [0x30] else {
          return sweepConnections(of: node, cursor: next, isOwn, wasComplete: isComplete, done)
        }
        if isComplete { finish(node, isOwn, done) } else { done(false) }
      }
    }
    router.request(scanned) { $0.connections(of: node, from: cursor, keys) }
  }

  /// Deletes connections, names and members in turn: from their users first, and from the node once that has worked.
  private func delete(_ fields: Reply, of node: [UInt8], _ done: @escaping (Bool) -> Void) {
    let all = WaitGroup(fields.count / 2, done)
    for i in stride(from: 0, to: fields.count - 1, by: 2) {
      let name = fields[i].copy
      let finish = { [weak self] (isDeleted: Bool) in
        if isDeleted, let self { delete(name, from: keys.node, node) { _ in } }
        all.one(isDeleted)
      }
      if let user = MemberCodec.user(of: fields[i + 1].bytes) {
        delete(name, from: keys.user, user, finish)
      } else {
        finish(true)
      }
    }
  }

  private func delete(
    _ name: [UInt8], from prefix: [UInt8], _ owner: [UInt8], _ done: @escaping (_ isDeleted: Bool) -> Void
  ) {
    router.request({ done($0?.kind == .integer) }) { writer in
      writer.command(parts: 3)
      writer.bulk("HDEL")
      writer.bulk(prefix, owner, "}:connections")
      writer.bulk(name)
    }
  }

  private func finish(_ node: [UInt8], _ isOwn: Bool, _ done: @escaping (Bool) -> Void) {
    let ended: ScriptRunner.Handler = { [weak self] reply in
      guard let self, reply != nil, !isOwn else { return done(reply != nil) }
      lookOnceMore(at: node, done)
    }
    scripts.run(.sweepEnd, keys: 5, parts: 8, ended) { [keys, released] writer in
      writer.bulk(keys.leases)
      writer.bulk(keys.report, node, "")
      writer.bulk(keys.swept)
      writer.bulk(keys.leaving)
      writer.bulk(keys.owner, node, "")
      writer.bulk(node)
      writer.bulk(isOwn)
      writer.bulk(isOwn ? released : [])
    }
  }

  /// Has a node swept once more whose lists are not empty though it has no lease. A scan may have written into them after they
  /// were read, while the lease was still there: it took the node for one that would reconcile itself.
  private func lookOnceMore(at dead: [UInt8], _ done: @escaping (Bool) -> Void) {
    let counted: PendingReplies.Handler = { [weak self] reply in
      guard let self, let reply, reply.kind == .integer else { return done(false) }
      guard reply.integer > 0 else { return done(true) }
      scripts.run(.expireOrphanLeases, keys: 1, parts: 3, { _ in done(false) }) { [keys, node] writer in
        writer.bulk(keys.leases)
        writer.bulk(node)
        writer.bulk(dead)
      }
    }
    router.request(counted) { writer in
      writer.command(parts: 3)
      writer.bulk("EXISTS")
      writer.bulk(keys.node, dead, "}:rooms")
      writer.bulk(keys.node, dead, "}:connections")
    }
  }
}
