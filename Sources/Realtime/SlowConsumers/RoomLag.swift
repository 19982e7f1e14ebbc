/// A room's members whose connections take nothing at the moment, and what the room keeps for them meanwhile.
///
/// They are out of the roster: a fan-out does not look at them. What is kept is the room's, not each member's, so the
/// memory that slow readers cost does not grow with their number. Confined to the loop that created the hub.
final class RoomLag {
  /// A member that lags.
  struct Member {
    let session: UInt32
    /// The number of the first entry that it has not got.
    var next: UInt64
    /// The offset of the last message that it got, or where the room stood when it came.
    var offset: UInt64
    /// Whether an epoch has begun since: its own offset means nothing any more.
    var isOfEarlierEpoch = false
  }

  var buffer = LagBuffer()
  var members: [Member] = []
  /// The number of the entry that announces the epoch.
  private(set) var epochSequence: UInt64 = 0

  /// Notes that an epoch begins after an offset. Entries of the one before are dropped, unless this one continues it.
  func begin(at offset: UInt64, isWhole: Bool) {
    if !isWhole { buffer.begin() }
    epochSequence = buffer.nextSequence
    for index in members.indices {
      members[index].isOfEarlierEpoch = true
      guard !isWhole else { continue }
      members[index].next = buffer.nextSequence
      members[index].offset = offset
    }
  }
}
