/// Holds the decoded parts of a query such as `room=a&room=b`, in their order (RFC 3986 section 3.4).
public struct Query: Sendable {
  /// One part; the value is empty when there is no `=`.
  public struct Item: Equatable, Sendable {
    public let name: [UInt8]
    public let value: [UInt8]
  }

  public let items: [Item]

  /// Decodes the text behind the `?`; nil on an invalid escape. Empty parts are skipped, `+` stands for a space.
  public init?(_ text: Span<UInt8>) {
    var items: [Item] = []
    var start = 0
    while start < text.count {
      let end = text.firstIndex(of: UInt8(ascii: "&"), in: start..<text.count) ?? text.count
      if end > start {
        let equals = text.firstIndex(of: UInt8(ascii: "="), in: start..<end) ?? end
        guard let name = PercentCoding.decode(text.extracting(start..<equals), plusIsSpace: true),
          let value = PercentCoding.decode(text.extracting(min(equals + 1, end)..<end), plusIsSpace: true)
        else { return nil }
        items.append(Item(name: name, value: value))
      }
      start = end + 1
    }
    self.items = items
  }

  /// Gives the first value of a name; names are compared exactly.
  public func first(_ name: StaticString) -> [UInt8]? {
    items.first { $0.name.span.equals(name) }?.value
  }

  /// Gives all values of a name in their order.
  public func all(_ name: StaticString) -> [[UInt8]] {
    items.compactMap { $0.name.span.equals(name) ? $0.value : nil }
  }
}
