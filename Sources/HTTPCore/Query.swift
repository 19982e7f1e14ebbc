/// Holds the decoded parts of a query such as `room=a&room=b`, in their order (RFC 3986 section 3.4).
public struct Query: Sendable {
  /// One part; the value is empty when there is no `=`.
  public struct Item: Equatable, Sendable {
    public let name: [UInt8]
    public let value: [UInt8]
  }

  public let items: [Item]

  /// Decodes the text behind the `?`. Empty parts are skipped, `+` stands for a space, and a `%` that begins no escape
  /// stands for itself, as browsers have it (WHATWG URL section 1.3): a link such as `/?utm=50%off` is no error.
  public init(_ text: Span<UInt8>) {
    var items: [Item] = []
    var start = 0
    while start < text.count {
      let end = text.firstIndex(of: UInt8(ascii: "&"), in: start..<text.count) ?? text.count
      if end > start {
        let equals = text.firstIndex(of: UInt8(ascii: "="), in: start..<end) ?? end
        items.append(
          Item(
            name: PercentCoding.decodeLeniently(text.extracting(start..<equals)),
            value: PercentCoding.decodeLeniently(text.extracting(min(equals + 1, end)..<end))))
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
