import ClientProtocol

/// A member of a room that is not where the room is yet: it resumes, or could not take a backlog as fast as the node had it.
///
/// It stands in no roster. It reads the room's history, or the recent messages that the node keeps, as fast as its socket
/// takes them, until it is where the room is; then it enters the roster. Confined to the loop that created its hub.
final class CatchUp {
  /// An epoch that the room has begun meanwhile.
  struct Transition: Equatable {
    /// The last offset that belongs to the epoch before.
    var offset: UInt64
    /// Whether nothing is missing between the two.
    var isWhole: Bool

    /// Two epochs that began one after the other, as they are announced to a member that saw neither.
    func followed(by next: Transition) -> Transition {
      Transition(offset: min(offset, next.offset), isWhole: isWhole && next.isWhole)
    }
  }

  let session: SlabID
  let room: Room
  /// Its place among those of the room.
  var place = 0
  /// The last message that it was given or that it does not get. In the room's epoch, once `transition` was announced.
  var offset: UInt64
  /// Where it is in the room's stream; nil: the room has none.
  var position: Position? { room.stream.map { $0.position.at(offset) } }
  /// The epoch that was not announced to it yet.
  var transition: Transition?
  /// Whether a page of history was asked for.
  var isReading = false
  /// Whether the last page did not help: it is asked for again within a second.
  var isStalled = false
  /// When the client asked to resume, in milliseconds of the clock that no one can set; nil: it did not ask.
  var began: UInt64?

  init(session: SlabID, room: Room, offset: UInt64) {
    self.session = session
    self.room = room
    self.offset = offset
  }
}

/// The members of a room that are catching up.
struct CatchUps {
  private(set) var all: [CatchUp] = []
  /// The same by their sessions' places.
  private var bySession: [UInt32: CatchUp] = [:]

  /// The one of a session, or nil.
  subscript(session session: SlabID) -> CatchUp? {
    guard let member = bySession[session.index], member.session == session else { return nil }
    return member
  }

  var isEmpty: Bool { all.isEmpty }

  mutating func add(_ member: CatchUp) {
    member.place = all.count
    all.append(member)
    bySession[member.session.index] = member
  }

  /// Fills the hole with the last one: constant time however many there are.
  mutating func remove(_ member: CatchUp) {
    guard member.place < all.count, all[member.place] === member else { return }
    let last = all.removeLast()
    // A room in which nobody catches up keeps no table.
    if all.isEmpty { bySession = [:] } else { bySession[member.session.index] = nil }
    guard last !== member else { return }
    all[member.place] = last
    last.place = member.place
  }
}
