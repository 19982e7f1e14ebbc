import JSONCore

/// What the admin endpoint of one node asks of another, which answers from its own memory, and its form between nodes. Pure.
enum NodeQuestion: Equatable {
  /// The samples of so many intervals.
  case history(ClosedRange<UInt64>)
  /// The rooms with the most connections of the node, and those with the most messages.
  case topRooms
  /// What the node knows of a connection that it holds.
  case connection([UInt8])

  /// What a question of the admin endpoint begins with, as none about a client's request does.
  static let mark = UInt8(ascii: "a")
  /// Bytes of a connection's name.
  private static let nameBytesMax = 512

  var encoded: [UInt8] {
    var bytes = [NodeQuestion.mark]
    switch self {
    case .history(let range):
      bytes.append(UInt8(ascii: "h"))
      Varint.append(range.lowerBound, to: &bytes)
      Varint.append(range.upperBound, to: &bytes)
    case .topRooms: bytes.append(UInt8(ascii: "r"))
    case .connection(let name): bytes += [UInt8(ascii: "c")] + name
    }
    return bytes
  }

  /// Reads what `encoded` writes; nil for anything else.
  init?(_ bytes: [UInt8]) {
    guard bytes.count >= 2, bytes[0] == NodeQuestion.mark else { return nil }
    var cursor = 2
    switch bytes[1] {
    case UInt8(ascii: "h"):
      guard let first = Varint.read(bytes, &cursor), let last = Varint.read(bytes, &cursor), cursor == bytes.count,
        first <= last, last < UInt64(UInt32.max)
      else { return nil }
      self = .history(first...last)
    case UInt8(ascii: "r"):
      guard bytes.count == 2 else { return nil }
      self = .topRooms
    case UInt8(ascii: "c"):
      guard (3...NodeQuestion.nameBytesMax).contains(bytes.count) else { return nil }
      self = .connection(Array(bytes[2...]))
    default: return nil
    }
  }
}
