import ClientProtocol

/// Where a socket is in each of its rooms: of one that is in others than its default room alone. Its offsets are made of that.
///
/// It never changes, so that the members of a room who are in the same other rooms share it, and the packets that carry it.
final class SocketRooms {
  /// The names, in the order of the offset's parts.
  private let rooms: [[UInt8]]
  /// The offset of an event after which its client is here.
  let offset: [UInt8]

  private init(_ rooms: [[UInt8]], _ offset: [UInt8]) { (self.rooms, self.offset) = (rooms, offset) }

  /// - Parameter rooms: nil for a room without a position, such as a wildcard.
  convenience init(_ rooms: [(room: [UInt8], position: Position?)] = []) {
    var offset: [UInt8] = []
    RecoveryOffset.begin(&offset)
    for (index, place) in rooms.enumerated() {
      if index > 0 { RecoveryOffset.separate(&offset) }
      RecoveryOffset.appendPart(of: place.room, at: place.position, to: &offset)
    }
    self.init(rooms.map(\.room), offset)
  }

  /// The one room that it is in, or nil.
  var onlyRoom: [UInt8]? { rooms.count == 1 ? rooms[0] : nil }

  /// After a room was joined.
  ///
  /// - Parameter position: where the client is in it; nil: where it was, or nowhere.
  func joined(_ room: [UInt8], at position: Position?) -> SocketRooms {
    if rooms.contains(room) { return position.map { moved(room, to: $0) } ?? self }
    var joined = offset
    if !rooms.isEmpty { RecoveryOffset.separate(&joined) }
    RecoveryOffset.appendPart(of: room, at: position, to: &joined)
    return SocketRooms(rooms + [room], joined)
  }

  /// After a room was left.
  func left(_ room: [UInt8]) -> SocketRooms {
    guard let index = rooms.firstIndex(of: room), let part = RecoveryOffset.part(index, of: offset) else { return self }
    var (rest, text) = (rooms, offset)
    rest.remove(at: index)
    // One byte stands before each part but the first.
    let start = index > 0 ? part.lowerBound - 1 : part.lowerBound
    text.removeSubrange(start..<(index > 0 || rest.isEmpty ? part.upperBound : part.upperBound + 1))
    return SocketRooms(rest, text)
  }

  /// After its client was given more of a room; itself when that is none of its rooms.
  func moved(_ room: [UInt8], to position: Position) -> SocketRooms {
    guard let place = place(of: room) else { return self }
    var text: [UInt8] = []
    text.reserveCapacity(offset.count + 4)
    text += offset[..<place.lowerBound]
    position.append(to: &text)
    text += offset[place.upperBound...]
    return SocketRooms(rooms, text)
  }

  /// Where the position in a room stands in the offset; nil: it is none of its rooms.
  func place(of room: [UInt8]) -> Range<Int>? {
    guard let index = rooms.firstIndex(of: room), let part = RecoveryOffset.part(index, of: offset) else { return nil }
    return RecoveryOffset.position(in: part, of: offset)
  }

  /// Whether both are in the same rooms, at the same places.
  @inline(__always)
  func isSame(as other: SocketRooms) -> Bool { self === other || offset == other.offset }
}
