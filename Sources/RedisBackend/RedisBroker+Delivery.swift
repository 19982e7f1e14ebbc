import ClientProtocol
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

  /// A room's payload is a position, a space, an envelope; or `-`, a space, notices with a separator between them. In a
  /// cluster a master tag stands before the envelope, or after the dash.
  func deliver(room: Span<UInt8>, _ payload: Span<UInt8>, by shard: Shard) {
    var space = 0
    while space < payload.count, payload[space] != 0x20 { space += 1 }
    guard space > 0, space < payload.count else { return }
    let envelope = payload.extracting((space + 1)..<payload.count)
    if let position = Position(text: payload.extracting(0..<space)) {
      deliver(room: room, position, envelope, by: shard)
    } else if payload[0] == 0x2D {
      let masterTag = payload.extracting(1..<space)
      guard masterTag.isEmpty || isCurrent(masterTag, heardFrom: shard) else {
        return doubt { $0.note([UInt8](copying: room)) }
      }
      deliver(room: room, notices: envelope)
    }
  }

  /// Hands on the notices of one run of a script.
  private func deliver(room: Span<UInt8>, notices: Span<UInt8>) {
    var start = 0
    for i in notices.indices where notices[i] == RedisBroker.noticeSeparator {
      listener?.heard(room: room, notice: notices.extracting(start..<i))
      start = i + 1
    }
    listener?.heard(room: room, notice: notices.extracting(start..<notices.count))
  }

  /// Between two notices: no JSON text and no name holds it.
  private static let noticeSeparator: UInt8 = 0x1E

  private func deliver(room: Span<UInt8>, _ position: Position, _ envelope: Span<UInt8>, by shard: Shard) {
    guard let start = start(of: envelope, heardFrom: shard), !doubts.contain(room) else {
      return doubt { $0.keep([UInt8](copying: room), position, envelope) }
    }
    listener?.heard(room: room, at: position, envelope: envelope.extracting(start..<envelope.count))
  }

  // MARK: A master that was replaced

  /// Where an envelope begins behind its master tag; nil when that is of no master that there is now.
  private func start(of envelope: Span<UInt8>, heardFrom shard: Shard) -> Int? {
    let start = shard.isSharded ? MasterTag.count(before: envelope) : 0
    return start == 0 || isCurrent(envelope.extracting(0..<MasterTag.length), heardFrom: shard) ? start : nil
  }

  /// Whether a master tag is that of a master that there is now, or there is one whose master tag nobody may ask for.
  private func isCurrent(_ masterTag: Span<UInt8>, heardFrom shard: Shard) -> Bool {
    isSame(masterTag, shard.masterTag)
      || masters.shards.contains { isSame(masterTag, $0.masterTag) || ($0.isServing && $0.masterTag.isEmpty) }
  }

  private func isSame(_ masterTag: Span<UInt8>, _ other: [UInt8]) -> Bool {
    guard masterTag.count == other.count else { return false }
    for i in 0..<other.count where masterTag[i] != other[i] { return false }
    return true
  }

  /// Sets aside what a replaced master may have said, or one that this node does not know yet: until the map was asked for.
  private func doubt(_ keep: (inout UnverifiedMessages) -> Void) {
    if doubts.isEmpty {
      watcher?.refresh()
      loop.after(milliseconds: RedisLimits.unverifiedMilliseconds) { [weak self] in self?.resolveDoubts() }
    }
    keep(&doubts)
  }

  /// Hands on what has turned out to come from a master, and has the rooms compared: what is left out may be missing.
  private func resolveDoubts() {
    let resolved = doubts
    doubts = UnverifiedMessages()
    for message in resolved.messages {
      let envelope = message.envelope.span
      guard let shard = masters.shard(of: keys.roomChannel(message.room)),
        let start = start(of: envelope, heardFrom: shard)
      else { continue }
      listener?.heard(
        room: message.room.span, at: message.position, envelope: envelope.extracting(start..<envelope.count))
    }
    listener?.doubted { resolved.rooms.contains($0) }
  }
}
