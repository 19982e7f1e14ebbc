/// A text with places that a record or a message fills in: `orders:{value.customer.id}`. Pure.
///
/// In braces stands `key`, `id`, `room`, `user`, `topic`, `header.NAME` or `value.MEMBER.MEMBER…`. There is no escape: a
/// brace cannot stand for itself.
public struct BridgeTemplate: Equatable, Sendable {
  /// What fills a place in.
  public enum Variable: Equatable, Sendable {
    /// The record's key; of AMQP its routing key.
    case key
    /// The record's `message-id`; Kafka has none.
    case id
    /// The room of a message.
    case room
    /// The user of a message; empty for a backend's.
    case user
    /// The topic or the queue that a record comes from.
    case topic
    /// The value of a header.
    case header([UInt8])
    /// A member of the JSON, by its path.
    case value([[UInt8]])
  }

  /// One piece of the text.
  public enum Piece: Equatable, Sendable {
    case literal([UInt8])
    case variable(Variable)
  }

  /// Bytes of a template.
  static let bytesMax = 1000

  /// The pieces, in their order.
  public let pieces: [Piece]

  /// Whether it looks into the JSON.
  public var readsValue: Bool {
    pieces.contains { if case .variable(.value) = $0 { true } else { false } }
  }

  /// Reads a template. Throws what is wrong with it, as the rest of a sentence.
  ///
  /// - Parameter names: the variables that have a meaning here, `header` and `value` included.
  public init(parsing text: String, names: [String]) throws(SettingsError) {
    guard !text.isEmpty, text.utf8.count <= Self.bytesMax else {
      throw SettingsError(message: "is no template; expected 1 to \(Self.bytesMax) bytes")
    }
    var pieces: [Piece] = []
    var rest = text[...]
    while let open = rest.firstIndex(where: { $0 == "{" || $0 == "}" }) {
      guard rest[open] == "{", let close = rest[open...].firstIndex(of: "}") else {
        throw SettingsError(message: "has a brace without its other one")
      }
      if open > rest.startIndex { pieces.append(.literal(Array(rest[..<open].utf8))) }
      let name = rest[rest.index(after: open)..<close]
      guard let variable = Self.variable(name, names) else {
        let known = names.map { $0 == "header" ? "{header.NAME}" : $0 == "value" ? "{value.MEMBER}" : "{\($0)}" }
        throw SettingsError(
          message: "has {\(name.prefix(40))}, which has no meaning here; expected \(known.joined(separator: ", "))")
      }
      pieces.append(.variable(variable))
      rest = rest[rest.index(after: close)...]
    }
    if !rest.isEmpty { pieces.append(.literal(Array(rest.utf8))) }
    self.pieces = pieces
  }

  private static func variable(_ name: Substring, _ names: [String]) -> Variable? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard let first = parts.first, names.contains(String(first)), !parts.contains("") else { return nil }
    switch (first, parts.count) {
    case ("key", 1): return .key
    case ("id", 1): return .id
    case ("room", 1): return .room
    case ("user", 1): return .user
    case ("topic", 1): return .topic
    // A header's name may hold dots.
    case ("header", 2...): return .header(Array(name.dropFirst("header.".count).utf8))
    case ("value", 2...): return .value(parts.dropFirst().map { Array($0.utf8) })
    default: return nil
    }
  }

  /// Fills the places in. Nil when something is missing.
  public func filled(_ value: (Variable) -> [UInt8]?) -> [UInt8]? {
    var text: [UInt8] = []
    for piece in pieces {
      switch piece {
      case .literal(let bytes): text.append(contentsOf: bytes)
      case .variable(let variable):
        guard let bytes = value(variable) else { return nil }
        text.append(contentsOf: bytes)
      }
    }
    return text
  }
}
