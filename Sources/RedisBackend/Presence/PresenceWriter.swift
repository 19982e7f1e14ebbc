import ClientProtocol
import Realtime

/// Writes this node's presence into Redis: members of rooms, registered connections, and the node's list of rooms. Keeps
/// what happens while Redis is away until it is back.
final class PresenceWriter {
  /// Whether rooms may hold members that have left, so that they must stay in the node's list.
  var isReconciliationDue: () -> Bool = { false }
  /// Whether Redis may know less of this node's presence than there is: another master has taken over, or a join that was not
  /// answered is being undone.
  private(set) var mustReassert = false

  private let batch: PresenceBatch
  private let messages: PublishBatch
  private let epochs: RoomEpochs
  private let connections: ConnectionRegistry
  private var offline = OfflineQueue()
  private var tombstones = Tombstones()
  private var pendingJoins = PendingJoins()
  /// Rooms that are known to be in the node's list of rooms.
  private var listedRooms: Set<[UInt8]> = []
  private let context: BrokerContext

  /// Leaves that wait to be tried again.
  private var refusedLeaves = 0

  init(_ context: BrokerContext, batch: PresenceBatch, messages: PublishBatch, epochs: RoomEpochs) {
    self.context = context
    self.batch = batch
    self.messages = messages
    self.epochs = epochs
    connections = ConnectionRegistry(context)
    connections.failed = { [weak self] in self?.remember($0) }
    batch.listFailed = { [weak self] in self?.listFailed($0, isListed: $1) }
  }

  // MARK: Rooms

  func enter(room: [UInt8], _ member: Member, _ reply: @escaping BrokerReply<Position>) {
    guard context.isAvailable else { return reply(.failure(.unavailable)) }
    pendingJoins.enter(room: room, member.name)
    let isDue = epochs.isMetaDue(room)
    list(room)
    change(room, .enter(member), isMetaDue: isDue) { [weak self] outcome in
      let hasLeft = self?.pendingJoins.answered(room: room, member.name) == true
      if hasLeft, let self { leave(room: room, member) }
      switch outcome {
      case .done(let position?):
        self?.epochs.learn(position, of: room)
        reply(.success(position))
      case .refused: reply(.failure(.refused))
      case .done, .failed:
        self?.undoEntry(room: room, member)
        reply(.failure(.unavailable))
      }
    }
  }

  func leave(room: [UInt8], _ member: Member, graceMilliseconds: Int) {
    guard context.isAvailable else { return remember(.leave(room: room, member)) }
    if context.shards.isSharded { tombstones.append(.leave(room: room, member), now: context.loop.now) }
    pendingJoins.leave(room: room, member.name)
    let leave = PresenceOperation.leave(
      name: member.name, user: member.user, graceMilliseconds: graceMilliseconds)
    change(room, leave) { [weak self] outcome in
      switch outcome {
      case .done: break
      case .failed: self?.remember(.leave(room: room, member))
      case .refused: self?.leaveLater(room: room, member, graceMilliseconds: graceMilliseconds)
      }
    }
  }

  /// Tries a leave again that a key of another type has refused: once it is repaired, nobody else would take the member out.
  private func leaveLater(room: [UInt8], _ member: Member, graceMilliseconds: Int) {
    guard refusedLeaves < RedisLimits.refusedLeavesMax else { return }
    refusedLeaves += 1
    context.loop.after(milliseconds: RedisLimits.refusedLeaveRetryMilliseconds) { [weak self] in
      guard let self else { return }
      refusedLeaves -= 1
      // It may have come back meanwhile.
      guard context.listener?.isHere(member.name.span, in: room) != true else { return }
      leave(room: room, member, graceMilliseconds: graceMilliseconds)
    }
  }

  /// Removes a connection that no client has removed just now: with the grace of the room.
  func leave(room: [UInt8], _ member: Member) {
    let grace = context.configuration.graceMilliseconds(room)
    leave(room: room, member, graceMilliseconds: grace)
    if grace > 0 { context.listener?.graceBegan(in: room, milliseconds: grace) }
  }

  func setState(
    room: [UInt8], _ member: Member, _ state: [UInt8]?, isAssertion: Bool, _ reply: @escaping BrokerReply<Void>
  ) {
    guard context.isAvailable else { return reply(.failure(.unavailable)) }
    change(room, .state(member, state, isAssertion: isAssertion)) { [weak self] outcome in
      switch outcome {
      case .done: reply(.success(()))
      case .refused: reply(.failure(.refused))
      case .failed: reply(.failure(self?.context.failure ?? .uncertain))
      }
    }
  }

  /// Adds an operation to those of this tick.
  private func change(
    _ room: [UInt8], _ operation: PresenceOperation, isMetaDue: Bool = false, _ handler: @escaping PresenceBatch.Handler
  ) {
    if messages.contains(room) { messages.close() }
    if batch.isEmpty { context.shards.current.first?.commands.wake() }
    batch.append(operation, in: room, epoch: epochs.epoch(of: room), isMetaDue: isMetaDue, handler)
  }

  /// Undoes a join that failed with the connection, though Redis may have carried it out.
  private func undoEntry(room: [UInt8], _ member: Member) {
    guard context.shards.shard(of: context.keys.roomChannel(room))?.isServing != true else { return }
    // The undoing may remove a member that was there before and is asserted again.
    mustReassert = true
    remember(.leave(room: room, member))
  }

  func endGraces(room: [UInt8], _ reply: @escaping BrokerReply<Int?>) {
    guard context.isAvailable else { return reply(.failure(.unavailable)) }
    let answer: ScriptRunner.Handler = { [context] answer in
      context.events.mayHaveRecorded(in: room)
      guard let answer, !answer.isError else { return reply(.failure(BrokerError(answer))) }
      reply(.success(answer.kind == .integer ? answer.integer : nil))
    }
    let masterTag = context.commands.masterTag(of: context.keys.roomChannel(room))
    let events = context.events
    let keyCount = events.isOn ? 6 : 5
    context.scripts.run(.endGraces, keys: keyCount, parts: keyCount + 5, answer) { [keys = context.keys] writer in
      for end in ["}:meta", "}:users", "}:order", "}:extras", "}:graces"] as [StaticString] {
        writer.bulk(keys.room, room, end)
      }
      events.writeKey(of: room, to: &writer)
      writer.bulk(keys.room, room, "}:ch")
      writer.bulk(masterTag: masterTag)
      writer.bulk(RedisLimits.gracesMax)
      writer.bulk(RedisLimits.unusedMetaMilliseconds)
      writer.bulk(events.settings)
    }
  }

  // MARK: The node's list of rooms

  /// Adds a room to the node's list before a member can be in it, so that a sweep finds every member.
  private func list(_ room: [UInt8]) {
    guard listedRooms.insert(room).inserted else { return }
    batch.list(room)
  }

  /// Removes a room without local members from the node's list, even when it is not known to be there: it may have been
  /// listed before presence was forgotten, or by a command whose answer was lost.
  func delist(_ room: [UInt8]) {
    listedRooms.remove(room)
    unlist(room)
  }

  /// Does it in Redis, now or when it is back. A room that may hold members that have left stays in the list until it was
  /// reconciled.
  private func unlist(_ room: [UInt8]) {
    guard context.isAvailable, !isReconciliationDue() else { return remember(.delist(room: room)) }
    removeFromList(room)
  }

  /// Removes a room that was reconciled from the list in Redis, unless it has local members.
  func reconciled(_ room: [UInt8]) { if !listedRooms.contains(room) { removeFromList(room) } }

  private func removeFromList(_ room: [UInt8]) {
    // While its events are on their way to the queue of the cluster, the list is what finds them after a death.
    guard !context.events.isMoving(room) else {
      context.loop.after(milliseconds: RedisLimits.eventsRetryMilliseconds) { [weak self] in
        guard let self, !context.isStopping, !listedRooms.contains(room) else { return }
        unlist(room)
      }
      return
    }
    if batch.isEmpty { context.shards.current.first?.commands.wake() }
    batch.delist(room)
  }

  /// Notes that rooms could not be added to the node's list, or removed from it.
  private func listFailed(_ rooms: [[UInt8]], isListed: Bool) {
    if isListed {
      listedRooms.subtract(rooms)
    } else {
      for room in rooms { remember(.delist(room: room)) }
    }
  }

  // MARK: Connections

  func connect(_ member: Member) {
    guard context.isAvailable else { return remember(.connect(member)) }
    connections.connect(member)
  }

  func disconnect(_ member: Member) {
    guard context.isAvailable else { return remember(.disconnect(member)) }
    if context.shards.isSharded { tombstones.append(.disconnect(member), now: context.loop.now) }
    connections.disconnect(member)
  }

  // MARK: Redis is back

  /// Keeps what could not be sent to Redis.
  private func remember(_ entry: OfflineQueue.Entry) { if !context.isStopping { offline.append(entry) } }

  /// Sends what happened while Redis was away, in the order in which it happened.
  func replay() {
    if offline.hasOverflowed {
      // More happened than was kept: everything is reconciled once all masters are there.
      guard context.shards.areServing else { return }
      mustReassert = true
      for shard in context.shards.current { shard.failover.requireReconciliation() }
    }
    for entry in offline.takeAll() {
      switch entry {
      // A connection that has gone since is being removed, or is in the queue once more.
      case .connect(let member): if context.isHere(member.name, in: nil) { connect(member) }
      case .disconnect(let member): disconnect(member)
      case .leave(let room, let member): leave(room: room, member)
      case .delist(let room): if !listedRooms.contains(room) { unlist(room) }
      }
    }
  }

  /// Repeats recent departures from rooms and users that `isAffected` chooses by the key. A connection that is back under the
  /// same name has entered since.
  func repeatDepartures(where isAffected: (_ key: [UInt8]) -> Bool) {
    let keys = context.keys
    let departures = tombstones.take(now: context.loop.now) { entry in
      switch entry {
      case .leave(let room, _): isAffected(keys.roomChannel(room))
      case .disconnect(let member): isAffected(keys.userChannel(member.user))
      case .connect, .delist: false
      }
    }
    for departure in departures {
      switch departure {
      case .leave(let room, let member): if !context.isHere(member.name, in: room) { leave(room: room, member) }
      case .disconnect(let member): if !context.isHere(member.name, in: nil) { disconnect(member) }
      case .connect, .delist: break
      }
    }
  }

  /// Has this node's presence asserted again at the next occasion.
  func requireReassertion() { mustReassert = true }

  /// Has the listener assert this node's presence again.
  func reassert() {
    mustReassert = false
    listedRooms = []
    context.log(.info, "asserting this node's presence in Redis again")
    context.listener?.presenceLost()
  }

  /// Gives memory back after many members have left.
  func shrink() {
    tombstones.expire(context.loop.now)
    // A set does not shrink by itself.
    if listedRooms.capacity > 64, listedRooms.capacity > listedRooms.count * 4 { listedRooms = Set(Array(listedRooms)) }
  }
}

@available(*, unavailable)
extension PresenceWriter: Sendable {}
