/// Bodies of one JSON object on each line (`application/x-ndjson`).
enum NDJSON {
  static let contentType: StaticString = "application/x-ndjson"

  /// The lines of a body that hold more than white space, in their order.
  static func lines(of body: [UInt8]) -> [ArraySlice<UInt8>] {
    body.split(separator: UInt8(ascii: "\n")).filter { !$0.allSatisfy(isBlank) }
  }

  private static func isBlank(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
  }
}
