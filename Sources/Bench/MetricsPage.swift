import Glibc
import HTTPCore
import LoopCore

/// Asks a server for its metrics, waiting for the answer: only before and after a load runs.
enum MetricsPage {
  private static let timeoutMilliseconds: Int32 = 2000

  /// Returns `process_resident_memory_bytes` of `GET /metrics`; nil when the server does not say.
  static func residentBytes(_ url: ServerURL) -> Int? {
    guard let text = get(url) else { return nil }
    let name = "process_resident_memory_bytes "
    guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix(name) }) else { return nil }
    return Double(line.dropFirst(name.count)).map { Int($0) }
  }

  private static func get(_ url: ServerURL) -> String? {
    guard let address = url.address, let socket = try? Socket.connect(to: address) else { return nil }
    defer { Socket.close(socket) }
    let request = Array("GET /metrics HTTP/1.1\r\nHost: \(url.authority)\r\nConnection: close\r\n\r\n".utf8)
    guard wait(socket, Int16(POLLOUT)), Socket.pendingError(socket) == 0 else { return nil }
    // Safe because the bytes are only read during the call. So few fit into the buffer of a fresh socket.
    guard request.withUnsafeBytes({ Socket.send(socket, $0) }) == .bytes(request.count) else { return nil }
    var parser = ResponseParser(bodyBytesMax: 1 << 20)
    var buffer = [UInt8](repeating: 0, count: 16_384)
    while wait(socket, Int16(POLLIN)) {
      // Safe because the buffer outlives the call.
      guard case .bytes(let count) = buffer.withUnsafeMutableBytes({ Socket.receive(socket, into: $0) }) else {
        return nil
      }
      var cursor = 0
      switch parser.next(in: buffer.span.extracting(first: count), from: &cursor) {
      case .needMore: continue
      case .failed: return nil
      case .response(let response):
        return response.status == 200 ? String(decoding: response.body, as: UTF8.self) : nil
      }
    }
    return nil
  }

  private static func wait(_ socket: Int32, _ events: Int16) -> Bool {
    var entry = pollfd(fd: socket, events: events, revents: 0)
    return poll(&entry, 1, timeoutMilliseconds) > 0
  }
}
