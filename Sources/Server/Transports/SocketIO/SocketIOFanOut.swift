import ClientProtocol
import Realtime
import SocketIOCore

/// What a fan-out shares among members, each made with the first member that needs it.
struct SocketIOFanOut {
  /// The batch for members of several rooms, who are at one place before it and at another one after it.
  struct OwnBlock {
    let before: SocketRooms
    let after: SocketRooms
    let bytes: [UInt8]
  }

  /// What decides how a member gets a block.
  struct Pace {
    let sparing: Bool
    /// Whether nothing else of this tick can be for a member.
    let isAlone: Bool
    let isBacklog: Bool
  }

  /// In which form a member gets its packets.
  enum Form { case frames, payload }

  /// Blocks for members of several rooms that are kept for the next ones: of members who are in the same rooms.
  private static let ownBlocksMax = 8

  let batch: RoomBatch
  let room: [UInt8]
  /// The namespace of the room; empty: the main one.
  let namespace: [UInt8]
  let pace: Pace
  private let hasOffsets: Bool
  var posted: SendQueues.PostedBlock?
  /// The block of which `posted` has the bytes, as the place of its rooms.
  var ownPosted: (before: SocketRooms, posted: SendQueues.PostedBlock?)?
  /// Sockets of connections that were found to take no more.
  var unwritable: [UInt32] = []
  private var madeShared: SocketIOBatch?
  private var madeBare: SocketIOBatch?
  private var madeFrames: [UInt8]?
  private var madePayload: [UInt8]?
  private var ownFrames: [OwnBlock] = []
  private var ownPayloads: [OwnBlock] = []

  /// - Parameter hasOffsets: whether clients recover by offsets.
  init(_ batch: RoomBatch, _ room: [UInt8], sparing: Bool, isAlone: Bool, hasOffsets: Bool) {
    (self.batch, self.room, self.hasOffsets) = (batch, room, hasOffsets)
    pace = Pace(sparing: sparing, isAlone: isAlone, isBacklog: batch.isBacklog)
    namespace = Array(room[Namespace.location(ofNative: room.span).namespace])
  }

  /// The packets with the offsets of members of this room alone.
  private var shared: SocketIOBatch {
    mutating get {
      if let madeShared { return madeShared }
      let made = SocketIOBatch(batch, namespace: namespace.span, hasOffsets: hasOffsets)
      madeShared = made
      return made
    }
  }

  /// The packets without offsets.
  private var bare: SocketIOBatch {
    mutating get {
      if let madeBare { return madeBare }
      let made = SocketIOBatch(batch, namespace: namespace.span, hasOffsets: false)
      madeBare = made
      return made
    }
  }

  var frames: [UInt8] {
    mutating get {
      if let madeFrames { return madeFrames }
      let made = shared.frames()
      madeFrames = made
      return made
    }
  }

  var payload: [UInt8] {
    mutating get {
      if let madePayload { return madePayload }
      let made = shared.payload()
      madePayload = made
      return made
    }
  }

  mutating func frames(without skipped: Set<Int>) -> [UInt8] { shared.frames { skipped.contains($0) } }
  mutating func payload(without skipped: Set<Int>) -> [UInt8] { shared.payload { skipped.contains($0) } }

  // MARK: Members of several rooms

  /// The block for members who are in these rooms, at these places, and have sent nothing of the batch.
  @inline(__always)
  mutating func own(for rooms: SocketRooms, _ form: Form) -> OwnBlock {
    if form == .frames, let last = ownFrames.last, last.before === rooms { return last }
    return findOwn(for: rooms, form)
  }

  private mutating func findOwn(for rooms: SocketRooms, _ form: Form) -> OwnBlock {
    let known = form == .frames ? ownFrames : ownPayloads
    if let block = known.first(where: { $0.before.isSame(as: rooms) }) { return block }
    let block = makeOwn(for: rooms, form, namespace: nil, without: [])
    if form == .frames {
      if ownFrames.count == SocketIOFanOut.ownBlocksMax { ownFrames.removeFirst() }
      ownFrames.append(block)
    } else {
      if ownPayloads.count == SocketIOFanOut.ownBlocksMax { ownPayloads.removeFirst() }
      ownPayloads.append(block)
    }
    return block
  }

  /// Makes the block of one member. What stands before and after the offset is as in the packets of all, so a frame differs in
  /// its length and in its end.
  ///
  /// - Parameter namespace: of a member that is in the room of another one; nil: that of the room.
  mutating func makeOwn(
    for rooms: SocketRooms, _ form: Form, namespace: [UInt8]?, without skipped: Set<Int>
  ) -> OwnBlock {
    let bare = namespace.map { SocketIOBatch(batch, namespace: $0.span, hasOffsets: false) } ?? self.bare
    let last = bare.positions.indices.last { bare.positions[$0] != nil && !skipped.contains($0) }
    let isOnEach = rooms.offset.count <= EngineLimits.offsetBytesOfEach
    let place = rooms.place(of: room)
    var bytes: [UInt8] = []
    let expected = bare.packets.bytes.count + (rooms.offset.count + 24) * bare.positions.count
    bytes.reserveCapacity(expected)
    for (entry, position) in bare.positions.enumerated() where !skipped.contains(entry) {
      var suffix: PacketSuffix?
      if let position { suffix = isOnEach || entry == last ? PacketSuffix(rooms, place, position) : .placeless }
      if form == .frames {
        bare.appendFrames(entry, suffix, to: &bytes)
      } else {
        bare.appendPayload(entry, suffix, to: &bytes)
      }
    }
    var after = rooms
    if place != nil, case let end?? = bare.positions.last(where: { $0 != nil }) { after = rooms.moved(room, to: end) }
    return OwnBlock(before: rooms, after: after, bytes: bytes)
  }
}
