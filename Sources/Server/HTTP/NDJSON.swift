import JSONCore

/// Bodies of one JSON object on each line (`application/x-ndjson`).
enum NDJSON {
  /// What is wrong with a body of several objects that is called one.
  static let untold =
    "the body holds more than one operation: send them with the content type \(contentType), one on each line"

  static let contentType: StaticString = "application/x-ndjson"

  /// The lines of a body that hold more than white space, in their order.
  static func lines(of body: [UInt8]) -> [ArraySlice<UInt8>] {
    body.split(separator: UInt8(ascii: "\n")).filter { !$0.allSatisfy(isBlank) }
  }

  /// Whether a body that is no JSON text begins with an object that another one follows.
  static func holdsSeveral(_ body: [UInt8]) -> Bool {
    do throws(JSONError) {
      try JSONScanner.validate(body.span)
      return false
    } catch {
      guard error.reason == .trailingBytes, body.indices.contains(error.offset) else { return false }
      return body.first { !isBlank($0) && $0 != UInt8(ascii: "\n") } == UInt8(ascii: "{")
        && body[error.offset...].first { !isBlank($0) && $0 != UInt8(ascii: "\n") } == UInt8(ascii: "{")
    }
  }

  private static func isBlank(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
  }
}
