import ClientProtocol
import JSONCore

/// The rooms that have something for the end of the tick, and the batches that they gather it in.
/// Confined to the loop that created its hub.
final class BatchQueue {
  private var dirtyRooms: [Room] = []
  private var spareBatches: [RoomBatch] = []
  /// Whether the batch being delivered is the only one of this tick: then a member's next bytes are surely this batch,
  /// and it can be sent at once instead of being queued for the end of the tick.
  private(set) var isDeliveringAlone = true

  func markDirty(_ room: Room) {
    guard !room.isDirty else { return }
    room.isDirty = true
    // A paced room is listed when its interval ends.
    if !room.isPaced { dirtyRooms.append(room) }
  }

  func recycle(_ batch: RoomBatch) {
    batch.removeAll()
    if spareBatches.count < 64 { spareBatches.append(batch) }
  }

  var isEmpty: Bool { dirtyRooms.isEmpty }

  /// Lists a room whose interval has ended, if it has anything to deliver.
  func listAfterInterval(_ room: Room) { if room.isDirty { dirtyRooms.append(room) } }

  /// Notes that the tick's end is over.
  func flushEnds() { isDeliveringAlone = true }

  /// Calls `body` with each room that is due. Delivering may make a room due again only through a broker's answer, which
  /// then waits for the next call. `flushEnds` must follow.
  func flush(_ body: (Room) -> Void) {
    var due: [Room] = []
    swap(&due, &dirtyRooms)
    isDeliveringAlone = due.count == 1
    for room in due { body(room) }
    due.removeAll(keepingCapacity: true)
    if dirtyRooms.isEmpty { swap(&due, &dirtyRooms) }
  }

  /// An empty batch; `recycle` takes it back.
  func takeSpare() -> RoomBatch { spareBatches.popLast() ?? RoomBatch() }

  /// Gives memory back after a crowd has left.
  func shrink() { spareBatches = [] }
}
