import JSONCore

/// What a client has received, in order.
package enum WebSocketEvent: Equatable, CustomStringConvertible {
  case text(String)
  case binary([UInt8])
  case ping([UInt8])
  case pong([UInt8])
  /// The peer's close frame; nil when it carried no code.
  case close(UInt16?, String)
  /// The peer has ended the connection.
  case end

  package var description: String {
    switch self {
    case .text(let text): text.count > 2000 ? "\(text.prefix(2000))… (\(text.utf8.count) bytes)" : text
    case .binary(let bytes): "binary \(bytes.prefix(200))"
    case .ping(let bytes): "ping \(bytes)"
    case .pong(let bytes): "pong \(bytes)"
    case .close(let code, let reason): "close \(code.map(String.init) ?? "without code") “\(reason)”"
    case .end: "end of the connection"
    }
  }
}

/// A JSON text that a client has received.
package struct Received: CustomStringConvertible {
  package let text: String
  package let json: JSONValue

  package init(_ text: String) throws {
    self.text = text
    do { json = try JSONValue.parse(Array(text.utf8).span) } catch { throw TestFailure("no JSON (\(error)): \(text)") }
  }

  package var description: String { text }
  package var type: String? { json["type"]?.asString }
  package subscript(key: StaticString) -> JSONValue? { json[key] }
  package func string(_ key: StaticString) -> String? { json[key]?.asString }
  package func int(_ key: StaticString) -> Int? { json[key]?.asInt }
}
