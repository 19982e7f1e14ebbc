import ClientProtocol
import JSONCore

/// Which rooms keep their recent messages for clients that resume, and how many bytes that takes.
/// Confined to the loop that created its hub.
final class RecoveryCaches {
  private let context: HubContext
  /// Bytes that rooms keep as recent messages.
  private(set) var cachedBytes = 0
  /// Rooms that keep them, in the order in which they began to.
  private var cachingRooms: [Room] = []

  init(_ context: HubContext) {
    self.context = context
  }

  /// Has a room keep its messages from here on, for clients that resume or catch up in it.
  func keep(for room: Room) {
    guard let stream = room.stream else { return }
    let expiresAt = context.steady() + Limits.recoveryCacheMilliseconds
    guard room.recoveryCache == nil else {
      room.recoveryCache?.expiresAt = expiresAt
      return
    }
    room.recoveryCache = RecoveryCache(after: stream.position.offset, expiresAt: expiresAt)
    cachingRooms.append(room)
  }

  /// Changes what a room keeps, within the bytes of the node: rooms that have kept theirs longest drop them.
  func change(of room: Room, _ change: (inout RecoveryCache) -> Void) {
    guard room.recoveryCache != nil else { return }
    let before = room.recoveryCache?.byteCount ?? 0
    change(&room.recoveryCache!)  // Safe because it was just seen.
    cachedBytes += (room.recoveryCache?.byteCount ?? 0) - before
    while cachedBytes > Limits.recoveryCacheNodeBytesMax, let oldest = cachingRooms.first {
      drop(of: oldest)
    }
  }

  func drop(of room: Room) {
    guard let cache = room.recoveryCache else { return }
    cachedBytes -= cache.byteCount
    room.recoveryCache = nil
    cachingRooms.removeAll { $0 === room }
  }

  /// Drops what nobody asks for any more. Called by `expire`.
  func expire(at now: UInt64) {
    guard !cachingRooms.isEmpty else { return }
    cachingRooms.removeAll { room in
      guard let cache = room.recoveryCache else { return true }
      guard cache.expiresAt <= now, room.catchUps.isEmpty, !room.isPolled else { return false }
      cachedBytes -= cache.byteCount
      room.recoveryCache = nil
      return true
    }
  }
}
