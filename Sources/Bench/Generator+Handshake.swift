import ClientCore
import HTTPCore
import LoopCore
import WebSocketCore

extension Generator {
  /// One nonce for all connections, that of RFC 6455 section 1.3: nobody is to be kept from replaying a measurement.
  private static let nonce = Array("the sample nonce".utf8)

  private func handshake(_ index: Int) -> ClientHandshake {
    let destination = load.destination(of: index).url
    return ClientHandshake(
      destination.url, path: destination.path, nonce: Generator.nonce, offer: compression == nil ? .nothing : .deflate)
  }

  /// Sends the request once the connection is there, or begins TLS first.
  func finishConnecting(_ index: Int) {
    let code = Socket.pendingError(clients[index].socket)
    guard code == 0 else { return ended(index, .unreachable(SystemError.text(code))) }
    guard load.destination(of: index).url.url.isSecure else { return sendRequest(index) }
    clients[index].stage = .securing
    clients[index].tls = secure(index)
    advanceTLS(index)
  }

  /// Takes the TLS handshake as far as the socket allows.
  func advanceTLS(_ index: Int) {
    guard let tls = clients[index].tls else { return }
    // Safe because init set the handler.
    func wait(for interest: Readiness) {
      loop.change(clients[index].socket, to: interest, handler: handler!, token: UInt64(index))
    }
    switch tls.handshake() {
    case .done: sendRequest(index)
    case .wantsRead: wait(for: .read)
    case .wantsWrite: wait(for: .write)
    case .failed: ended(index, tls.certificateProblem.map { .untrusted($0) } ?? .noTLS(tls.failure))
    }
  }

  private func sendRequest(_ index: Int) {
    let client = clients + index
    client.pointee.stage = .upgrading
    client.pointee.answer = ResponseParser(bodyBytesMax: 1 << 16)
    client.pointee.outgoing.append(contentsOf: handshake(index).request(target: load.destination(of: index).target))
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
      fail(.notHTTP("\(reason)"), of: index)
      return false
    case .response(let response):
      if let problem = handshake(index).problem(response) {
        fail(problem, of: index)
        return false
      }
      guard compression == nil || ClientHandshake.agreesToDeflate(response) else {
        fail("the server does not agree to permessage-deflate; measure without --deflate, or switch its compression on")
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
