import ClientProtocol
import WebSocketCore

extension EventKind {
  /// How WebSocket frames carry it (RFC 6455 section 11.8).
  var opcode: Opcode { self == .binaryMessage ? .binary : .text }
}
