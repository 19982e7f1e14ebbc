import ClientProtocol
import Realtime
import WebSocketCore

// Messages that a connection's user has not asked for. They have a part of its queue, so that they neither fill it nor leave
// less than half of it to its rooms; what does not fit is refused, and the connection stays.

extension ConnectionTable {
  func offer(
    _ message: Span<UInt8>, _ kind: EventKind, _ allotment: Allotment, toEach targets: [UInt32]
  ) -> [UInt32] {
    var frames = SharedFrames(kind.opcode)
    var refused: [UInt32] = []
    for target in targets {
      guard mayOffer(message.count, allotment, to: target) else {
        refused.append(target)
        continue
      }
      connections[target].outbox.push(frames.block(message, windowBits: connections[target].deflateBits, compression))
      markDirty(target)
    }
    return refused
  }

  /// Whether a connection takes so many bytes of what it has not asked for; if not, it is noted that it refused them.
  private func mayOffer(_ count: Int, _ allotment: Allotment, to target: UInt32) -> Bool {
    guard connections.isOccupied(target), connections[target].stage == .websocket else { return false }
    settle(target)
    let bytesMax = limits.queueBytesMax / (allotment == .clients ? 2 : 1)
    // What was queued in this tick its socket has not had the chance to take.
    if !hasRoom(for: count, in: bytesMax, target), !connections[target].wantsWrite { sendEarly(target) }
    guard hasRoom(for: count, in: bytesMax, target) else {
      connections[target].hasRefusedOffers = true
      return false
    }
    return true
  }

  /// An empty queue takes any message: it is within `max-message`.
  private func hasRoom(for count: Int, in bytesMax: Int, _ index: UInt32) -> Bool {
    // What it has asked for takes no room from what others send.
    let waiting = connections[index].outbox.unsolicitedBytes
    return waiting == 0 || waiting + count + ConnectionTable.frameHeadBytesMax <= bytesMax
  }

  /// RFC 6455 section 5.2: what the server puts before a payload, at the most.
  private static let frameHeadBytesMax = 10

  /// Tells the hub that a connection which has refused something takes more again: a quarter of its queue is left.
  func noteSpace(_ index: UInt32) {
    guard connections[index].hasRefusedOffers, connections[index].outbox.unsolicitedBytes <= limits.queueBytesMax / 4,
      connections[index].stage == .websocket, let session = connections[index].session
    else { return }
    connections[index].hasRefusedOffers = false
    hub.canTakeMore(session)
  }
}
