import JSONCore

/// Names one life of a room's counter; a new epoch means that the offsets of the old one say nothing any more.
@frozen
public struct Epoch: Hashable, Sendable {
  /// Never zero.
  public let value: UInt64

  /// Takes a number; nil for zero.
  @inlinable
  public init?(_ value: UInt64) {
    guard value != 0 else { return nil }
    self.value = value
  }

  /// Stands for a text that names no epoch; no room ever has it.
  public static let unknown = Epoch(value: .max)

  @inlinable
  init(value: UInt64) { self.value = value }

  /// Reads 1 to 16 lower-case hexadecimal digits without leading zeros; nil for anything else.
  public init?(text: Span<UInt8>) {
    guard (1...16).contains(text.count), text[0] != UInt8(ascii: "0") else { return nil }
    var value: UInt64 = 0
    for index in text.indices {
      switch text[index] {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(text[index] - UInt8(ascii: "0"))
      case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(text[index] - UInt8(ascii: "a") + 10)
      default: return nil
      }
    }
    self.value = value
  }

  /// Appends the text form that ``init(text:)`` reads.
  public func append(to output: inout [UInt8]) {
    var shift = 60 - (value.leadingZeroBitCount & ~3)
    while shift >= 0 {
      let digit = UInt8(truncatingIfNeeded: value >> UInt64(shift)) & 15
      output.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
      shift -= 4
    }
  }
}

/// A place in a room's order of messages.
@frozen
public struct Position: Hashable, Sendable {
  /// The life of the counter that `offset` belongs to.
  public var epoch: Epoch
  /// Counts 1, 2, 3 … within the epoch; 0 stands before the first message. Never above ``offsetMax``, so that adding 1 to
  /// it cannot overflow, wherever it comes from.
  public let offset: UInt64

  /// The highest offset: the highest whole number that JavaScript, Lua and every other reader of doubles tells from its
  /// neighbours (2^53 - 1). A room that takes a million messages a second reaches it after 285 years.
  @inlinable
  public static var offsetMax: UInt64 { 1 << 53 - 1 }
  /// What an offset must be, for the messages of errors.
  public static let offsetRule = "a whole number from 0 to \(offsetMax)"

  /// What a position must be in text, for the messages of errors.
  public static let rule =
    "the epoch as an answer had it (1 to 16 lower-case hexadecimal digits, no 0 at the beginning), the offset \(offsetRule)"

  /// Joins an epoch and an offset; one above ``offsetMax`` is taken for ``offsetMax``. What comes from outside is refused
  /// before: by ``init(text:)``, and by the parser of client operations.
  @inlinable
  public init(epoch: Epoch, offset: UInt64) {
    self.epoch = epoch
    self.offset = min(offset, Position.offsetMax)
  }

  /// The position at another offset of the same epoch.
  @inlinable
  public func at(_ offset: UInt64) -> Position { Position(epoch: epoch, offset: offset) }

  /// Reads an offset in decimal; nil for anything that is not ``offsetRule``.
  public static func offset(parsing digits: Span<UInt8>) -> UInt64? {
    guard let offset = JSONNumber.unsigned(digits), offset <= offsetMax else { return nil }
    return offset
  }

  /// Reads `EPOCH:OFFSET`, the offset in decimal without leading zeros and at most ``offsetMax``; nil for anything else.
  public init?(text: Span<UInt8>) {
    guard let colon = text.indices.first(where: { text[$0] == UInt8(ascii: ":") }),
      let epoch = Epoch(text: text.extracting(0..<colon)),
      let offset = Position.offset(parsing: text.extracting((colon + 1)..<text.count))
    else { return nil }
    self.init(epoch: epoch, offset: offset)
  }

  /// Appends `EPOCH:OFFSET`.
  public func append(to output: inout [UInt8]) {
    epoch.append(to: &output)
    output.append(UInt8(ascii: ":"))
    JSONNumber.append(offset, to: &output)
  }
}
