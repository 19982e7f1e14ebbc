import ClientProtocol
import Realtime

/// Passes what is published in Redis to the listener. In a cluster it holds back messages that may come from a master that
/// was replaced, until the map of the cluster was read again.
final class MessageReceiver {
  /// Called when the map of the cluster may have changed.
  var mapIsStale: () -> Void = {}
  /// Takes what nodes ask this one and answer it. Set once.
  weak var questions: NodeQuestions?
  private var unverified = UnverifiedMessages()
  private let keys: RedisKeys
  private let context: BrokerContext

  init(_ context: BrokerContext) {
    self.context = context
    keys = context.keys
  }

  /// Passes a push to the listener. The bytes stay where hiredis has parsed them.
  func deliver(_ channelPart: Reply, _ payloadPart: Reply, by shard: Shard) {
    let channel = channelPart.bytes
    let payload = payloadPart.bytes
    switch keys.target(of: channel) {
    case .room(let name): deliver(room: channel.extracting(name), payload, by: shard)
    case .user(let name): context.listener?.received(user: channel.extracting(name), envelope: payload)
    case .node: questions?.received(payload)
    case .everyone: context.listener?.receivedByEveryone(envelope: payload)
    case nil: if channelPart.copy == shard.probeChannel { shard.probeArrived(payload) }
    }
  }

  /// Passes what came through a pattern to the listener. Notices come through the channels of rooms only, so
  /// that none comes twice.
  func deliverMatched(_ channelPart: Reply, _ payloadPart: Reply, by shard: Shard) {
    let channel = channelPart.bytes
    guard case .room(let name) = keys.target(of: channel), !payloadPart.begins(with: "- ") else { return }
    deliver(room: channel.extracting(name), payloadPart.bytes, by: shard)
  }

  /// A room's payload is a position, a space, an envelope; or `-`, a space, notices with a separator between them. In a
  /// cluster a master tag stands before the envelope, or after the dash.
  private func deliver(room: Span<UInt8>, _ payload: Span<UInt8>, by shard: Shard) {
    var space = 0
    while space < payload.count, payload[space] != 0x20 { space += 1 }
    guard space > 0, space < payload.count else { return }
    let envelope = payload.extracting((space + 1)..<payload.count)
    if let position = Position(text: payload.extracting(0..<space)) {
      deliver(room: room, position, envelope, by: shard)
    } else if payload[0] == UInt8(ascii: "-") {
      let masterTag = payload.extracting(1..<space)
      guard masterTag.isEmpty || isCurrent(masterTag, receivedFrom: shard) else {
        return holdBack { $0.note([UInt8](copying: room)) }
      }
      deliver(room: room, notices: envelope)
    }
  }

  /// Passes on the notices of one run of a script.
  private func deliver(room: Span<UInt8>, notices: Span<UInt8>) {
    var start = 0
    for i in notices.indices where notices[i] == MessageReceiver.noticeSeparator {
      context.listener?.received(room: room, notice: notices.extracting(start..<i))
      start = i + 1
    }
    context.listener?.received(room: room, notice: notices.extracting(start..<notices.count))
  }

  /// Between two notices: no JSON text and no name contains it.
  private static let noticeSeparator: UInt8 = 0x1E

  private func deliver(room: Span<UInt8>, _ position: Position, _ envelope: Span<UInt8>, by shard: Shard) {
    guard let start = start(of: envelope, receivedFrom: shard), !unverified.contain(room) else {
      return holdBack { $0.keep([UInt8](copying: room), position, envelope) }
    }
    context.listener?.received(room: room, at: position, envelope: envelope.extracting(start..<envelope.count))
  }

  // MARK: Masters that were replaced

  /// Where an envelope begins after its master tag; nil when no present master has that tag.
  private func start(of envelope: Span<UInt8>, receivedFrom shard: Shard) -> Int? {
    let start = shard.isSharded ? MasterTag.count(before: envelope) : 0
    return start == 0 || isCurrent(envelope.extracting(0..<MasterTag.length), receivedFrom: shard) ? start : nil
  }

  /// Whether a present master has a tag, or there is one whose tag cannot be read.
  private func isCurrent(_ masterTag: Span<UInt8>, receivedFrom shard: Shard) -> Bool {
    isSame(masterTag, shard.masterTag)
      || context.shards.current.contains {
        isSame(masterTag, $0.masterTag) || ($0.isServing && $0.masterTag.isEmpty)
      }
  }

  private func isSame(_ masterTag: Span<UInt8>, _ other: [UInt8]) -> Bool {
    guard masterTag.count == other.count else { return false }
    for i in 0..<other.count where masterTag[i] != other[i] { return false }
    return true
  }

  /// Holds back what a replaced master may have published, or one that this node does not know yet, while the map is read.
  private func holdBack(_ keep: (inout UnverifiedMessages) -> Void) {
    if unverified.isEmpty {
      mapIsStale()
      context.loop.after(milliseconds: RedisLimits.unverifiedMilliseconds) { [weak self] in self?.verify() }
    }
    keep(&unverified)
  }

  /// Passes on what a present master has published, drops the rest, and has the rooms compared.
  private func verify() {
    let heldBack = unverified
    unverified = UnverifiedMessages()
    for message in heldBack.messages {
      let envelope = message.envelope.span
      guard let shard = context.shards.shard(of: keys.roomChannel(message.room)),
        let start = start(of: envelope, receivedFrom: shard)
      else { continue }
      context.listener?.received(
        room: message.room.span, at: message.position, envelope: envelope.extracting(start..<envelope.count))
    }
    context.listener?.roomsUnverified { heldBack.rooms.contains($0) }
  }
}

@available(*, unavailable)
extension MessageReceiver: Sendable {}
