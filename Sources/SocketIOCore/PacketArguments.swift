import JSONCore

/// The arguments of an event or an ack, as ranges of the text that the packet was read from. Allocates nothing.
public struct PacketArguments: Equatable, Sendable {
  /// The name of an event: a string, or a number, which the official decoder takes too; nil of an ack.
  public let name: JSONElement?
  /// The arguments with the commas between them and without brackets; empty when there is none. They can be copied into
  /// another array as they are.
  public let list: Range<Int>
  public let count: Int
  /// The first argument, for events that take one; nil when there is none.
  public let first: JSONElement?

  /// Reads an array; nil when it has no name and needs one. Its ranges count from `start` bytes before it.
  ///
  /// Arguments may nest one level less than JSON may: they stand one level deeper in a native message.
  init?(_ payload: Span<UInt8>, hasName: Bool, startingAt start: Int) throws(JSONError) {
    var scanner = JSONScanner(payload, outerDepth: 1)
    var name: JSONElement?
    if hasName {
      guard let element = try scanner.nextElement(), element.kind == .string || element.kind == .number else {
        return nil
      }
      name = element.moved(by: start)
    }
    var first: JSONElement?
    var last: JSONElement?
    var count = 0
    while let element = try scanner.nextElement() {
      if first == nil { first = element }
      last = element
      count += 1
    }
    self.name = name
    self.first = first?.moved(by: start)
    self.count = count
    list = start + (first?.value.lowerBound ?? 0)..<start + (last?.value.upperBound ?? 0)
  }
}

extension JSONElement {
  /// The same element of a text that has so many more bytes before it.
  func moved(by bytes: Int) -> JSONElement {
    JSONElement(
      value: value.lowerBound + bytes..<value.upperBound + bytes, kind: kind, valueHasEscapes: valueHasEscapes)
  }
}
