import ClientProtocol

/// Where a socket is in each of its rooms: of one that is in others than its default room alone. Its offsets are made of that.
///
/// It never changes, so that the members of a room who are in the same other rooms share it, and the packets that carry it.
final class SocketRooms {
  private struct Place {
    let room: [UInt8]
    /// Its part of an offset.
    let part: [UInt8]

    /// - Parameter position: nil: it has none, as a wildcard.
    init(_ room: [UInt8], at position: Position?) {
      self.room = room
      part = RecoveryOffset.part(of: room, at: position)
    }
  }

  private let places: [Place]
  /// The offset of an event after which its client is here.
  let offset: [UInt8]

  private init(_ places: [Place]) {
    self.places = places
    var offset: [UInt8] = []
    RecoveryOffset.begin(&offset)
    for (index, place) in places.enumerated() {
      if index > 0 { RecoveryOffset.separate(&offset) }
      offset += place.part
    }
    self.offset = offset
  }

  /// - Parameter rooms: nil for a room without a position.
  convenience init(_ rooms: [(room: [UInt8], position: Position?)] = []) {
    self.init(rooms.map { Place($0.room, at: $0.position) })
  }

  /// The one room that it is in, or nil.
  var onlyRoom: [UInt8]? { places.count == 1 ? places[0].room : nil }

  /// After a room was joined.
  ///
  /// - Parameter position: where the client is in it; nil: where it was, or nowhere.
  func joined(_ room: [UInt8], at position: Position?) -> SocketRooms {
    if places.contains(where: { $0.room == room }) { return position.map { moved(room, to: $0) } ?? self }
    return SocketRooms(places + [Place(room, at: position)])
  }

  /// After a room was left.
  func left(_ room: [UInt8]) -> SocketRooms { SocketRooms(places.filter { $0.room != room }) }

  /// After its client was given more of a room; itself when that is none of its rooms.
  func moved(_ room: [UInt8], to position: Position) -> SocketRooms {
    guard let index = places.firstIndex(where: { $0.room == room }) else { return self }
    var moved = places
    moved[index] = Place(room, at: position)
    return SocketRooms(moved)
  }

  /// What stands in offsets before and after the position in a room; nil: it is none of its rooms.
  func split(at room: [UInt8]) -> (head: [UInt8], tail: [UInt8])? {
    guard let index = places.firstIndex(where: { $0.room == room }) else { return nil }
    // One byte before each part.
    let start = places[..<index].reduce(1) { $0 + $1.part.count + 1 }
    let head = Array(offset[..<start]) + RecoveryOffset.part(of: room, at: nil)
    return (head, Array(offset[(start + places[index].part.count)...]))
  }

  /// Whether both are in the same rooms, at the same places.
  @inline(__always)
  func isSame(as other: SocketRooms) -> Bool { self === other || offset == other.offset }
}
