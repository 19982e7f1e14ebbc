import Realtime

extension RedisBroker {
  /// Gives a push to the listener. The bytes stay where hiredis has parsed them.
  func deliver(_ channelPart: Reply, _ payloadPart: Reply, by shard: Shard) {
    let channel = channelPart.bytes
    let payload = payloadPart.bytes
    switch keys.target(of: channel) {
    case .room(let name): deliver(room: channel.extracting(name), payload)
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
}
