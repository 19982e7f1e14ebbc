// Rooms that are flushed at most once in an interval.

extension Hub {
  /// Holds a room's next flush back until its interval has passed. Whoever joins meanwhile waits with it, because a
  /// place in the stream can be given only where a flush ends.
  func pace(_ room: Room) {
    guard receiverCount(room) > 0 || !wildcards(of: room).isEmpty else { return }
    room.isPaced = true
    after(room.rule.throttleMilliseconds) { [weak self] in
      room.isPaced = false
      if room.isDirty { self?.dirtyRooms.append(room) }
    }
  }

  /// Reduces a batch to the newest message of each key.
  func conflate(_ batch: RoomBatch, of room: Room) {
    counters.slowConflated += UInt64(batch.conflate(by: room.rule.key) * receiverCount(room))
  }

  private func receiverCount(_ room: Room) -> Int {
    DeliveryForm.allCases.reduce(0) { $0 + room.rosters[form: $1].count }
  }
}
