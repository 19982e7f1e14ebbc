import JSONCore
import LoopCore
import Realtime

/// One change of a room's members, as presence_enter.lua and presence.lua take it.
enum PresenceOperation {
  case enter(Member)
  /// An empty user is one that is not known. With a grace above 0 the user stays for so long.
  case leave(name: [UInt8], user: [UInt8], graceMilliseconds: Int)
  /// What a user says about itself; nil: it is removed. An assertion replaces nothing.
  case state(Member, [UInt8]?, isAssertion: Bool)

  /// Arguments before those of the first room, of each room, and of each operation.
  static let (headerCount, roomCount, operationCount) = (3, 3, 4)

  /// What it costs Redis, a join being 1.
  var weight: Int {
    if case .leave(_, _, let grace) = self, grace > 0 { 2 } else { 1 }
  }

  /// Writes the four arguments of the operation.
  func write(to writer: inout CommandWriter) {
    switch self {
    case .enter(let member):
      var notice: [UInt8] = []
      Envelope.begin(
        .userJoined, timestamp: Clock.wallMilliseconds(), origin: member.name, userJSON: member.userJSON, into: &notice)
      if let info = member.info { notice += info }
      writer.bulk(notice)
      writer.bulk(member.name)
      writer.bulk(member.user)
      writer.bulk(MemberCodec.encode(member))
    case .leave(let name, let user, let grace):
      writer.bulk("l")
      writer.bulk(name)
      writer.bulk(user)
      writer.bulk(max(0, grace))
    case .state(let member, let state, let isAssertion):
      writer.bulk(isAssertion ? "a" : "s")
      writer.bulk(member.name)
      writer.bulk(member.user)
      writer.bulk(state ?? [])
    }
  }

  /// Keys that the script takes for each room.
  static func keyCount(_ events: RoomEventRecorder) -> Int { events.isOn ? 8 : 7 }

  static func writeKeys(
    of room: [UInt8], _ keys: RedisKeys, _ events: RoomEventRecorder, to writer: inout CommandWriter
  ) {
    for end in ["}:meta", "}:log", "}:members", "}:users", "}:order", "}:extras", "}:graces"] as [StaticString] {
      writer.bulk(keys.room, room, end)
    }
    events.writeKey(of: room, to: &writer)
  }

  /// Writes the arguments before those of the first room.
  static func writeHeader(
    masterTag: [UInt8], metaMilliseconds: Int, leaderEpochKey: [UInt8], _ events: RoomEventRecorder,
    to writer: inout CommandWriter
  ) {
    let lives = [metaMilliseconds, RedisLimits.unusedMetaMilliseconds, RedisLimits.graceSlackMilliseconds]
    var settings: [UInt8] = []
    for (i, life) in lives.enumerated() {
      if i > 0 { settings.append(UInt8(ascii: " ")) }
      JSONNumber.append(UInt64(life), to: &settings)
    }
    if !leaderEpochKey.isEmpty { settings += [UInt8(ascii: " ")] + leaderEpochKey }
    writer.bulk(masterTag: masterTag)
    writer.bulk(settings)
    writer.bulk(events.settings)
  }

  /// Writes the arguments of a room before those of its operations.
  ///
  /// - Parameters:
  ///   - count: the number of its operations.
  ///   - isMetaDue: whether to refresh the life of its counter.
  ///   - isRead: whether to read its first users afterwards.
  static func writeRoom(
    channel: (prefix: [UInt8], room: [UInt8]), epoch: [UInt8], count: Int, isMetaDue: Bool, isRead: Bool,
    to writer: inout CommandWriter
  ) {
    writer.bulk(channel.prefix, channel.room, "}:ch")
    writer.bulk(epoch)
    var work: [UInt8] = []
    if count != 1 || isMetaDue || isRead {
      JSONNumber.append(UInt64(count), to: &work)
      if isMetaDue { work.append(UInt8(ascii: "m")) }
      if isRead {
        work.append(UInt8(ascii: "r"))
        JSONNumber.append(UInt64(RedisLimits.scanChunk), to: &work)
      }
    }
    writer.bulk(work)
  }
}

extension ScriptRunner {
  /// Changes one room by a run of the script of its own, without joins. Answers whether that was done or, because of a key of
  /// another type, never can be.
  func change(
    _ room: [UInt8], _ operations: [PresenceOperation], _ keys: RedisKeys, _ events: RoomEventRecorder,
    masterTag: [UInt8],
    _ done: @escaping (_ isDone: Bool) -> Void
  ) {
    typealias Operation = PresenceOperation
    let keyCount = Operation.keyCount(events)
    let parts =
      keyCount + Operation.headerCount + Operation.roomCount + Operation.operationCount * operations.count
    let answer: Handler = { reply in
      guard let reply, !reply.isError else { return done(reply?.isWrongType == true) }
      events.recorded(in: room, reply)
      done(true)
    }
    run(.presence, keys: keyCount, parts: parts, answer) { writer in
      Operation.writeKeys(of: room, keys, events, to: &writer)
      Operation.writeHeader(masterTag: masterTag, metaMilliseconds: 0, leaderEpochKey: [], events, to: &writer)
      Operation.writeRoom(
        channel: (keys.room, room), epoch: [], count: operations.count, isMetaDue: false, isRead: false, to: &writer)
      for operation in operations { operation.write(to: &writer) }
    }
  }
}
