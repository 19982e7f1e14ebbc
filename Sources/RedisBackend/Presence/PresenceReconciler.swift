import Realtime

/// Compares what Redis holds of this node's members with the members that there are.
///
/// A replica that was promoted lacks the last commands that its master received, and a Redis that was restarted from a file
/// lacks more. Members whose joins are missing are asserted again; members whose leaves are missing are found here and removed.
final class PresenceReconciler {
  private var isRunning = false
  private let presence: PresenceWriter
  private let context: BrokerContext

  init(_ context: BrokerContext, presence: PresenceWriter) {
    self.context = context
    self.presence = presence
  }

  /// Whether Redis may hold members of this node that have left, in rooms that only the node's list names. A master that is
  /// away delays the lists of the others no longer than it is away.
  var isDue: Bool { isRunning || context.shards.current.contains { $0.failover.isReconciliationDue && $0.isServing } }

  /// Reconciles on every master.
  func reconcileAll() {
    for shard in context.shards.current { shard.failover.requireReconciliation() }
    reconcile()
  }

  /// Removes from Redis what it holds of this node that is not here, on the masters that were taken over. Works in chunks;
  /// what cannot be reached is reconciled with the next renewal.
  func reconcile() {
    guard !isRunning, !context.isStopping, context.isAvailable else { return }
    let shards = context.shards
    let affected = shards.current.filter { $0.isServing && $0.failover.takeReconciliation() }
    guard !affected.isEmpty else { return }
    isRunning = true
    let isAffected: (_ key: [UInt8]) -> Bool = { [shards] key in
      shards.shard(of: key).map { owner in affected.contains { $0 === owner } } ?? false
    }
    presence.repeatDepartures(where: isAffected)
    reconcileRooms(after: nil, where: isAffected) { [weak self] isComplete in
      guard let self else { return }
      isRunning = false
      if !isComplete { for shard in affected { shard.failover.requireReconciliation() } }
      // Rooms to be removed from the list have waited.
      if context.isAvailable { presence.replay() }
    }
  }

  // MARK: Rooms

  /// Goes through the node's list of rooms, which holds every room that had members of this node when the list was what
  /// the master knows.
  private func reconcileRooms(
    after cursor: [UInt8]?, where isAffected: @escaping ([UInt8]) -> Bool, _ done: @escaping (Bool) -> Void
  ) {
    let (keys, node) = (context.keys, context.node)
    let range = RoomRange(prefix: [], cursor: cursor, limit: RedisLimits.sweepChunk)
    let listed: PendingReplies.Handler = { [weak self] reply in
      guard let self, let reply, reply.kind == .array else { return done(false) }
      let rooms = (0..<reply.count).map { reply[$0].copy }
      reconcile(rooms.filter { isAffected(keys.roomChannel($0)) }) { [weak self] isComplete in
        guard let self, isComplete else { return done(false) }
        guard let last = rooms.last, rooms.count >= RedisLimits.sweepChunk else {
          return isAffected(keys.probeChannel(node)) ? reconcileConnections(cursor: [0x30], done) : done(true)
        }
        reconcileRooms(after: last, where: isAffected, done)
      }
    }
    context.commands.request(listed) { $0.rooms(of: node, in: range, limit: range.limit, keys) }
  }

  /// Reconciles rooms, pipelined. Answers once, when the last is done.
  private func reconcile(_ rooms: [[UInt8]], _ done: @escaping (_ isComplete: Bool) -> Void) {
    let all = WaitGroup(rooms.count, done)
    for room in rooms { reconcile(room, cursor: [0x30], all.one) }
  }

  /// Goes through a room's members in chunks, and removes those of this node that are not here.
  private func reconcile(_ room: [UInt8], cursor: [UInt8], _ done: @escaping (Bool) -> Void) {
    let scanned: PendingReplies.Handler = { [weak self] reply in
      guard let self, let reply, reply.count == 2 else { return done(false) }
      let fields = reply[1]
      for i in stride(from: 0, to: fields.count - 1, by: 2) where self.isOwn(fields[i].bytes) {
        let name = fields[i].copy
        if !context.isHere(name, in: room) {
          presence.leave(room: room, MemberCodec.leaver(name: name, fields[i + 1].bytes))
        }
      }
      let next = reply[0].copy
      guard next == [0x30] else { return reconcile(room, cursor: next, done) }
      presence.reconciled(room)
      done(true)
    }
    context.commands.request(scanned) { [keys = context.keys] in $0.members(of: room, from: cursor, keys) }
  }

  /// Whether a connection's name is one that this node gives.
  private func isOwn(_ name: Span<UInt8>) -> Bool {
    let node = context.node
    guard name.count > node.count + 1, name[node.count] == UInt8(ascii: "-") else { return false }
    for i in 0..<node.count where name[i] != node[i] { return false }
    for i in (node.count + 1)..<name.count where name[i] == UInt8(ascii: "-") { return false }
    return true
  }

  // MARK: Connections

  private func reconcileConnections(cursor: [UInt8], _ done: @escaping (_ isComplete: Bool) -> Void) {
    let scanned: PendingReplies.Handler = { [weak self] reply in
      guard let self, let reply, reply.count == 2 else { return done(false) }
      let fields = reply[1]
      for i in stride(from: 0, to: fields.count - 1, by: 2) where !context.isHere(fields[i].copy, in: nil) {
        presence.disconnect(MemberCodec.leaver(name: fields[i].copy, fields[i + 1].bytes))
      }
      let next = reply[0].copy
      if next == [0x30] { done(true) } else { reconcileConnections(cursor: next, done) }
    }
    context.commands.request(scanned) { [keys = context.keys, node = context.node] in
      $0.connections(of: node, from: cursor, keys)
    }
  }
}

@available(*, unavailable)
extension PresenceReconciler: Sendable {}
