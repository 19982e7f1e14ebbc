/// Where a client is in several rooms, as one text: the id of the events of a stream of several rooms.
///
/// `~`, then for each room that has a position 3 digits that its name gives, 11 digits of its epoch and the digits of its
/// offset, the rooms separated by `.`; digits are of base 64 (RFC 4648 section 5), the highest first. It names no rooms:
/// its reader knows them. Some 17 bytes a room.
public enum StreamID {
  private static let mark = UInt8(ascii: "~")
  private static let separator = UInt8(ascii: ".")
  private static let tagDigits = 3
  private static let epochDigits = 11
  /// Digits of `Position.offsetMax`.
  private static let offsetDigitsMax = 9
  /// Rooms that are read of one id: as many as a setting allows a connection, and more than a request's head holds.
  private static let roomsMax = 1024

  /// Appends the beginning of an id.
  public static func begin(_ output: inout [UInt8]) { output.append(mark) }

  /// Makes the part of a room, for `append`.
  public static func part(of room: Span<UInt8>, at position: Position) -> [UInt8] {
    var part: [UInt8] = []
    append(tag(of: room), digits: tagDigits, to: &part)
    append(position.epoch.value, digits: epochDigits, to: &part)
    let significantBits = UInt64.bitWidth - position.offset.leadingZeroBitCount
    append(position.offset, digits: max(1, (significantBits + 5) / 6), to: &part)
    return part
  }

  /// Appends the part of a room to an id that has begun.
  public static func append(_ part: [UInt8], to output: inout [UInt8]) {
    if output.last != mark { output.append(separator) }
    output.append(contentsOf: part)
  }

  /// Reads where a client was in each of these rooms.
  ///
  /// - Parameter id: an id of several rooms, or `EPOCH:OFFSET`, which is of whichever room has that epoch.
  /// - Returns: a position for each room, in the order of `rooms`. Of a room that the id does not name, and of every room
  ///   when the id is not valid, it is one that no room has.
  public static func positions(in id: Span<UInt8>, of rooms: [[UInt8]]) -> [Position] {
    let unknown = Position(epoch: .unknown, offset: 0)
    if let position = Position(text: id) { return rooms.map { _ in position } }
    guard var parts = parts(of: id) else { return rooms.map { _ in unknown } }
    return rooms.map { room in
      let tag = tag(of: room.span)
      // Two rooms with one tag are distinguished by their order.
      guard let index = parts.firstIndex(where: { $0.tag == tag }) else { return unknown }
      return parts.remove(at: index).position
    }
  }

  private static func parts(of id: Span<UInt8>) -> [(tag: UInt64, position: Position)]? {
    guard id.count > 1, id[0] == mark else { return nil }
    var parts: [(tag: UInt64, position: Position)] = []
    var start = 1
    while start <= id.count {
      let end = (start..<id.count).first { id[$0] == separator } ?? id.count
      guard parts.count < roomsMax, let part = part(id.extracting(start..<end)) else { return nil }
      parts.append(part)
      start = end + 1
    }
    return parts
  }

  private static func part(_ text: Span<UInt8>) -> (tag: UInt64, position: Position)? {
    let head = tagDigits + epochDigits
    guard text.count > head, text.count <= head + offsetDigitsMax,
      let tag = number(text.extracting(0..<tagDigits)),
      let epochNumber = number(text.extracting(tagDigits..<head)), let epoch = Epoch(epochNumber),
      let offset = number(text.extracting(head..<text.count)), offset <= Position.offsetMax
    else { return nil }
    return (tag, Position(epoch: epoch, offset: offset))
  }

  /// FNV-1a of the name, folded to 18 bits.
  private static func tag(of room: Span<UInt8>) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for index in room.indices { hash = (hash ^ UInt64(room[index])) &* 0x100_0000_01b3 }
    return (hash ^ hash >> 18 ^ hash >> 36) & 0x3FFFF
  }

  // MARK: Digits

  private static func append(_ value: UInt64, digits: Int, to output: inout [UInt8]) {
    var shift = (digits - 1) * 6
    while shift >= 0 {
      output.append(digit(UInt8(truncatingIfNeeded: value >> UInt64(shift)) & 63))
      shift -= 6
    }
  }

  private static func digit(_ value: UInt8) -> UInt8 {
    switch value {
    case 0..<26: UInt8(ascii: "A") + value
    case 26..<52: UInt8(ascii: "a") + value - 26
    case 52..<62: UInt8(ascii: "0") + value - 52
    case 62: UInt8(ascii: "-")
    default: UInt8(ascii: "_")
    }
  }

  /// Nil for other characters, and for a number above 64 bits.
  private static func number(_ digits: Span<UInt8>) -> UInt64? {
    var number: UInt64 = 0
    for index in digits.indices {
      let value: UInt8
      switch digits[index] {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = digits[index] - UInt8(ascii: "A")
      case UInt8(ascii: "a")...UInt8(ascii: "z"): value = digits[index] - UInt8(ascii: "a") + 26
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digits[index] - UInt8(ascii: "0") + 52
      case UInt8(ascii: "-"): value = 62
      case UInt8(ascii: "_"): value = 63
      default: return nil
      }
      guard number >> 58 == 0 else { return nil }
      number = number << 6 | UInt64(value)
    }
    return number
  }
}
