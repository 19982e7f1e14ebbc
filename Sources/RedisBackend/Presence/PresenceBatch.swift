import ClientProtocol
import Realtime

/// Gathers what a tick changes in rooms' members into one run of the script: to begin a script, and to call a command in it,
/// costs more than what is done for one member.
///
/// Commands that are not gathered themselves close the batch first, and so does a message to a room of the batch, so that
/// nothing that matters overtakes a change. In a cluster every room has a run of its own, for two rooms may have two masters.
/// Confined to the loop of its broker.
final class PresenceBatch {
  /// What came of an operation.
  enum Outcome {
    /// Where the room was, for one that entered.
    case done(Position?)
    /// A key of the room has another type.
    case refused
    /// There was no useful answer.
    case failed
  }

  typealias Handler = (Outcome) -> Void

  /// The operations of one room.
  private struct Room {
    let name: [UInt8]
    /// What the node knows: an epoch that is wrong, or empty, costs a command.
    let epoch: [UInt8]
    var isMetaDue = false
    var writer = CommandWriter()
    /// One for each operation, and whether it enters.
    var handlers: [(isEnter: Bool, handler: Handler)] = []
    /// Receive the first page of the room's users afterwards.
    var readers: [ScriptRunner.Handler] = []
  }

  private let router: CommandRouter
  private let scripts: ScriptRunner
  private let keys: RedisKeys
  private let metaMilliseconds: Int
  private let node: [UInt8]
  private let isSharded: Bool
  private let events: RoomEventRecorder
  private var rooms: [Room] = []
  private var indices: [[UInt8]: Int] = [:]
  /// What a run of the script costs, as `RedisLimits.presenceWeightMax` counts it.
  private var weight = 0
  private var byteCount = 0
  private var listed: [[UInt8]] = []
  private var delisted: Set<[UInt8]> = []
  /// Behind sentinels: the key of the leader epoch; else empty.
  var leaderEpochKey: () -> [UInt8] = { [] }
  /// Called with rooms that could not be put into the node's list, or taken out of it.
  var listFailed: (_ rooms: [[UInt8]], _ isListed: Bool) -> Void = { _, _ in }

  init(
    router: CommandRouter, scripts: ScriptRunner, keys: RedisKeys, metaMilliseconds: Int, node: [UInt8],
    isSharded: Bool,
    events: RoomEventRecorder
  ) {
    self.router = router
    self.scripts = scripts
    self.keys = keys
    self.metaMilliseconds = metaMilliseconds
    self.node = node
    self.isSharded = isSharded
    self.events = events
  }

  var isEmpty: Bool { rooms.isEmpty && listed.isEmpty && delisted.isEmpty }

  /// Whether a change of a room waits to be sent.
  func contains(_ room: [UInt8]) -> Bool { indices[room] != nil }

  /// Adds an operation.
  ///
  /// - Parameters:
  ///   - epoch: the room's, as far as the node knows.
  ///   - isMetaDue: whether to refresh the life of the room's counter.
  func append(
    _ operation: PresenceOperation, in room: [UInt8], epoch: [UInt8] = [], isMetaDue: Bool = false,
    _ handler: @escaping Handler
  ) {
    let index = index(of: room, epoch: epoch)
    let bytesBefore = rooms[index].writer.bytes.count
    operation.write(to: &rooms[index].writer)
    if isMetaDue { rooms[index].isMetaDue = true }
    var isEnter = false
    if case .enter = operation { isEnter = true }
    rooms[index].handlers.append((isEnter, handler))
    weight += operation.weight
    byteCount += rooms[index].writer.bytes.count - bytesBefore
    if weight >= RedisLimits.presenceWeightMax || byteCount >= RedisLimits.batchBytesMax { close() }
  }

  /// Has the script look at a room without changing its members: whether everybody has left it.
  func touch(_ room: [UInt8]) { _ = index(of: room, epoch: []) }

  /// Reads the first of a room's users after the changes of the room that are gathered. The reply is that of users.lua, or nil.
  ///
  /// - Returns: false when no change of the room is gathered: nothing will be read then.
  func readUsers(of room: [UInt8], _ handler: @escaping ScriptRunner.Handler) -> Bool {
    guard let index = indices[room] else { return false }
    rooms[index].readers.append(handler)
    return true
  }

  private func index(of room: [UInt8], epoch: [UInt8]) -> Int {
    if let index = indices[room] { return index }
    indices[room] = rooms.count
    rooms.append(Room(name: room, epoch: epoch))
    weight += RedisLimits.presenceRoomWeight
    return rooms.count - 1
  }

  /// Puts a room into the node's list of rooms, before what is gathered is done there.
  func list(_ room: [UInt8]) {
    delisted.remove(room)
    listed.append(room)
    if listed.count >= RedisLimits.listedRoomsMax { close() }
  }

  /// Takes a room out of the node's list of rooms, after what is gathered was done there.
  func delist(_ room: [UInt8]) {
    delisted.insert(room)
    if delisted.count >= RedisLimits.listedRoomsMax { close() }
  }

  /// Sends what was gathered. Called before commands that are not gathered, and at the end of the tick.
  func close() {
    guard !isEmpty else { return }
    let (rooms, listed, delisted) = (rooms, listed, Array(delisted))
    (self.rooms, indices, self.listed, self.delisted) = ([], [:], [], [])
    (weight, byteCount) = (0, 0)
    change(list: listed, isListed: true)
    if isSharded {
      for room in rooms { run([room], masterTag: router.masterTag(of: keys.roomChannel(room.name))) }
    } else if !rooms.isEmpty {
      run(rooms, masterTag: [])
    }
    change(list: delisted, isListed: false)
  }

  private func run(_ rooms: [Room], masterTag: [UInt8]) {
    typealias Operation = PresenceOperation
    let operationCount = rooms.reduce(0) { $0 + $1.handlers.count }
    let keyCount = Operation.keyCount(events) * rooms.count
    let parts =
      keyCount + Operation.headerCount + Operation.roomCount * rooms.count + Operation.operationCount * operationCount
    let answer: ScriptRunner.Handler = { [scripts, keys, events] reply in
      guard rooms.count > 1 else { return PresenceBatch.answer(rooms[0], reply, events) }
      for (i, room) in rooms.enumerated() {
        guard let reply, reply.count == rooms.count else {
          PresenceBatch.answer(room, reply?.isWrongType == true ? reply : nil, events)
          continue
        }
        let checked = scripts.checked(.presence, reply[i]) {
          ["}:meta", "}:members", "}:users", "}:order", "}:extras", "}:graces"].map {
            keys.room + room.name + Array($0.utf8)
          }
        }
        PresenceBatch.answer(room, checked, events)
      }
    }
    let leaderEpochKey = leaderEpochKey()
    scripts.run(.presence, keys: keyCount, parts: parts, isGathered: true, answer) {
      [keys, metaMilliseconds, events] writer in
      for room in rooms { Operation.writeKeys(of: room.name, keys, events, to: &writer) }
      Operation.writeHeader(
        masterTag: masterTag, metaMilliseconds: metaMilliseconds, leaderEpochKey: leaderEpochKey, events,
        to: &writer)
      for room in rooms {
        Operation.writeRoom(
          channel: (keys.room, room.name), epoch: room.epoch, count: room.handlers.count, isMetaDue: room.isMetaDue,
          isRead: !room.readers.isEmpty, to: &writer)
        writer.bytes.append(contentsOf: room.writer.bytes)
      }
    }
  }

  /// Gives every operation of a room its part of the room's reply.
  private static func answer(_ room: Room, _ reply: Reply?, _ events: RoomEventRecorder) {
    guard let reply, !reply.isError else {
      for (_, handler) in room.handlers { handler(reply?.isWrongType == true ? .refused : .failed) }
      for reader in room.readers { reader(nil) }
      return
    }
    events.recorded(in: room.name, reply)
    let position = reply.count > 0 ? reply[0].position : reply.position
    for (isEnter, handler) in room.handlers {
      handler(!isEnter ? .done(nil) : position == nil ? .failed : .done(position))
    }
    for reader in room.readers { reader(reply.count > 2 ? reply[2] : nil) }
  }

  private func change(list rooms: [[UInt8]], isListed: Bool) {
    guard !rooms.isEmpty else { return }
    let answer: PendingReplies.Handler = { [weak self] reply in
      if reply?.kind != .integer { self?.listFailed(rooms, isListed) }
    }
    router.request(isGathered: true, answer) { [keys, node] writer in
      writer.command(parts: 2 + rooms.count * (isListed ? 2 : 1))
      writer.bulk(isListed ? "ZADD" : "ZREM")
      writer.bulk(keys.node, node, "}:rooms")
      for room in rooms {
        if isListed { writer.bulk("0") }
        writer.bulk(room)
      }
    }
  }
}

@available(*, unavailable)
extension PresenceBatch: Sendable {}
