import JSONCore
import SocketIOCore
import WebSocketCore

@testable import Server

extension MemoryConnections {
  /// A handshake of Engine.IO on a WebSocket; with a session id that of an upgrade.
  func openEngine(sid: String? = nil) -> UInt32 {
    let index = open()
    receive(
      "GET /socket.io/?EIO=4&transport=websocket\(sid.map { "&sid=\($0)" } ?? "") HTTP/1.1\r\nHost: x\r\n"
        + "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", on: index)
    endTick()
    return index
  }

  /// The same, connected to a namespace.
  func openSocketIO(_ user: String, _ namespace: String = "") -> UInt32 {
    let index = openEngine()
    _ = takeSent(index)
    connect(index, user, namespace)
    _ = takeSent(index)
    return index
  }

  func connect(_ index: UInt32, _ user: String, _ namespace: String = "", more: String = "") {
    let prefix = namespace.isEmpty ? "" : namespace + ","
    receive(.text, #"40\#(prefix){"user":"\#(user)"\#(more)}"#, on: index)
    endTick()
  }

  /// The packets that were sent on a WebSocket: a binary one as `b` and its bytes as text.
  func takePackets(_ index: UInt32) -> [String] {
    var reader = MessageReader(role: .client, messageBytesMax: 1 << 20, deflate: false)
    var bytes = takeSent(index)
    var packets: [String] = []
    bytes.withUnsafeMutableBytes { buffer in
      var cursor = 0
      while case .message(let kind, _, let payload) = reader.next(in: buffer, from: &cursor) {
        let text = payload.withSpan(in: buffer) { String(decoding: [UInt8](copying: $0), as: UTF8.self) }
        packets.append(kind == .binary ? "b" + text : text)
      }
    }
    return packets
  }
}

/// A client of Engine.IO that polls connections in memory.
final class MemoryPoller {
  private let table: MemoryConnections
  let sid: String
  private(set) var isWaiting = false
  private var answer: (status: Int, text: String)?

  init(_ table: MemoryConnections) {
    self.table = table
    let answer = table.parts.engines.open(.socketIO, address: Array("203.0.113.7".utf8), nil)
    let text = String(decoding: answer.body, as: UTF8.self)
    sid = String(text.split(separator: "\"")[3])
  }

  /// Begins a poll, which is answered by `take`.
  func poll() {
    isWaiting = true
    table.parts.engines.poll(Array(sid.utf8), on: nil) { [weak self] answer in
      self?.isWaiting = false
      self?.answer = (answer.status, String(decoding: answer.body, as: UTF8.self))
    }
    table.endTick()
  }

  /// Takes the answer of the last poll; nil: it waits.
  func take() -> (status: Int, text: String)? {
    defer { answer = nil }
    return answer
  }

  /// Polls and returns the packets of the answer.
  func packets() -> [String] {
    poll()
    return take()?.text.split(separator: "\u{1E}").map(String.init) ?? []
  }

  /// Posts packets and returns the answer.
  @discardableResult
  func post(_ packets: String...) -> (status: Int, text: String)? {
    var answer: (Int, String)?
    table.parts.engines.post(Array(sid.utf8), Array(packets.joined(separator: "\u{1E}").utf8)) {
      answer = ($0.status, String(decoding: $0.body, as: UTF8.self))
    }
    table.endTick()
    return answer
  }
}
