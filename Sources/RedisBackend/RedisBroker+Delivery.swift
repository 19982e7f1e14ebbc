import JSONCore
import Realtime

extension RedisBroker {
  /// Gives a push to the listener. The bytes stay where hiredis has parsed them.
  func deliver(_ channelPart: Reply, _ payloadPart: Reply, by shard: Shard) {
    let channel = channelPart.bytes
    let payload = payloadPart.bytes
    switch keys.target(of: channel) {
    case .room(let name):
      let room = channel.extracting(name)
      if !shard.mayHearPredecessor || isCurrent(payload, in: room, from: shard) { deliver(room: room, payload) }
    case .user(let name): listener?.heard(user: channel.extracting(name), envelope: payload)
    case .everyone: listener?.heardByEveryone(envelope: payload)
    case nil: if channelPart.copy == shard.probeChannel { shard.heardProbe(payload) }
    }
  }

  /// A room's payload is a position or `-`, a space, an envelope.
  func deliver(room: Span<UInt8>, _ payload: Span<UInt8>) {
    var space = 0
    while space < payload.count, payload[space] != 0x20 { space += 1 }
    guard space > 0, space < payload.count else { return }
    let envelope = payload.extracting((space + 1)..<payload.count)
    if let position = Position(text: payload.extracting(0..<space)) {
      listener?.heard(room: room, at: position, envelope: envelope)
    } else if space == 1, payload[0] == 0x2D {
      listener?.heard(room: room, notice: envelope)
    }
  }

  // MARK: A master that was replaced

  /// Whether what was heard in a room can only come from the master that there is now.
  ///
  /// A master that was replaced while it was stopped executes, when it goes on, what it was sent before it learns of that,
  /// and the cluster's own connections bring its messages to those who listen at its successor. What may be such a message
  /// is read from history instead, where only the successor's stand; such a notice is left to the comparison of presence
  /// that follows every outage.
  private func isCurrent(_ payload: Span<UInt8>, in room: Span<UInt8>, from shard: Shard) -> Bool {
    guard let sentAt = RedisBroker.timestamp(of: payload) else { return true }
    if payload[0] == 0x2D { return sentAt >= shard.tookOverAt }
    guard sentAt < shard.tookOverAt + UInt64(RedisLimits.takeoverMilliseconds) else { return true }
    if doubtedRooms.isEmpty { resolveDoubtsSoon() }
    doubtedRooms.insert([UInt8](copying: room))
    return false
  }

  private func resolveDoubtsSoon() {
    loop.after(milliseconds: RedisLimits.doubtMilliseconds) { [weak self] in
      guard let self else { return }
      let rooms = Set(doubtedRooms.prefix(RedisLimits.doubtedRoomsMax))
      doubtedRooms.subtract(rooms)
      if !doubtedRooms.isEmpty { resolveDoubtsSoon() }
      listener?.doubted(rooms: rooms)
    }
  }

  /// The time stamp of the envelope in a room's payload, in milliseconds since 1970: what stands behind its second space.
  private static func timestamp(of payload: Span<UInt8>) -> UInt64? {
    var spaces: [Int] = []
    var index = 0
    while index < payload.count, spaces.count < 3 {
      if payload[index] == 0x20 { spaces.append(index) }
      index += 1
    }
    guard spaces.count == 3 else { return nil }
    return JSONNumber.unsigned(payload.extracting((spaces[1] + 1)..<spaces[2]))
  }
}
