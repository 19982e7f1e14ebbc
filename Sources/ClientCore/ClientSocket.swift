import LoopCore

/// One outgoing connection after the other, by TCP or by TLS over it: resolves, connects to the first address that answers,
/// reads, writes.
///
/// Tells its owner by ``Event``; nothing follows `ended`, or a call of ``close()``, until the next ``dial(_:)``.
/// Confined to the loop of its dispatcher.
public final class ClientSocket {
  /// What happens to a connection.
  public enum Event {
    case connected
    /// Bytes that may be changed and are gone after the call.
    case received(UnsafeMutableRawBufferPointer)
    /// The connection is over, or never was.
    case ended(ConnectionProblem)
  }

  private let dispatcher: SocketDispatcher
  private let handle: (Event) -> Void
  private var descriptor: Int32 = -1
  /// The token of the descriptor's events; 0: there is no descriptor.
  private var token: UInt64 = 0
  /// Counts dials and closes, so that an answer of the resolver to an earlier dial is known and dropped.
  private var generation: UInt64 = 0
  private var addresses: ArraySlice<Address> = []
  private var isConnected = false
  private var isPaused = false
  private var unsent: [UInt8] = []
  /// What a server's certificate is judged by; nil: no TLS.
  private let trust: TLSClientContext?
  /// The TLS of the connection, from the moment it is connected; nil without TLS.
  private var tls: TLSSession?
  private var host = ""

  /// - Parameter trust: makes every connection one by TLS; nil: none is.
  public init(_ dispatcher: SocketDispatcher, trust: TLSClientContext?, _ handle: @escaping (Event) -> Void) {
    self.dispatcher = dispatcher
    self.trust = trust
    self.handle = handle
  }

  /// Starts to connect to the host and port of an address.
  public func dial(_ url: ServerURL) {
    close()
    host = url.host
    let dialed = generation
    dispatcher.resolver.resolve(url.host, port: url.port) { [self] found in
      guard dialed == generation else { return }
      guard let found, !found.isEmpty else { return end(.unknownHost) }
      addresses = found[...]
      connectNext(after: "no address")
    }
  }

  /// Sends bytes, in order; those that the kernel does not take wait.
  public func send(_ bytes: [UInt8]) {
    guard isConnected else { return }
    unsent += bytes
    flush()
  }

  /// Bytes that wait for the kernel.
  public var unsentCount: Int { unsent.count }

  /// Reads no more until `resume`: what the peer sends waits in the kernels of both.
  public func pause() {
    guard isConnected, !isPaused else { return }
    isPaused = true
    watch()
  }

  /// Reads again.
  public func resume() {
    guard isPaused else { return }
    isPaused = false
    guard isConnected else { return }
    watch()
    // What OpenSSL holds is no event of the socket.
    if tls?.holdsBytes == true { receive() }
  }

  /// Ends the connection without an event. Idempotent.
  public func close() {
    generation += 1
    isConnected = false
    isPaused = false
    unsent = []
    tls = nil
    closeDescriptor()
  }

  func ready(_ token: UInt64, _ readiness: Readiness) {
    guard token == self.token else { return }
    guard isConnected else { return tls == nil ? finishConnecting() : advanceHandshake() }
    if readiness.contains(.write) { flush() }
    if !isPaused || readiness.contains(.hangUp) { receive() }
  }

  private func receive() {
    let token = token
    repeat {
      guard token == self.token, token != 0 else { return }
      let buffer = dispatcher.buffer
      switch tls?.receive(into: buffer) ?? Socket.receive(descriptor, into: buffer) {
      case .bytes(let count): handle(.received(UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])))
      case .wouldBlock: return
      case .end: return end(.closed)
      case .failed(let code): return end(.failed(code))
      }
    } while token == self.token && !isPaused && tls?.holdsBytes == true
  }

  private func connectNext(after reason: String) {
    guard let address = addresses.popFirst() else { return end(.unreachable(reason)) }
    do {
      descriptor = try Socket.connect(to: address)
      token = try dispatcher.watch(descriptor, for: .write, self)
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
    watch()
    handle(.connected)
  }

  private func advanceHandshake() {
    guard let tls else { return }
    switch tls.handshake() {
    case .done: established()
    case .wantsRead: dispatcher.change(descriptor, to: .read, token)
    case .wantsWrite: dispatcher.change(descriptor, to: .write, token)
    case .failed: end(tls.certificateProblem.map { .untrusted($0) } ?? .noTLS(tls.failure))
    }
  }

  private func closeDescriptor() {
    guard descriptor >= 0 else { return }
    Socket.close(descriptor)
    descriptor = -1
    dispatcher.forget(token)
    token = 0
  }

  private func watch() {
    var interest: Readiness = isPaused ? [] : .read
    if !unsent.isEmpty { interest.insert(.write) }
    dispatcher.change(descriptor, to: interest, token)
  }

  private func flush() {
    guard !unsent.isEmpty else { return }
    // Safe because the bytes are only read, inside the closure.
    let transfer = unsent.withUnsafeBytes { tls?.send($0) ?? Socket.send(descriptor, $0) }
    // A failure shows again at the next read, behind what the server may still have said.
    if case .bytes(let count) = transfer { unsent.removeFirst(count) }
    watch()
  }

  private func end(_ problem: ConnectionProblem) {
    close()
    handle(.ended(problem))
  }
}
