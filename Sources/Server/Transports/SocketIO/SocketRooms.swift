import ClientProtocol
import Realtime

/// Where a socket is in each of its rooms: of one that is in others than its default room alone. Its offsets are made of that.
final class SocketRooms {
  private struct Place {
    let room: [UInt8]
    /// Nil: a wildcard, which has no position, or a room that gave none yet.
    var position: Position?
    /// Its part of an offset.
    var part: [UInt8]
  }

  private var places: [Place] = []
  private var partBytes = 0
  /// Where the client said it was in rooms whose join is not answered.
  private var asked: [(room: [UInt8], since: Position)] = []

  var count: Int { places.count }

  /// The one room that it is in, or nil.
  var onlyRoom: [UInt8]? { places.count == 1 ? places[0].room : nil }

  /// Bytes of an offset.
  var offsetBytes: Int { partBytes + places.count }

  /// Notes from where a client asks to join a room.
  func noteAsked(_ room: [UInt8], since: Position) {
    asked.removeAll { $0.room == room }
    asked.append((room, since))
  }

  /// Notes that a room was joined.
  ///
  /// - Parameter position: where the client is in it; nil: where it said that it was, or nowhere: a wildcard has no place.
  func noteJoined(_ room: [UInt8], at position: Position?) {
    let since = asked.first { $0.room == room }?.since
    asked.removeAll { $0.room == room }
    if places.contains(where: { $0.room == room }) {
      if let position = position ?? since { move(room, to: position) }
    } else {
      let position = position ?? since
      let part = RecoveryOffset.part(of: room, at: position)
      places.append(Place(room: room, position: position, part: part))
      partBytes += part.count
    }
  }

  /// Notes that a room was left.
  func noteLeft(_ room: [UInt8]) {
    for place in places where place.room == room { partBytes -= place.part.count }
    places.removeAll { $0.room == room }
  }

  /// Moves on in a room, if it is one of them.
  func move(_ room: [UInt8], to position: Position) {
    guard let index = places.firstIndex(where: { $0.room == room }) else { return }
    let part = RecoveryOffset.part(of: room, at: position)
    partBytes += part.count - places[index].part.count
    places[index].part = part
    places[index].position = position
  }

  /// Appends the offset of an event after which the client is where it is now.
  func appendOffset(to output: inout [UInt8]) {
    RecoveryOffset.begin(&output)
    for (index, place) in places.enumerated() {
      if index > 0 { RecoveryOffset.separate(&output) }
      output += place.part
    }
  }
}
