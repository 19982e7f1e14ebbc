import ClientProtocol

/// Follows a room's position and judges each arriving message: pure, a table of inputs and verdicts.
struct RoomStream {
  enum Verdict: Equatable {
    /// The next one: deliver it.
    case next
    /// Delivered before: drop it.
    case repeated
    /// One or more are missing in between: recover first.
    case skipped
    /// The counter was lost and began again: recover from its beginning.
    case newEpoch
  }

  /// The last message delivered, or where the room stood when it was entered.
  private(set) var position: Position

  init(at position: Position) { self.position = position }

  /// Judges a message and, when it is the next one, moves on to it.
  mutating func receive(_ arrived: Position) -> Verdict {
    guard arrived.epoch == position.epoch else { return .newEpoch }
    if arrived.offset <= position.offset { return .repeated }
    guard arrived.offset == position.offset + 1 else { return .skipped }
    position = arrived
    return .next
  }

  /// Moves forward over messages that cannot be had any more. Returns their offsets, or nil when there are none.
  mutating func skip(to offset: UInt64) -> ClosedRange<UInt64>? {
    guard offset > position.offset else { return nil }
    defer { position = position.at(offset) }
    return (position.offset + 1)...offset
  }
}
