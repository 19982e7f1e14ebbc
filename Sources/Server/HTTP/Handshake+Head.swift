import HTTPCore
import WebSocketCore

extension Handshake.Request {
  /// Takes from a request's head what an opening handshake is judged by (RFC 6455 section 4.2.1).
  package init(_ head: RequestHead) {
    self.init(method: [UInt8](copying: head.methodName), versionMajor: 1, versionMinor: head.versionMinor)
    host = head.copyAuthority()
    upgrade = head.list(.upgrade)
    connection = head.list(.connection)
    key = head.copy(.webSocketKey)
    version = head.copy(.webSocketVersion)
    extensions = head.list(.webSocketExtensions)
    protocols = head.list(.webSocketProtocol)
  }
}
