import Glibc
import HTTPCore
import JSONCore
import LoopCore
import WebSocketCore

/// The limit that servers are measured against: what a publisher sent goes to every other connection of its room by one
/// plain loop of sends, and nothing else is done. It knows no slow readers and no limits; it is for loopback only.
///
/// Confined to the loop that created it.
final class RawServer: EventHandler {
  private static let readBytes = 256 * 1024

  private struct Peer {
    var parser: RequestParser? = RequestParser()
    var reader = MessageReader(role: .server, messageBytesMax: 17 << 20, deflate: false)
    /// Bytes that the kernel did not take at once.
    var backlog: [UInt8] = []
    /// The place of its room in `rooms`; the first text names the room and goes to nobody.
    var room: Int?
  }

  private let loop: EventLoop
  private var handler = EventLoop.HandlerID?.none
  private var peers: [Int32: Peer] = [:]
  /// The sockets of each room, side by side: the loop of sends touches nothing else.
  private var rooms: [[Int32]] = []
  private var roomNames: [[UInt8]: Int] = [:]
  /// Those of them that have a backlog.
  private var blocked: Set<Int32> = []
  private var block: [UInt8] = []
  private let buffer: UnsafeMutableRawBufferPointer

  private var listener: Listener?

  /// Listens on 127.0.0.1; with port 0 on one that the system chooses.
  init(_ loop: EventLoop, port: UInt16) throws(SystemError) {
    self.loop = loop
    buffer = .allocate(byteCount: RawServer.readBytes, alignment: 64)
    handler = loop.attach(self)
    guard let address = Address(numericHost: "127.0.0.1", port: port) else { throw SystemError("parse 127.0.0.1") }
    let bound = try BoundSocket.open(address, isShared: false)
    listener = Listener(loop, on: bound, refusal: []) { [weak self] socket, _ in
      self?.accept(socket)
    }
    try listener?.listen()
  }

  /// Where it listens.
  var port: UInt16 { listener?.port ?? 0 }

  deinit { buffer.deallocate() }

  /// Serves on 127.0.0.1 until SIGTERM or SIGINT; prints the port.
  static func run(port: UInt16) throws(SystemError) -> Int32 {
    let loop = try EventLoop()
    let signals = try Signals(loop, [SIGTERM, SIGINT]) { _ in loop.stop() }
    let server = try RawServer(loop, port: port)
    Bench.write("listening on ws://127.0.0.1:\(server.port)/\n", to: 1)
    withExtendedLifetime((signals, server)) { loop.run() }
    return 0
  }

  private func accept(_ socket: Int32) {
    peers[socket] = Peer()
    do {
      try loop.watch(socket, for: .read, handler: handler!, token: UInt64(socket))  // Safe because init set it.
    } catch {
      drop(socket)
    }
  }

  private func drop(_ socket: Int32) {
    if let room = peers.removeValue(forKey: socket)?.room { rooms[room].removeAll { $0 == socket } }
    blocked.remove(socket)
    Socket.close(socket)
  }

  func ready(_ token: UInt64, _ readiness: Readiness) {
    let socket = Int32(token)
    guard peers[socket] != nil else { return }
    if readiness.contains(.write) { flush(socket) }
    guard !readiness.isDisjoint(with: [.read, .hangUp]) else { return }
    switch Socket.receive(socket, into: buffer) {
    case .bytes(let count): consume(socket, UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
    case .wouldBlock: break
    case .end, .failed: drop(socket)
    }
  }

  private func consume(_ socket: Int32, _ bytes: UnsafeMutableRawBufferPointer) {
    guard var peer = peers[socket] else { return }
    var cursor = 0
    if peer.parser != nil, !readRequest(socket, &peer, bytes, &cursor) {
      if peers[socket] != nil { peers[socket] = peer }
      return
    }
    block.removeAll(keepingCapacity: true)
    reading: while true {
      switch peer.reader.next(in: bytes, from: &cursor) {
      case .needMore: break reading
      case .message(let kind, _, let payload):
        payload.withSpan(in: bytes) { payload in
          if peer.room == nil {
            peer.room = enter(socket, payload)
          } else {
            FrameWriter.appendFrame(kind.opcode, payload: payload, to: &block)
          }
        }
      case .ping, .pong: continue
      case .close, .failed:
        // With the room that it may have entered by these bytes: else the next socket of this number would be a member.
        peers[socket] = peer
        return drop(socket)
      }
    }
    peers[socket] = peer
    if !block.isEmpty, let room = peer.room { send(to: rooms[room], except: socket) }
  }

  private func enter(_ socket: Int32, _ name: Span<UInt8>) -> Int {
    let name = [UInt8](copying: name)
    let room = roomNames[name] ?? rooms.count
    if room == rooms.count {
      rooms.append([])
      roomNames[name] = room
    }
    rooms[room].append(socket)
    return room
  }

  /// All that is measured.
  private func send(to receivers: [Int32], except sender: Int32) {
    // Safe because the bytes are only read during the calls.
    block.withUnsafeBytes { bytes in
      for socket in receivers where socket != sender {
        if !blocked.isEmpty, blocked.contains(socket) {
          keep(bytes, from: 0, for: socket)
          continue
        }
        let sent = Glibc.send(socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        if sent < bytes.count { keep(bytes, from: max(0, sent), for: socket) }
      }
    }
  }

  private func keep(_ bytes: UnsafeRawBufferPointer, from start: Int, for socket: Int32) {
    peers[socket]?.backlog.append(contentsOf: bytes[start...])
    blocked.insert(socket)
    loop.change(socket, to: [.read, .write], handler: handler!, token: UInt64(socket))  // Safe because init set it.
  }

  private func flush(_ socket: Int32) {
    guard var backlog = peers[socket]?.backlog else { return }
    // Safe because the bytes are only read during the call.
    if case .bytes(let count) = backlog.withUnsafeBytes({ Socket.send(socket, $0) }) { backlog.removeFirst(count) }
    peers[socket]?.backlog = backlog
    guard backlog.isEmpty, blocked.remove(socket) != nil else { return }
    loop.change(socket, to: .read, handler: handler!, token: UInt64(socket))  // Safe because init set it.
  }

  /// Answers the handshake; true once the connection speaks WebSocket.
  private func readRequest(
    _ socket: Int32, _ peer: inout Peer, _ bytes: UnsafeMutableRawBufferPointer, _ cursor: inout Int
  ) -> Bool {
    // Safe because the bytes live as long as this call, and have no other type.
    let text = UnsafeBufferPointer(bytes.assumingMemoryBound(to: UInt8.self)).span
    switch peer.parser?.next(in: text, from: &cursor) {
    case nil, .needMore: return false
    case .failed:
      drop(socket)
      return false
    case .request(let head):
      guard let key = head.copy(.webSocketKey) else {
        drop(socket)
        return false
      }
      // RFC 6455 section 4.2.2, 5.4.
      let challenge = key + Array("258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8)
      let accept = String(decoding: Base64.encode(Digest.sha1(challenge).span), as: UTF8.self)
      let answer = Array(
        """
        HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r
        Sec-WebSocket-Accept: \(accept)\r\n\r\n
        """.utf8)
      // Safe because the bytes are only read during the call. So few fit into the buffer of a fresh socket.
      _ = answer.withUnsafeBytes { Socket.send(socket, $0) }
      peer.parser = nil
      return true
    }
  }
}
