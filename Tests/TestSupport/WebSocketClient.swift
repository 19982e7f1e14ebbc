import Compression
import WebSocketCore

/// A WebSocket client for tests: blocking, with deadlines, and with access to every byte (RFC 6455).
///
/// Whatever was received and not asked for stays in `unread`. Pings are answered unless told otherwise.
package final class WebSocketClient {
  package let connection: TCPConnection
  /// The server's answer to the handshake.
  package let answer: HTTPAnswer
  /// Received and not yet taken, oldest first.
  package private(set) var unread: [WebSocketEvent] = []
  /// Whether pings are answered; a ghost answers none.
  package var answersPings = true
  private var reader: MessageReader
  private var operations = 0
  private let idPrefix = String(UInt64.random(in: .min ... .max), radix: 36)

  /// The headers of a handshake.
  package static func handshakeHeaders(key: String = "dGhlIHNhbXBsZSBub25jZQ==") -> [String] {
    ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: \(key)"]
  }

  /// Connects and agrees on the protocol. Throws when the answer is not 101.
  package init(
    port: UInt16, target: String = "/ws", headers: [String] = [], receiveBytes: Int32? = nil, deflate: Bool = false
  ) throws {
    connection = try TCPConnection(port: port, receiveBytes: receiveBytes)
    let offer = deflate ? ["Sec-WebSocket-Extensions: permessage-deflate"] : []
    let lines = WebSocketClient.handshakeHeaders() + offer + headers
    try connection.send(HTTPClient.request("GET", target, headers: lines))
    answer = try HTTPClient.readAnswer(connection)
    guard answer.status == 101 else { throw TestFailure("no WebSocket: \(answer)") }
    // RFC 6455 section 1.3 computes this accept value for this key.
    guard answer.header("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" else {
      throw TestFailure("wrong Sec-WebSocket-Accept: \(answer)")
    }
    reader = MessageReader(role: .client, messageBytesMax: 64 << 20, deflate: deflate)
    try take(answer.rest)
  }

  // MARK: Sending

  package func send(_ text: String) throws { try sendFrame(.text, Array(text.utf8)) }
  package func send(binary bytes: [UInt8]) throws { try sendFrame(.binary, bytes) }

  /// Sends one masked frame.
  package func sendFrame(_ opcode: Opcode, _ payload: [UInt8], fin: Bool = true) throws {
    var frame: [UInt8] = []
    FrameWriter.appendMaskedFrame(
      opcode, fin: fin, key: MaskingKey(.random(in: .min ... .max)), payload: payload.span, to: &frame)
    try connection.send(frame)
  }

  /// Sends a close frame.
  package func sendClose(_ code: UInt16, _ reason: String = "") throws {
    try sendFrame(.close, [UInt8(code >> 8), UInt8(code & 0xFF)] + Array(reason.utf8))
  }

  // MARK: Receiving

  /// Reads until an event fits, and takes that one alone out of `unread`.
  package func take(
    _ what: String, within seconds: Double = 10, where fits: (WebSocketEvent) -> Bool
  ) throws -> WebSocketEvent {
    let deadline = Deadline(within: seconds)
    // An event that did not fit is not asked about again: a slow reader receives many events in many small reads.
    var askedAbout = 0
    while true {
      if let index = unread[askedAbout...].firstIndex(where: fits) { return unread.remove(at: index) }
      askedAbout = unread.count
      guard try readMore(until: deadline) else {
        throw TestFailure("not received within \(seconds) s: \(what)\n--- received:\n\(transcript)")
      }
    }
  }

  /// Takes everything that was received and not taken yet.
  package func takeUnread() -> [WebSocketEvent] {
    defer { unread = [] }
    return unread
  }

  /// Takes everything that has arrived, without waiting for more.
  package func takeArrived() throws -> [WebSocketEvent] {
    let passed = Deadline(within: 0)
    while try readMore(until: passed) {}
    return takeUnread()
  }

  private var transcript: String { unread.map(\.description).joined(separator: "\n") }

  /// Reads once. Returns false when nothing came by the deadline, or nothing can come any more.
  private func readMore(until deadline: Deadline) throws -> Bool {
    if unread.last == .end { return false }
    switch connection.read(until: deadline) {
    case .bytes(let bytes): try take(bytes)
    case .end: unread.append(.end)
    case .nothing: return false
    }
    return true
  }

  /// Turns bytes into events.
  private func take(_ bytes: [UInt8]) throws {
    var bytes = bytes
    // Safe because the buffer lives until the closure returns, and every payload is copied out of it.
    try bytes.withUnsafeMutableBytes { buffer in
      var cursor = 0
      while true {
        let event = reader.next(in: buffer, from: &cursor)
        if case .needMore = event { return }
        try take(event, in: buffer)
      }
    }
  }

  private func take(_ event: MessageReader.Event, in buffer: UnsafeMutableRawBufferPointer) throws {
    func copy(_ payload: MessageReader.Payload) -> [UInt8] {
      payload.withSpan(in: buffer) { span in span.withUnsafeBufferPointer { Array($0) } }
    }
    switch event {
    case .needMore: return
    case .message(let kind, let compressed, let payload):
      let bytes = compressed ? try inflate(copy(payload)) : copy(payload)
      unread.append(kind == .text ? .text(String(decoding: bytes, as: UTF8.self)) : .binary(bytes))
    case .ping(let payload):
      unread.append(.ping(copy(payload)))
      // The server may have closed already: then the end is what the test will see.
      if answersPings { try? sendFrame(.pong, copy(payload)) }
    case .pong(let payload): unread.append(.pong(copy(payload)))
    case .close(let code, let reason):
      unread.append(.close(code?.rawValue, String(decoding: copy(reason), as: UTF8.self)))
    case .failed(let code, let reason):
      throw TestFailure("the server breaks the protocol: \(code.rawValue) \(reason)\n\(transcript)")
    }
  }

  /// Compressed messages that were received.
  package private(set) var compressedCount = 0
  private let inflater = MessageInflater()

  private func inflate(_ bytes: [UInt8]) throws -> [UInt8] {
    compressedCount += 1
    return try inflater.inflate(bytes.span, bytesMax: 64 << 20)
  }

  /// Makes an `id` that no other operation has: one of the same user's other connection would count as a repetition.
  func nextOperationID() -> String {
    operations += 1
    return "\(idPrefix)-\(operations)"
  }
}
