import ClientCore
import LoopCore

/// One outgoing connection after the other, by TCP or by TLS over it: resolves, connects to the first address that answers,
/// reads, writes.
///
/// Tells its owner by ``Event``; nothing follows `ended`, or a call of ``close()``, until the next ``dial(_:)``.
/// Confined to the loop that it was made for.
final class ClientSocket: EventHandler {
  enum Event {
    case connected
    /// Bytes that may be changed and are gone after the call.
    case received(UnsafeMutableRawBufferPointer)
    /// The connection is over, or never was.
    case ended(ConnectionProblem)
  }

  private let loop: EventLoop
  private let resolver: Resolver
  private let handle: (Event) -> Void
  // Safe because it lives as long as self, is touched on the loop only, and is never kept by the owner.
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
  private lazy var handlerID = loop.attach(self)
  private var descriptor: Int32 = -1
  /// Counts dials and closes, so that what belongs to an earlier connection is known and dropped.
  private var generation: UInt64 = 0
  private var addresses: ArraySlice<Address> = []
  private var isConnected = false
  private var unsent: [UInt8] = []
  /// What a server's certificate is judged by; nil: no TLS.
  private let trust: TLSClientContext?
  /// The TLS of the connection, from the moment it is connected; nil without TLS.
  private var tls: TLSSession?
  private var host = ""

  /// - Parameter trust: makes every connection one by TLS; nil: none is.
  init(_ loop: EventLoop, trust: TLSClientContext?, _ handle: @escaping (Event) -> Void) throws(SystemError) {
    self.loop = loop
    self.trust = trust
    self.handle = handle
    resolver = try Resolver(loop)
  }

  deinit { buffer.deallocate() }

  /// Starts to connect to the host and port of an address.
  func dial(_ url: ServerURL) {
    close()
    host = url.host
    let dialed = generation
    resolver.resolve(url.host, port: url.port) { [self] found in
      guard dialed == generation else { return }
      guard let found, !found.isEmpty else { return end(.unknownHost) }
      addresses = found[...]
      connectNext(after: "no address")
    }
  }

  /// Sends bytes, in order; those that the kernel does not take wait.
  func send(_ bytes: [UInt8]) {
    guard isConnected else { return }
    unsent += bytes
    flush()
  }

  /// Ends the connection without an event. Idempotent.
  func close() {
    generation += 1
    isConnected = false
    unsent = []
    tls = nil
    guard descriptor >= 0 else { return }
    Socket.close(descriptor)
    descriptor = -1
  }

  func ready(_ token: UInt64, _ readiness: Readiness) {
    guard token == generation, descriptor >= 0 else { return }
    guard isConnected else { return tls == nil ? finishConnecting() : advanceHandshake() }
    if readiness.contains(.write) { flush() }
    // What OpenSSL holds is no event of the socket.
    repeat {
      guard token == generation else { return }
      switch tls?.receive(into: buffer) ?? Socket.receive(descriptor, into: buffer) {
      case .bytes(let count): handle(.received(UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])))
      case .wouldBlock: return
      case .end: return end(.closed)
      case .failed(let code): return end(.failed(code))
      }
    } while token == generation && tls?.holdsBytes == true
  }

  private func connectNext(after reason: String) {
    guard let address = addresses.popFirst() else { return end(.unreachable(reason)) }
    do {
      descriptor = try Socket.connect(to: address)
      try loop.watch(descriptor, for: .write, handler: handlerID, token: generation)
    } catch {
      closeDescriptor()
      connectNext(after: SystemError.text(error.code))
    }
  }

  private func finishConnecting() {
    let code = Socket.pendingError(descriptor)
    guard code == 0 else {
      closeDescriptor()
      return connectNext(after: SystemError.text(code))
    }
    guard let trust else { return established() }
    tls = TLSSession(trust, socket: descriptor, host: host)
    guard tls != nil else { return end(.unreachable("OpenSSL has no memory")) }
    advanceHandshake()
  }

  private func established() {
    isConnected = true
    loop.change(descriptor, to: .read, handler: handlerID, token: generation)
    handle(.connected)
  }

  private func advanceHandshake() {
    guard let tls else { return }
    switch tls.handshake() {
    case .done: established()
    case .wantsRead: loop.change(descriptor, to: .read, handler: handlerID, token: generation)
    case .wantsWrite: loop.change(descriptor, to: .write, handler: handlerID, token: generation)
    case .failed: end(tls.certificateProblem.map { .untrusted($0) } ?? .noTLS(tls.failure))
    }
  }

  private func closeDescriptor() {
    if descriptor >= 0 { Socket.close(descriptor) }
    descriptor = -1
    // Events of the address that failed must not count for the next one.
    generation += 1
  }

  private func flush() {
    guard !unsent.isEmpty else { return }
    // Safe because the bytes are only read, inside the closure.
    let transfer = unsent.withUnsafeBytes { tls?.send($0) ?? Socket.send(descriptor, $0) }
    // A failure shows again at the next read, behind what the server may still have said.
    if case .bytes(let count) = transfer { unsent.removeFirst(count) }
    loop.change(descriptor, to: unsent.isEmpty ? .read : [.read, .write], handler: handlerID, token: generation)
  }

  private func end(_ problem: ConnectionProblem) {
    close()
    handle(.ended(problem))
  }
}
