import ClientProtocol
import JSONCore

/// How rooms come into being on this node, and how they end.
///
/// A room whose last local member has gone lingers. A room that nobody here has joined comes into being with the first
/// message that a wildcard brings from it, and has a stream from then on: so its order is kept and its gaps are filled as
/// those of a joined room are.
/// Confined to the loop that created its hub.
final class RoomLifetimes {
  private let context: HubContext
  private let wildcards: WildcardTable
  private let fanOut: FanOut
  private let streams: RoomStreams
  /// Rooms without local members, in the order in which their time is up.
  private var lingering: [(deadline: UInt64, room: Room)] = []
  /// Rooms that only wildcards keep, in the order of their deadlines.
  private var wildcardRooms: [WildcardRoom] = []

  /// A room without local members that a wildcard keeps.
  private struct WildcardRoom {
    /// Milliseconds at which it is looked at again.
    let deadline: UInt64
    /// Where it was at the last look: a room that has not moved since is idle.
    let position: Position?
    let room: Room
  }

  init(_ context: HubContext, wildcards: WildcardTable, fanOut: FanOut, streams: RoomStreams) {
    self.context = context
    self.wildcards = wildcards
    self.fanOut = fanOut
    self.streams = streams
  }

  func makeRoom(_ name: Span<UInt8>) -> Room {
    let room = Room(name: [UInt8](copying: name), rule: context.configuration.rules.rule(for: name))
    context.rooms.insert(room)
    context.counters.rooms = context.rooms.count
    context.observers.report(.rooms, .roomCreated(room.name))
    return room
  }

  /// Makes the room of a message that came through a wildcard, or returns nil when no wildcard matches.
  func makeWildcardRoom(_ name: Span<UInt8>) -> Room? {
    guard !wildcards.isEmpty, RoomName.isValid(name), !wildcards.matching(name).isEmpty else { return nil }
    if wildcardRooms.count >= Limits.wildcardRoomsMax { endOldestWildcardRooms() }
    let room = makeRoom(name)
    room.phase = .entering
    watchIdleness(of: room)
    return room
  }

  /// Ends a room's life on this node. What it has gathered is delivered first.
  private func end(_ room: Room) {
    fanOut.deliverBatch(of: room)
    context.rooms.remove(room.name)
    context.observers.report(.rooms, .roomEnded(room.name))
    streams.forget(room)
    context.broker.unsubscribe(room: room.name)
    room.isSubscribed = false
  }

  /// Ends the rooms that only wildcards kept and that none keeps any more: what is published there does not come here.
  /// A room that lingers after its last member is subscribed by its own channel, and ends when its time is up.
  func endUnmatchedRooms() {
    for room in wildcardRooms.map(\.room) where room.subscriberCount == 0 && !room.isSubscribed && context.isKnown(room)
    {
      if room.joinsWaiting.isEmpty, fanOut.wildcards(of: room).isEmpty { end(room) }
    }
  }

  /// A room whose last local member has gone stays while a wildcard matches it.
  private func keepForWildcards(_ room: Room) {
    guard room.joinsWaiting.isEmpty else {
      // Its subscription is still being confirmed, for clients that have gone: the answer must not find it given up.
      return linger(room)
    }
    context.broker.unsubscribe(room: room.name)
    room.isSubscribed = false
    watchIdleness(of: room)
  }

  private func watchIdleness(of room: Room) {
    guard !room.isWatchedForIdleness else { return }
    room.isWatchedForIdleness = true
    wildcardRooms.append(
      WildcardRoom(
        deadline: context.steady() + Limits.wildcardRoomIdleMilliseconds, position: room.stream?.position, room: room))
  }

  private func look(at entry: WildcardRoom) {
    let room = entry.room
    room.isWatchedForIdleness = false
    // A room with local members is watched again when the last of them has gone.
    guard room.subscriberCount == 0, context.isKnown(room) else { return }
    if entry.position == room.stream?.position { end(room) } else { watchIdleness(of: room) }
  }

  /// At the limit those that were looked at longest ago make place. Their next message makes them again.
  private func endOldestWildcardRooms() {
    let oldest = wildcardRooms.prefix(max(1, Limits.wildcardRoomsMax / 16))
    wildcardRooms.removeFirst(oldest.count)
    for entry in oldest {
      entry.room.isWatchedForIdleness = false
      if entry.room.subscriberCount == 0, context.isKnown(entry.room) { end(entry.room) }
    }
  }

  /// Lets a room linger whose last local member has gone.
  func linger(_ room: Room) {
    lingering.append((deadline: context.steady() + Limits.roomLingerMilliseconds, room: room))
  }

  /// Ends the rooms that nobody came back to.
  func expireLingering(at now: UInt64) {
    guard let first = lingering.first, first.deadline <= now else { return }
    var ended = 0
    while ended < lingering.count, lingering[ended].deadline <= now {
      let room = lingering[ended].room
      ended += 1
      guard room.subscriberCount == 0, context.isKnown(room) else { continue }
      if fanOut.wildcards(of: room).isEmpty { end(room) } else { keepForWildcards(room) }
    }
    lingering.removeFirst(ended)
  }

  /// Looks at the rooms that only wildcards keep, and whose time is up.
  func expireWildcardRooms(at now: UInt64) {
    guard let first = wildcardRooms.first, first.deadline <= now else { return }
    let heard = wildcardRooms.prefix { $0.deadline <= now }
    wildcardRooms.removeFirst(heard.count)
    for entry in heard { look(at: entry) }
  }
}
