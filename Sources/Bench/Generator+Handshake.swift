import HTTPCore
import LoopCore
import WebSocketCore

extension Generator {
  /// Sends the request once the connection is there.
  func finishConnecting(_ index: Int) {
    let client = clients + index
    let code = Socket.pendingError(client.pointee.socket)
    let (url, target) = load.destination(of: index)
    guard code == 0 else { return fail("cannot connect to \(url.authority): \(SystemError.text(code))") }
    client.pointee.stage = .upgrading
    client.pointee.answer = ResponseParser(bodyBytesMax: 1 << 16)
    // The sample key of RFC 6455 section 1.3: its answer is known without hashing.
    let offer =
      compression == nil
      ? "" : "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
    let request = """
      GET \(target) HTTP/1.1\r\nHost: \(url.authority)\r\nUpgrade: websocket\r\nConnection: Upgrade\r
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\(offer)\r\n
      """
    client.pointee.outgoing.append(contentsOf: request.utf8)
    watch(index)
    markDirty(index)
  }

  /// Reads the answer to the handshake; true once the connection speaks WebSocket (RFC 6455 section 4.1).
  func readAnswer(_ index: Int, _ bytes: UnsafeMutableRawBufferPointer, _ cursor: inout Int) -> Bool {
    let client = clients + index
    // Safe because the bytes live as long as this call, and have no other type.
    let text = UnsafeBufferPointer(bytes.assumingMemoryBound(to: UInt8.self)).span
    guard let event = client.pointee.answer?.next(in: text, from: &cursor) else { return true }
    switch event {
    case .needMore: return false
    case .failed(let reason):
      fail("connection \(index): the answer to the handshake is not HTTP: \(reason)")
      return false
    case .response(let response):
      guard response.status == 101,
        response.headers.combined("Sec-WebSocket-Accept") == Array("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".utf8)
      else {
        fail("connection \(index): the handshake was answered with \(response.status)")
        return false
      }
      let extensions = response.headers.combined("Sec-WebSocket-Extensions") ?? []
      guard compression == nil || extensions.starts(with: "permessage-deflate".utf8) else {
        fail("the server does not agree to permessage-deflate")
        return false
      }
      client.pointee.reader = Client.freshReader(deflate: compression != nil)
      client.pointee.answer = nil
      client.pointee.stage = .open
      load.opened(index)
      return client.pointee.stage != .vacant
    }
  }
}
