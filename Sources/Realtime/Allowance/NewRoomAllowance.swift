/// How many rooms that nobody on this node is in may be joined: each costs the broker a subscription, a counter and its members.
/// Confined to the loop that created its hub.
final class NewRoomAllowance {
  private var rooms: TokenBucket

  /// - Parameters:
  ///   - perSecond: 0 for no limit.
  ///   - burst: rooms at once: a client that comes back joins all of its rooms.
  init(perSecond: UInt32, burst: Int, now: UInt64) {
    rooms = TokenBucket(rate: perSecond, burst: UInt32(clamping: burst), now: now)
  }

  /// Takes one room at `now` milliseconds. Returns false when there is none to take.
  func take(at now: UInt64) -> Bool { rooms.take(at: now) }
}

extension Hub {
  /// Charges a room that this join would make. Returns whether it may be made; else the join was refused with `rate_limited`.
  func chargeNewRoom(_ id: SlabID, _ answerID: [UInt8]?) -> Bool {
    let isLocal = sessions[id.index].isLocal
    let (own, all) = (
      configuration.newRoomsPerSecond.value(isLocal: isLocal),
      configuration.nodeNewRoomsPerSecond.value(isLocal: isLocal)
    )
    guard own > 0 || all > 0 else { return true }
    let now = steady()
    if own > 0 {
      let session = allowance(of: id)
      let allowance =
        session?.newRooms ?? NewRoomAllowance(perSecond: own, burst: configuration.roomsPerConnectionMax, now: now)
      session?.newRooms = allowance
      guard allowance.take(at: now) else {
        counters.refusals.add(.newRooms)
        refuse(
          id, .rateLimited,
          "more than \(own) joins a second of rooms that nobody is in: join the room again in a second (new-room-rate)",
          answerID)
        return false
      }
    }
    if all > 0 {
      let allowance = newRooms ?? NewRoomAllowance(perSecond: all, burst: 0, now: now)
      newRooms = allowance
      guard allowance.take(at: now) else {
        counters.refusals.add(.nodeNewRooms)
        refuse(
          id, .rateLimited,
          "this node takes \(all) joins a second of rooms that nobody is in: join the room again in a few seconds "
            + "(node-new-room-rate)", answerID)
        return false
      }
    }
    return true
  }
}
