import ClientProtocol
import Realtime

/// The rooms that an event stream was opened for: which of them are joined, and, where there are several, where the stream
/// is in each: its ids are made of that. Confined to the loop of its connection.
final class StreamRooms {
  /// The names in the order asked, wildcards included, each once.
  let names: [[UInt8]]
  /// Where the client was in each of them when it came; nil: it came for the first time.
  private let resumedFrom: [Position]?
  /// Joins that were answered.
  private(set) var joinedCount = 0
  /// The rooms that have positions, in the order asked: those that are no wildcards.
  private let positioned: [[UInt8]]
  /// The part of each of them in an id; empty before its first position. Kept only where there are several.
  private var parts: [[UInt8]] = []
  private var idByteCount = 1
  /// The answers to joins that wait for an id that they can share, and where the last of the rooms is.
  private var held: (events: [UInt8], position: Position)?
  private var idBytesAtRelease = 0

  /// - Parameters:
  ///   - names: the rooms and wildcards in the order asked, each once.
  ///   - lastEventID: the id of the last event that the client has; nil: it comes for the first time.
  init(names: [[UInt8]], lastEventID: [UInt8]?) {
    self.names = names
    positioned = names.filter { !RoomName.isWildcard($0.span) }
    let positions = lastEventID.map { StreamID.positions(in: $0.span, of: names) }
    resumedFrom = positions
    guard positioned.count > 1 else { return }
    parts = positioned.map { _ in [] }
    // What is not joined yet stays where it was: a stream that ends before it is joined resumes there.
    guard let positions else { return }
    for (name, position) in zip(names, positions) where position.epoch != .unknown {
      if let place = place(of: name) { move(place, to: position) }
    }
  }

  /// Whether it is one room and nothing else, whose positions are the ids.
  var isOne: Bool { names.count == 1 && positioned.count == 1 }

  /// The next room to join; nil: all are joined.
  var next: (name: [UInt8], since: Position?)? {
    guard joinedCount < names.count else { return nil }
    return (names[joinedCount], resumedFrom?[joinedCount])
  }

  /// Notes that a room was joined. Returns whether it is the one whose turn it was.
  func noteJoined(_ name: [UInt8]) -> Bool {
    guard joinedCount < names.count, names[joinedCount] == name else { return false }
    joinedCount += 1
    return true
  }

  /// Holds the answer to a join back. With an id of all rooms for each of many joins, ids would be nearly all that is sent.
  func hold(_ event: [UInt8], at position: Position) { held = ((held?.events ?? []) + event, position) }

  /// Whether what is held back should be sent: ids are short, this one has grown by much since the last one, or all rooms
  /// are joined.
  func isReleaseDue(idBytesOfEach: Int) -> Bool {
    next == nil || idByteCount <= idBytesOfEach || idByteCount >= idBytesAtRelease + idBytesOfEach
  }

  /// Takes what is held back.
  func release() -> (events: [UInt8], position: Position)? {
    defer { (held, idBytesAtRelease) = (nil, idByteCount) }
    return held
  }

  /// The place of a room among those that ids tell of; nil: ids do not tell of it.
  func place(of room: [UInt8]) -> Int? { positioned.firstIndex(of: room) }

  /// Bytes of an id.
  var idBytes: Int { idByteCount }

  /// Moves on in a room.
  func move(_ place: Int, to position: Position) {
    guard positioned.count > 1 else { return }
    let name = positioned[place]
    let part = StreamID.part(of: name.span, at: position)
    idByteCount += part.count - parts[place].count + (parts[place].isEmpty ? 1 : 0)
    parts[place] = part
  }

  /// Appends the id of an event after which the client is at a position in a room.
  func appendID(at position: Position, to output: inout [UInt8]) {
    guard positioned.count > 1 else { return position.append(to: &output) }
    StreamID.begin(&output)
    for part in parts where !part.isEmpty { StreamID.append(part, to: &output) }
  }
}
