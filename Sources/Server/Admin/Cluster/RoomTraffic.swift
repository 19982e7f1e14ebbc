import ClientProtocol
import Realtime
import TimeCore

/// A room in a list of the largest or busiest.
struct RoomLoad: Equatable {
  let name: [UInt8]
  /// Connections in it.
  var connectionCount: Int
  /// Messages published in it in ten seconds, on all nodes; nil: not known yet.
  var messagesInTenSeconds: UInt64?
}

/// The rooms of a node with the most connections and with the most messages.
///
/// A message costs nothing: a room's rate is how far its offset went between two looks. What the last look saw is kept while
/// somebody goes on looking. Confined to the loop that created it.
final class RoomTraffic {
  /// Rooms of each of the two lists.
  static let roomsMax = 100
  /// Rooms that one look sees: 10 ms of the loop at the most. Of a node with more it sees some.
  static let lookMax = 100_000
  /// The shortest time between two looks: what was seen then answers in between.
  static let interval = Interval.seconds(2)
  /// The time without questions after which the last look is forgotten.
  static let memory = Interval.seconds(30)

  private struct Look {
    let at: Instant
    var positions: [[UInt8]: Position] = [:]
  }

  private let inspector: HubInspector
  private var last: Look?
  private var rooms: [RoomLoad] = []

  init(_ hub: Hub) { inspector = HubInspector(hub) }

  /// The rooms of both lists, in no order.
  func top(at now: Instant) -> [RoomLoad] {
    if let last, now - last.at < RoomTraffic.interval { return rooms }
    let before = last.flatMap { now - $0.at < RoomTraffic.memory ? $0 : nil }
    var look = Look(at: now)
    var byConnections = TopList(max: RoomTraffic.roomsMax)
    var byMessages = TopList(max: RoomTraffic.roomsMax)
    inspector.forEachRoom(max: RoomTraffic.lookMax) { room in
      var load = RoomLoad(name: room.name, connectionCount: room.connectionCount)
      if let position = room.position {
        look.positions[room.name] = position
        if let before, let earlier = before.positions[room.name] {
          load.messagesInTenSeconds = RoomTraffic.rate(from: earlier, to: position, in: now - before.at)
        }
      }
      if load.connectionCount > 0 { byConnections.add(load, UInt64(load.connectionCount)) }
      if let rate = load.messagesInTenSeconds, rate > 0 { byMessages.add(load, rate) }
    }
    last = look
    var seen: Set<[UInt8]> = []
    rooms = (byConnections.rooms + byMessages.rooms).filter { seen.insert($0.name).inserted }
    return rooms
  }

  /// Forgets the last look when nobody has asked for long. Called now and then.
  func expire(at now: Instant) {
    guard let last, now - last.at >= RoomTraffic.memory else { return }
    self.last = nil
    rooms = []
  }

  private static func rate(from earlier: Position, to position: Position, in time: Interval) -> UInt64? {
    guard earlier.epoch == position.epoch, position.offset >= earlier.offset, time.milliseconds > 0 else { return nil }
    // No room comes near it, and the product fits.
    let count = min(position.offset - earlier.offset, 1 << 40)
    return count * 10_000 / UInt64(time.milliseconds)
  }
}

/// The largest of many rooms. Pure.
struct TopList {
  private let max: Int
  private var entries: [(value: UInt64, room: RoomLoad)] = []

  init(max: Int) { self.max = max }

  /// The rooms, largest first; of two alike, by name.
  var rooms: [RoomLoad] { entries.map(\.room) }

  /// Adds a room, if it is among the largest so far.
  mutating func add(_ room: RoomLoad, _ value: UInt64) {
    if entries.count == max, let last = entries.last, !TopList.precedes((value, room), last) { return }
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      if TopList.precedes(entries[middle], (value, room)) { low = middle + 1 } else { high = middle }
    }
    entries.insert((value, room), at: low)
    if entries.count > max { entries.removeLast() }
  }

  private static func precedes(_ a: (value: UInt64, room: RoomLoad), _ b: (value: UInt64, room: RoomLoad)) -> Bool {
    a.value == b.value ? a.room.name.lexicographicallyPrecedes(b.room.name) : a.value > b.value
  }
}

extension RoomLoad {
  /// Writes rooms as nodes send them: of each its name, its connections, and its messages with one more (0: not known).
  static func encode(_ rooms: [RoomLoad]) -> [UInt8] {
    var output: [UInt8] = []
    for room in rooms {
      Varint.append(bytes: room.name, to: &output)
      Varint.append(UInt64(room.connectionCount), to: &output)
      Varint.append(room.messagesInTenSeconds.map { $0 &+ 1 } ?? 0, to: &output)
    }
    return output
  }

  /// Reads what `encode` writes; nil for anything else.
  static func decode(_ bytes: [UInt8]) -> [RoomLoad]? {
    var (rooms, cursor): ([RoomLoad], Int) = ([], 0)
    while cursor < bytes.count {
      guard rooms.count < 2 * RoomTraffic.roomsMax,
        let name = Varint.readBytes(bytes, &cursor, max: RoomName.bytesMax), RoomName.isValid(name.span),
        let connections = Varint.read(bytes, &cursor), connections < UInt64(UInt32.max),
        let rate = Varint.read(bytes, &cursor)
      else { return nil }
      let load = RoomLoad(
        name: name, connectionCount: Int(connections), messagesInTenSeconds: rate > 0 ? rate - 1 : nil)
      rooms.append(load)
    }
    return rooms
  }
}
