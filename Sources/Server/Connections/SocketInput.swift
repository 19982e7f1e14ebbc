import AddressCore
import HTTPCore
import LoopCore
import Realtime

/// The sockets of a table: what the kernel reports of them, and the bytes that are read, by TLS or without.
final class SocketInput: EventHandler {
  /// Bytes read at a time. The table has one buffer: what a message leaves incomplete is kept by its reader.
  private static let readBytes = 64 * 1024

  private let loop: EventLoop
  private let connections: ConnectionStore
  private let timers: ConnectionTimers
  private let input: HeldInput
  private let queues: SendQueues
  private let peers: PeerGuard
  private let protocols: ConnectionProtocol
  private let buffer: UnsafeMutableRawBufferPointer
  private var handler: EventLoop.HandlerID?
  weak var host: (any ConnectionHost)?

  init(_ loop: EventLoop, _ parts: ConnectionParts) {
    self.loop = loop
    connections = parts.connections
    timers = parts.timers
    input = parts.input
    queues = parts.queues
    peers = parts.peers
    protocols = parts.protocols
    buffer = .allocate(byteCount: SocketInput.readBytes, alignment: 16)
    handler = loop.attach(self)
  }

  deinit { buffer.deallocate() }

  // MARK: Events

  /// Starts to watch the socket of a new connection.
  func watch(_ id: SlabID) throws(SystemError) {
    // Safe because init set the handler.
    try loop.watch(connections[id.index].socket, for: [.read, .readHangUp], handler: handler!, token: token(id))
  }

  func ready(_ token: UInt64, _ readiness: Readiness) {
    let index = UInt32(truncatingIfNeeded: token)
    // An event may be older than its socket: then the generation differs.
    guard connections.isOccupied(index), self.token(connections.id(at: index)) == token else { return }
    if connections[index].stage == .preamble { return readPreamble(index) }
    if connections[index].stage == .handshake { return advanceHandshake(index) }
    if readiness.contains(.write) { queues.flush(index) }
    guard connections.isOccupied(index), self.token(connections.id(at: index)) == token else { return }
    // The peer is gone, so no answer would reach it, and the kernel would report it again and again.
    if readiness.contains(.hangUp), input.isHeld(index) { return drop(index) }
    if !readiness.isDisjoint(with: [.read, .readHangUp, .hangUp]) { read(index) }
  }

  /// Asks the kernel for what the connection waits for: reading unless its input is held, writing only while a remainder
  /// exists.
  func updateInterest(_ index: UInt32) {
    var interest: Readiness = [.readHangUp]
    if input.isHeld(index) { interest.remove(.readHangUp) } else { interest.insert(.read) }
    if connections[index].wantsWrite { interest.insert(.write) }
    let token = token(connections.id(at: index))
    loop.change(connections[index].socket, to: interest, handler: handler!, token: token)  // Safe because init set it.
  }

  /// Reads a connection again.
  func resume(_ index: UInt32) {
    updateInterest(index)
    // What OpenSSL holds already is no event of the socket.
    if connections[index].wire.tls?.holdsBytes == true { read(index) }
  }

  private func drop(_ index: UInt32) { host?.drop(index) }

  private func token(_ id: SlabID) -> UInt64 { UInt64(id.generation & 0xFFFF) << 32 | UInt64(id.index) }

  // MARK: Reading

  /// Reads as much as one read of a plain socket takes, however many TLS records that is; the rest at the next tick, so
  /// that no sender keeps the others waiting, nor its own answers. What OpenSSL holds is always read, because the socket
  /// would not report it.
  private func read(_ index: UInt32) {
    guard !input.isHeld(index) else { return }
    let id = connections.id(at: index)
    var count = 0
    repeat {
      switch connections[index].wire.receive(into: buffer, from: connections[index].socket) {
      case .bytes(let received):
        count += received
        protocols.receive(id, UnsafeMutableRawBufferPointer(rebasing: buffer[..<received]))
      case .wouldBlock: return
      case .end, .failed: return drop(index)
      }
    } while connections.contains(id) && !input.isHeld(index) && mayHoldMore(index, read: count)
  }

  /// Whether to read once more in this tick: a record of TLS is 16 KiB at most (RFC 8446 section 5.1).
  private func mayHoldMore(_ index: UInt32, read count: Int) -> Bool {
    guard let tls = connections[index].wire.tls else { return false }
    return count < SocketInput.readBytes || tls.holdsBytes
  }

  // MARK: TLS

  /// Takes a TLS handshake one step further, until requests can be read.
  private func advanceHandshake(_ index: UInt32) {
    guard let tls = connections[index].wire.tls else { return drop(index) }
    if !connections[index].isSniffed {
      guard let first = Socket.peek(connections[index].socket) else { return drop(index) }
      connections[index].isSniffed = true
      if SocketInput.beginsRequest(first) { return readPlainRequest(index) }
    }
    let progress = tls.handshake()
    switch progress {
    case .done:
      connections[index].wantsWrite = false
      updateInterest(index)
      timers.enter(.request, index)
      // The first request may have come with the last message of the handshake.
      read(index)
    case .wantsRead, .wantsWrite:
      connections[index].wantsWrite = progress == .wantsWrite
      updateInterest(index)
    case .failed: drop(index)
    }
  }

  /// A TLS connection begins with a handshake record, 22 (RFC 8446 section 5.1); a request with a letter.
  private static func beginsRequest(_ first: UInt8) -> Bool { first >= UInt8(ascii: "A") && first <= UInt8(ascii: "Z") }

  /// A client sent plain HTTP to the TLS port: the request is read, and answered with a redirect.
  private func readPlainRequest(_ index: UInt32) {
    connections[index].wire = .socket
    connections[index].role = .redirect
    timers.enter(.request, index)
    read(index)
  }

  // MARK: PROXY protocol

  /// Reads the header with which a trusted proxy begins. Nothing after it is touched: it may be TLS.
  private func readPreamble(_ index: UInt32) {
    guard let exchange = connections[index].exchange else { return drop(index) }
    let kept = exchange.waiting.count
    let count: Int
    switch Socket.peek(connections[index].socket, into: buffer, count: ProxyHeader.bytesMax) {
    case .bytes(let seen): count = seen
    case .wouldBlock: return
    case .end, .failed: return drop(index)
    }
    exchange.waiting.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    let header = exchange.waiting.copy()
    switch ProxyHeader.read(header.span) {
    case .needMore: _ = take(count, index)
    case .failed:
      peers.noteBadProxyHeader()
      drop(index)
    case .header(let bytes, let source):
      guard take(bytes - kept, index) else { return drop(index) }
      exchange.waiting.clear()
      begin(index, for: source)
    }
  }

  /// Reads bytes that were looked at before.
  private func take(_ count: Int, _ index: UInt32) -> Bool {
    let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
    return Socket.receive(connections[index].socket, into: bytes) == .bytes(count)
  }

  /// Goes on as if the connection came from the client that the proxy names; a header without a source is the proxy's own.
  private func begin(_ index: UInt32, for source: IPAddress?) {
    if let source {
      connections[index].address = source.text
      if !peers.isTrustedProxy(source) {
        guard peers.admit(source) else {
          guard connections[index].wire.tls == nil else { return drop(index) }
          queues.append(to: index) { PeerGuard.makeAddressRefusal().append(to: &$0, connection: .close) }
          return queues.finish(index)
        }
        connections[index].isCounted = true
      }
    }
    timers.enter(connections[index].wire.tls == nil ? .request : .handshake, index)
  }

  // MARK: Refusal

  /// Sends a refusal to a socket that was just accepted, where that is possible, and closes it. What has come already is
  /// read first: a socket that is closed on unread bytes is reset, and the answer with it (RFC 9112 section 9.6).
  ///
  /// - Parameter answer: nil where nothing can be sent: the client expects TLS.
  func refuse(_ socket: Int32, _ answer: [UInt8]?) {
    if let answer {
      _ = Socket.receive(socket, into: buffer)
      // Safe because the bytes are only read during the call.
      _ = answer.withUnsafeBytes { Socket.send(socket, $0) }
      Socket.finishSending(socket)
    }
    Socket.close(socket)
  }
}
