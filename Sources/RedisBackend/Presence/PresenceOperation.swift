import Realtime

/// One change of a room's members, as presence.lua takes it.
enum PresenceOperation {
  case enter(Member)
  /// An empty user is one that is not known. With a grace above 0 the user stays for so long.
  case leave(name: [UInt8], user: [UInt8], graceMilliseconds: Int)
  /// What a user says about itself; nil: it is removed. An assertion replaces nothing.
  case state(Member, [UInt8]?, isAssertion: Bool)

  /// Arguments before those of the first room, of each room, and of each operation.
  static let (headerCount, roomCount, operationCount) = (6, 5, 4)

  /// What it costs Redis, a join being 1.
  var weight: Int {
    if case .leave(_, _, let grace) = self, grace > 0 { 2 } else { 1 }
  }

  /// Writes the four arguments of the operation.
  func write(to writer: inout CommandWriter) {
    switch self {
    case .enter(let member):
      if let info = member.info { writer.bulk([0x65] + info) } else { writer.bulk("e") }
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
    writer.bulk(masterTag: masterTag)
    writer.bulk(metaMilliseconds)
    writer.bulk(RedisLimits.unusedMetaMilliseconds)
    writer.bulk(leaderEpochKey)
    writer.bulk(RedisLimits.graceSlackMilliseconds)
    writer.bulk(events.settings)
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
    let answer: Handler = { [weak self] reply in
      guard let self, let reply, reply.count == 1 else { return done(reply?.isWrongType == true) }
      events.recorded(in: room, reply[0])
      finish(.presence, reply[0], { done($0 != nil) }) { [keys.room + room + Array("}:members".utf8)] }
    }
    run(.presence, keys: keyCount, parts: parts, answer) { writer in
      Operation.writeKeys(of: room, keys, events, to: &writer)
      Operation.writeHeader(masterTag: masterTag, metaMilliseconds: 0, leaderEpochKey: [], events, to: &writer)
      writer.bulk(keys.room, room, "}:ch")
      writer.bulk([UInt8]())
      writer.bulk(false)
      writer.bulk(0)
      writer.bulk(operations.count)
      for operation in operations { operation.write(to: &writer) }
    }
  }
}
