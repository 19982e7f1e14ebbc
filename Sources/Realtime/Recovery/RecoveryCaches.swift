import ClientProtocol
import JSONCore

/// Which rooms keep their recent messages for clients that resume, and how many bytes that takes.
/// Confined to the loop that created its hub.
final class RecoveryCaches {
  private let context: HubContext
  /// Bytes that rooms keep as recent messages.
  private(set) var recallBytes = 0
  /// Rooms that keep them, in the order in which they began to.
  private var recallingRooms: [Room] = []

  init(_ context: HubContext) {
    self.context = context
  }

  /// Has a room keep its messages from here on, for clients that resume or catch up in it.
  func keepRecall(of room: Room) {
    guard let stream = room.stream else { return }
    let expiresAt = context.steady() + Limits.recallMilliseconds
    guard room.recall == nil else {
      room.recall?.expiresAt = expiresAt
      return
    }
    room.recall = Recall(after: stream.position.offset, expiresAt: expiresAt)
    recallingRooms.append(room)
  }

  /// Changes what a room keeps, within the bytes of the node: rooms that have kept theirs longest drop them.
  func changeRecall(of room: Room, _ change: (inout Recall) -> Void) {
    guard room.recall != nil else { return }
    let before = room.recall?.byteCount ?? 0
    change(&room.recall!)  // Safe because it was just seen.
    recallBytes += (room.recall?.byteCount ?? 0) - before
    while recallBytes > Limits.recallNodeBytesMax, let oldest = recallingRooms.first {
      dropRecall(of: oldest)
    }
  }

  func dropRecall(of room: Room) {
    guard let recall = room.recall else { return }
    recallBytes -= recall.byteCount
    room.recall = nil
    recallingRooms.removeAll { $0 === room }
  }

  /// Drops what nobody asks for any more. Called by `expire`.
  func expireRecalls(at now: UInt64) {
    guard !recallingRooms.isEmpty else { return }
    recallingRooms.removeAll { room in
      guard let recall = room.recall else { return true }
      guard recall.expiresAt <= now, room.catchUps.isEmpty else { return false }
      recallBytes -= recall.byteCount
      room.recall = nil
      return true
    }
  }
}
