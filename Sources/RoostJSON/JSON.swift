#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// One JSON value as UTF-8 text: what messages, payloads and `info` are made of.
///
/// It is bytes, and nothing is parsed until somebody asks. Make it of a literal, of text, or of an `Encodable` value, and
/// read it as a `Decodable` one.
public struct JSON: Sendable, Hashable {
  /// The text. It is checked where it is used: what is not JSON is refused there.
  public let bytes: [UInt8]

  /// Takes text that is JSON already.
  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Takes text that is JSON already.
  public init(_ text: String) { bytes = Array(text.utf8) }

  /// Encodes a value as `JSONEncoder` does by default.
  public init(encoding value: some Encodable) throws { bytes = Array(try JSONEncoder().encode(value)) }

  /// The text as a string.
  public var text: String { String(decoding: bytes, as: UTF8.self) }

  /// Decodes a value as `JSONDecoder` does by default. Members that the type does not have are skipped.
  public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
    try JSONDecoder().decode(type, from: Data(bytes))
  }
}

extension JSON: ExpressibleByStringLiteral {
  /// Takes a literal that is JSON, such as `#"{"text":"hello"}"#`.
  public init(stringLiteral text: String) { self.init(text) }
}

extension JSON: CustomStringConvertible {
  /// The text as a string.
  public var description: String { text }
}
