import HTTPCore
import WebSocketCore

extension Handshake.Request {
  /// Takes from a request's head what an opening handshake is judged by (RFC 6455 section 4.2.1).
  package init(_ head: RequestHead) {
    self.init(method: [UInt8](copying: head.methodName), versionMajor: 1, versionMinor: head.versionMinor)
    host = head.headerList("Host")
    upgrade = head.headerList("Upgrade")
    connection = head.headerList("Connection")
    key = head.headerList("Sec-WebSocket-Key")
    version = head.headerList("Sec-WebSocket-Version")
    extensions = head.headerList("Sec-WebSocket-Extensions")
    protocols = head.headerList("Sec-WebSocket-Protocol")
  }
}
