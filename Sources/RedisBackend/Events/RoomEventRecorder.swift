import LoopCore
import Realtime

/// Has the scripts of presence record the events of rooms, in the same run that changes the room.
///
/// A script writes to one queue of the cluster, `P:{events}:queue`. In a Redis Cluster a script reaches the slot of its
/// room only, so there it writes to a queue of the room, `P:{r:ROOM}:events`, and the node that ran it moves what is there
/// to the queue of the cluster. The room stays in the node's list of rooms until that is done: the sweep of a dead node,
/// which goes through its list, moves what is left. Confined to the loop of its broker.
final class RoomEventRecorder {
  /// The argument of the scripts; empty: nothing is recorded.
  let settings: [UInt8]

  private let loop: EventLoop
  private let router: CommandRouter
  private let scripts: ScriptRunner
  private let keys: RedisKeys
  private let countMax: Int
  private let lifeMilliseconds: Int
  /// Rooms whose queues are being moved, and whether there may be more in one than what is on its way.
  private var moving: [[UInt8]: Bool] = [:]
  /// Called when the queue of a room has been moved, or could not be.
  private var waiters: [[UInt8]: [(Bool) -> Void]] = [:]

  init(loop: EventLoop, router: CommandRouter, scripts: ScriptRunner, keys: RedisKeys, policy: RoomEventPolicy?) {
    self.loop = loop
    self.router = router
    self.scripts = scripts
    self.keys = keys
    countMax = policy?.countMax ?? 0
    lifeMilliseconds = (policy?.ageMillisecondsMax ?? 0) + RedisLimits.eventsSlackMilliseconds
    let letters = RoomEventKind.allCases.filter { policy?.kinds.contains($0) == true }.map(\.rawValue)
    settings =
      letters.isEmpty ? [] : letters + Array(" \(countMax) \(lifeMilliseconds) \(keys.room.count)".utf8)
  }

  var isOn: Bool { !settings.isEmpty }

  /// Writes the key that the scripts record to, if they do.
  func writeKey(of room: [UInt8], to writer: inout CommandWriter) {
    guard isOn else { return }
    if keys.isSharded { writer.bulk(keys.room, room, "}:events") } else { writer.bulk(keys.events) }
  }

  // MARK: Queues of rooms

  /// Takes notice of a room's part of an answer of presence.lua.
  func recorded(in room: [UInt8], _ reply: Reply) {
    guard isOn, keys.isSharded, reply.count > 1, reply[1].begins(with: "h") else { return }
    move(room)
  }

  /// Looks for events that a script may have recorded.
  func mayHaveRecorded(in room: [UInt8]) {
    if isOn, keys.isSharded { move(room) }
  }

  /// Moves what is in a room's queue. Answers whether nothing is left there.
  func moveAll(of room: [UInt8], _ done: @escaping (_ isMoved: Bool) -> Void) {
    guard isOn, keys.isSharded else { return done(true) }
    move(room)
    if moving[room] != nil { waiters[room, default: []].append(done) } else { done(false) }
  }

  private func answer(_ room: [UInt8], _ isMoved: Bool) {
    for waiter in waiters.removeValue(forKey: room) ?? [] { waiter(isMoved) }
  }

  /// Whether events of a room are on their way.
  func isMoving(_ room: [UInt8]) -> Bool { moving[room] != nil }

  private func move(_ room: [UInt8]) {
    guard moving[room] == nil else {
      moving[room] = true
      return
    }
    // What is beyond moves with the next event of its room.
    guard moving.count < RedisLimits.movingRoomsMax else { return }
    moving[room] = false
    read(room)
  }

  private func read(_ room: [UInt8]) {
    let answer: PendingReplies.Handler = { [weak self] reply in
      guard let self else { return }
      guard let reply else { return readLater(room) }
      // Nothing, or a key of another type.
      guard reply.kind == .array, reply.count > 0 else { return finish(room) }
      add((0..<reply.count).map { reply[$0].copy }, of: room)
    }
    router.request(answer) { writer in
      writer.command(parts: 5)
      writer.bulk("ZRANGE")
      writer.bulk(keys.room, room, "}:events")
      writer.bulk("0")
      writer.bulk(RedisLimits.movedEventsMax - 1)
      writer.bulk("WITHSCORES")
    }
  }

  private func readLater(_ room: [UInt8]) {
    answer(room, false)
    loop.after(milliseconds: RedisLimits.eventsRetryMilliseconds) { [weak self] in
      if let self, moving[room] != nil { read(room) }
    }
  }

  /// Adds events to the queue of the cluster: event and score of each, as ZRANGE gives them.
  private func add(_ entries: [[UInt8]], of room: [UInt8]) {
    let added: ScriptRunner.Handler = { [weak self] reply in
      guard let self else { return }
      if reply?.integer == 1 { remove(entries, of: room) } else { readLater(room) }
    }
    scripts.run(.eventsAdd, keys: 1, parts: 3 + entries.count, added) { [keys, countMax, lifeMilliseconds] writer in
      writer.bulk(keys.events)
      writer.bulk(countMax)
      writer.bulk(lifeMilliseconds)
      for i in stride(from: 0, to: entries.count - 1, by: 2) {
        writer.bulk(entries[i + 1])
        writer.bulk(entries[i])
      }
    }
  }

  private func remove(_ entries: [[UInt8]], of room: [UInt8]) {
    let names = stride(from: 0, to: entries.count - 1, by: 2).map { entries[$0] }
    if names.count >= RedisLimits.movedEventsMax { moving[room] = true }
    let answer: PendingReplies.Handler = { [weak self] reply in
      // What stays is moved once more, under the same id.
      if reply == nil { self?.readLater(room) } else { self?.finish(room) }
    }
    router.request(answer) { writer in
      writer.command(parts: 2 + names.count)
      writer.bulk("ZREM")
      writer.bulk(keys.room, room, "}:events")
      for name in names { writer.bulk(name) }
    }
  }

  private func finish(_ room: [UInt8]) {
    guard moving[room] == true else {
      moving[room] = nil
      return answer(room, true)
    }
    moving[room] = false
    read(room)
  }
}

@available(*, unavailable)
extension RoomEventRecorder: Sendable {}
