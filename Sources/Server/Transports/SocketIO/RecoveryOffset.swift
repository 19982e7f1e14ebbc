import ClientProtocol
import SocketIOCore

/// A room of a client that comes back, and where it was there.
struct RecoveryPlace: Equatable {
  let room: [UInt8]
  /// Nil: it joins as it did the first time.
  let since: Position?
}

/// The offset of an event (connection state recovery): where its client is after it. Pure; needs no escapes in JSON.
///
/// `EPOCH:OFFSET` of a client that is in its default room alone; else `~` and, with commas between them, `ROOM@EPOCH:OFFSET` of
/// each of its rooms, or `ROOM@` of a wildcard, which has no position. Bytes of a room's name that have a meaning here or in
/// JSON are percent-encoded. It names the rooms, because no node remembers them.
enum RecoveryOffset {
  private static let mark = UInt8(ascii: "~")
  private static let separator = UInt8(ascii: ",")
  private static let at = UInt8(ascii: "@")
  private static let escape = UInt8(ascii: "%")

  static func begin(_ output: inout [UInt8]) { output.append(mark) }
  static func separate(_ output: inout [UInt8]) { output.append(separator) }

  /// Appends the part of a room in an offset of several.
  static func appendPart(of room: [UInt8], at position: Position?, to output: inout [UInt8]) {
    append(room, to: &output)
    output.append(at)
    position?.append(to: &output)
  }

  /// Where a part stands in an offset of several, by its number; nil: there are not so many.
  static func part(_ number: Int, of offset: [UInt8]) -> Range<Int>? {
    var start = 1
    for _ in 0..<number {
      guard let end = offset[start...].firstIndex(of: separator) else { return nil }
      start = end + 1
    }
    return start..<(offset[start...].firstIndex(of: separator) ?? offset.count)
  }

  /// Where the position stands in a part.
  static func position(in part: Range<Int>, of offset: [UInt8]) -> Range<Int>? {
    offset[part].firstIndex(of: at).map { ($0 + 1)..<part.upperBound }
  }

  /// Appends a name so that no byte of it has a meaning here or in JSON.
  static func append(_ name: [UInt8], to output: inout [UInt8]) {
    for byte in name {
      switch byte {
      case escape, separator, at, mark, UInt8(ascii: "\""), UInt8(ascii: "\\"), 0...0x20, 0x7F...0xFF:
        output += [escape, digit(byte >> 4), digit(byte & 15)]
      default: output.append(byte)
      }
    }
  }

  /// Reads an offset; nil: it is none.
  ///
  /// - Parameters:
  ///   - defaultRoom: of the client's namespace.
  ///   - roomsMax: rooms that a connection may be in.
  static func places(in text: [UInt8], defaultRoom: [UInt8], roomsMax: Int) -> [RecoveryPlace]? {
    if let position = Position(text: text.span) { return [RecoveryPlace(room: defaultRoom, since: position)] }
    guard text.first == mark else { return nil }
    var places: [RecoveryPlace] = []
    if text.count == 1 { return places }
    for part in text.dropFirst().split(separator: separator, omittingEmptySubsequences: false) {
      guard places.count < roomsMax, let end = part.firstIndex(of: at), let room = decode(part[..<end]),
        RoomName.isValid(room.span), !places.contains(where: { $0.room == room })
      else { return nil }
      let rest = Array(part[(end + 1)...])
      let position = Position(text: rest.span)
      guard position != nil || rest.isEmpty else { return nil }
      places.append(RecoveryPlace(room: room, since: position))
    }
    return places
  }

  private static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
  }

  /// Reads a name that `append` has written; nil: it is none.
  static func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    var bytes: [UInt8] = []
    var index = text.startIndex
    while index < text.endIndex {
      guard text[index] == escape else {
        bytes.append(text[index])
        index += 1
        continue
      }
      guard index + 2 < text.endIndex, let high = value(text[index + 1]), let low = value(text[index + 2]) else {
        return nil
      }
      bytes.append(high << 4 | low)
      index += 3
    }
    return bytes
  }

  private static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}

/// The id by which a client recovers (`pid`): 64 random bits, where its default room was when it connected, for a client that
/// comes back before any event has told it more, and its user, with dots between them. It proves nothing: who comes back has
/// to say anew who it is. Pure.
struct RecoveryID {
  /// Where the default room was.
  let start: Position
  let user: [UInt8]

  private static let digits = 16
  private static let separator = UInt8(ascii: ".")

  init(start: Position, user: [UInt8]) { (self.start, self.user) = (start, user) }

  /// Reads what `makeText` writes; nil for anything else.
  init?(_ text: [UInt8]) {
    let parts = text.split(separator: RecoveryID.separator, maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0].count == RecoveryID.digits, parts[0].allSatisfy(RecoveryID.isDigit) else {
      return nil
    }
    let middle = Array(parts[1])
    guard let start = Position(text: middle.span), let user = RecoveryOffset.decode(parts[2]) else { return nil }
    self.init(start: start, user: user)
  }

  /// Makes the text of an id, another one each time.
  func makeText() -> [UInt8] {
    var text: [UInt8] = []
    var rest = UInt64.random(in: 0...(.max))
    for _ in 0..<RecoveryID.digits {
      let digit = UInt8(truncatingIfNeeded: rest & 15)
      text.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
      rest >>= 4
    }
    text.append(RecoveryID.separator)
    start.append(to: &text)
    text.append(RecoveryID.separator)
    RecoveryOffset.append(user, to: &text)
    return text
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
  }
}

/// What a client that comes back asks for.
struct Recovery {
  /// The text of the id that it was given.
  let id: [UInt8]
  /// The user that the id is of.
  let user: [UInt8]
  /// Its rooms, and where it was in each.
  let places: [RecoveryPlace]

  /// Nil: it asks for nothing that can be given.
  ///
  /// - Parameters:
  ///   - offset: of the last event that it got; nil: it got none.
  ///   - namespace: that it connects to; empty: the main one.
  ///   - roomsMax: rooms that a connection may be in.
  init?(id: [UInt8], offset: [UInt8]?, namespace: [UInt8], defaultRoom: [UInt8], roomsMax: Int) {
    guard let known = RecoveryID(id) else { return nil }
    let start = known.start
    var places = [RecoveryPlace(room: defaultRoom, since: start)]
    if let offset {
      guard let read = RecoveryOffset.places(in: offset, defaultRoom: defaultRoom, roomsMax: roomsMax) else {
        return nil
      }
      places = read.map { place in
        // An offset before the beginning is of an earlier connection, which was not recovered.
        guard place.room == defaultRoom, let since = place.since, since.epoch == start.epoch,
          since.offset < start.offset
        else { return place }
        return RecoveryPlace(room: place.room, since: start)
      }
    }
    // What a wildcard has missed nobody can tell.
    guard places.allSatisfy({ $0.since != nil && Recovery.isIn(namespace, $0.room) }) else { return nil }
    self.id = id
    user = known.user
    self.places = places
  }

  private static func isIn(_ namespace: [UInt8], _ room: [UInt8]) -> Bool {
    room[Namespace.location(ofNative: room.span).namespace].elementsEqual(namespace)
  }
}
