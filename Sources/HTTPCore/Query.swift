/// Holds the parts of a query such as `room=a&room=b`, in their order (RFC 3986 section 3.4).
///
/// A part is decoded when it is asked for: a request is asked for a few, and most need no decoding.
public struct Query: Sendable {
  /// One part, decoded; the value is empty when there is no `=`.
  public struct Item: Equatable, Sendable {
    public let name: [UInt8]
    public let value: [UInt8]
  }

  /// A piece of the text, and whether something in it is to be decoded.
  private struct Piece {
    var start: UInt32
    var end: UInt32
    var isEncoded = false
  }

  private let bytes: [UInt8]
  private let pieces: [(name: Piece, value: Piece)]

  /// Reads the text behind the `?`. Empty parts are skipped, `+` stands for a space, and a `%` that begins no escape
  /// stands for itself, as browsers have it (WHATWG URL section 1.3): a link such as `/?utm=50%off` is no error.
  public init(_ text: Span<UInt8>) { self.init(in: text.copy(0..<text.count), 0..<text.count) }

  /// Reads a query that stands in a head; shares its bytes.
  init(in bytes: [UInt8], _ range: Range<Int>) {
    self.bytes = bytes
    pieces = range.isEmpty ? [] : Query.pieces(of: bytes.span, range)
  }

  private static func pieces(of text: Span<UInt8>, _ range: Range<Int>) -> [(name: Piece, value: Piece)] {
    var pieces: [(name: Piece, value: Piece)] = []
    pieces.reserveCapacity(6)
    var name: Piece?
    var piece = Piece(start: UInt32(range.lowerBound), end: 0)
    for index in range.lowerBound...range.upperBound {
      switch index < range.upperBound ? text[index] : UInt8(ascii: "&") {
      case UInt8(ascii: "%"), UInt8(ascii: "+"): piece.isEncoded = true
      case UInt8(ascii: "=") where name == nil:
        piece.end = UInt32(index)
        name = piece
        piece = Piece(start: UInt32(index + 1), end: 0)
      case UInt8(ascii: "&"):
        piece.end = UInt32(index)
        if let name {
          pieces.append((name, piece))
        } else if piece.end > piece.start {
          pieces.append((piece, Piece(start: piece.end, end: piece.end)))
        }
        name = nil
        piece = Piece(start: UInt32(index + 1), end: 0)
      default: break
      }
    }
    return pieces
  }

  private func decoded(_ piece: Piece) -> [UInt8] {
    let range = Int(piece.start)..<Int(piece.end)
    return piece.isEncoded ? PercentCoding.decodeLeniently(bytes.span.extracting(range)) : bytes.span.copy(range)
  }

  private func isNamed(_ name: StaticString, _ piece: Piece) -> Bool {
    guard !piece.isEncoded else { return decoded(piece).span.equals(name) }
    return bytes.span.extracting(Int(piece.start)..<Int(piece.end)).equals(name)
  }

  /// All parts.
  public var items: [Item] { pieces.map { Item(name: decoded($0.name), value: decoded($0.value)) } }

  /// Whether there is a value of a name.
  public func has(_ name: StaticString) -> Bool { pieces.contains { isNamed(name, $0.name) } }

  /// Gives the first value of a name; names are compared exactly.
  public func first(_ name: StaticString) -> [UInt8]? {
    pieces.first { isNamed(name, $0.name) }.map { decoded($0.value) }
  }

  /// Gives all values of a name in their order.
  public func all(_ name: StaticString) -> [[UInt8]] {
    pieces.compactMap { isNamed(name, $0.name) ? decoded($0.value) : nil }
  }
}
