import TestSupport
import WebSocketCore

/// A WebSocket that never waits: one thread drives many of them, also against nodes that are stopped.
final class Peer {
  enum Arrival {
    case opened
    case text(Received)
    /// Nothing comes any more.
    case ended(String)
  }

  private let connection: TCPConnection
  private var reader = MessageReader(role: .client, messageBytesMax: 1 << 20, deflate: false)
  /// The answer to the handshake, as far as it has come; nil once it is whole.
  private var head: [UInt8]? = []
  private var hasEnded = false

  /// Connects and asks for a WebSocket. Throws when nobody listens.
  init(port: UInt16, user: String) throws {
    connection = try TCPConnection(port: port)
    try connection.send(
      HTTPClient.request("GET", "/ws?user=\(user)", headers: WebSocketClient.handshakeHeaders()))
  }

  var descriptor: Int32 { connection.descriptor }

  func send(_ text: String) { frame(.text, Array(text.utf8)) }

  /// Ends the connection without a word, as a lost network does for the client.
  func cut() {
    hasEnded = true
    connection.reset()
  }

  private func frame(_ opcode: Opcode, _ payload: [UInt8]) {
    var frame: [UInt8] = []
    FrameWriter.appendMaskedFrame(
      opcode, fin: true, key: MaskingKey(.random(in: .min ... .max)), payload: payload.span, to: &frame)
    // A connection that is over says so to the reader.
    try? connection.send(frame, within: 0.05)
  }

  /// Takes what is there.
  func receive() -> [Arrival] {
    guard !hasEnded else { return [] }
    switch connection.read(until: Deadline(within: 0)) {
    case .nothing: return []
    case .end:
      hasEnded = true
      return [.ended("end of the connection")]
    case .bytes(let bytes): return take(bytes)
    }
  }

  private func take(_ bytes: [UInt8]) -> [Arrival] {
    guard let begun = head else { return frames(bytes) }
    let all = begun + bytes
    let end: [UInt8] = [13, 10, 13, 10]
    guard all.count >= 4, let place = (0...(all.count - 4)).first(where: { all[$0..<($0 + 4)].elementsEqual(end) })
    else {
      head = all
      return []
    }
    head = nil
    let status = String(decoding: all.prefix(12), as: UTF8.self)
    guard status == "HTTP/1.1 101" else {
      hasEnded = true
      return [.ended("the handshake was answered \(status)")]
    }
    return [.opened] + frames(Array(all[(place + 4)...]))
  }

  private func frames(_ bytes: [UInt8]) -> [Arrival] {
    var bytes = bytes
    var arrivals: [Arrival] = []
    // Safe because the buffer lives until the closure returns, and every payload is copied out of it.
    bytes.withUnsafeMutableBytes { buffer in
      var cursor = 0
      while !hasEnded {
        let event = reader.next(in: buffer, from: &cursor)
        if case .needMore = event { return }
        if let arrival = arrival(event, in: buffer) { arrivals.append(arrival) }
      }
    }
    return arrivals
  }

  private func arrival(_ event: MessageReader.Event, in buffer: UnsafeMutableRawBufferPointer) -> Arrival? {
    func copy(_ payload: MessageReader.Payload) -> [UInt8] {
      payload.withSpan(in: buffer) { span in span.withUnsafeBufferPointer { Array($0) } }
    }
    switch event {
    case .message(.text, _, let payload):
      guard let text = try? Received(String(decoding: copy(payload), as: UTF8.self)) else { return end("no JSON") }
      return .text(text)
    case .ping(let payload):
      frame(.pong, copy(payload))
      return nil
    case .close(let code, let reason):
      return end("close \(code?.rawValue ?? 0) \(String(decoding: copy(reason), as: UTF8.self))")
    case .failed(let code, let reason): return end("breach \(code.rawValue): \(reason)")
    default: return nil
    }
  }

  private func end(_ why: String) -> Arrival {
    hasEnded = true
    connection.closeNow()
    return .ended(why)
  }
}
