import Realtime

extension RedisBroker {
  /// Gives a push to the listener. The bytes stay where hiredis has parsed them.
  func deliver(_ channelPart: Reply, _ payloadPart: Reply, by shard: Shard) {
    let channel = channelPart.bytes
    let payload = payloadPart.bytes
    switch keys.target(of: channel) {
    case .room(let name): deliver(room: channel.extracting(name), payload, by: shard)
    case .user(let name): listener?.heard(user: channel.extracting(name), envelope: payload)
    case .everyone: listener?.heardByEveryone(envelope: payload)
    case nil: if channelPart.copy == shard.probeChannel { shard.heardProbe(payload) }
    }
  }

  /// A room's payload is a position or `-`, a space, an envelope. In a cluster a term stands before the envelope, or behind
  /// the dash.
  func deliver(room: Span<UInt8>, _ payload: Span<UInt8>, by shard: Shard) {
    var space = 0
    while space < payload.count, payload[space] != 0x20 { space += 1 }
    guard space > 0, space < payload.count else { return }
    let envelope = payload.extracting((space + 1)..<payload.count)
    if let position = Position(text: payload.extracting(0..<space)) {
      guard shard.isSharded else { return handOn(room, position, envelope) }
      let start = Term.count(before: envelope)
      guard start == 0 || isCurrent(envelope.extracting(0..<Term.length), heardFrom: shard) else { return doubt(room) }
      handOn(room, position, envelope.extracting(start..<envelope.count))
    } else if payload[0] == 0x2D {
      let term = payload.extracting(1..<space)
      if term.isEmpty || isCurrent(term, heardFrom: shard) { listener?.heard(room: room, notice: envelope) }
    }
  }

  private func handOn(_ room: Span<UInt8>, _ position: Position, _ envelope: Span<UInt8>) {
    listener?.heard(room: room, at: position, envelope: envelope)
  }

  // MARK: A master that was replaced

  /// Whether a term is that of a master that there is now. What was sent on to another one, because its slot moves, has the
  /// term of the first.
  private func isCurrent(_ term: Span<UInt8>, heardFrom shard: Shard) -> Bool {
    isSame(term, shard.term) || masters.shards.contains { isSame(term, $0.term) }
  }

  private func isSame(_ term: Span<UInt8>, _ other: [UInt8]) -> Bool {
    guard term.count == other.count else { return false }
    for i in 0..<other.count where term[i] != other[i] { return false }
    return true
  }

  /// What a replaced master said is dropped, and the room compared with what its successor knows: it may be true after all,
  /// when this node knows the masters less well than who sent it.
  private func doubt(_ room: Span<UInt8>) {
    if doubtedRooms.isEmpty {
      loop.after(milliseconds: RedisLimits.doubtMilliseconds) { [weak self] in
        guard let self else { return }
        let rooms = doubtedRooms
        doubtedRooms = []
        listener?.doubted(rooms: rooms)
      }
    }
    doubtedRooms.insert([UInt8](copying: room))
  }
}
