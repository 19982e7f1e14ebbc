#if os(Linux)
  import ClientCore
  import Glibc
  import HTTPCore
  import LoopCore
  import Synchronization
  import WebSocketCore

  typealias SystemTransport = SocketTransport

  /// WebSockets and HTTP over this package's own sockets, on one thread for all clients of the program.
  struct SocketTransport: ClientTransport {
    /// Bytes of a message of a server: its `max-message` is smaller.
    static let messageBytesMax = 64 << 20

    private let url: ServerURL
    private let thread: SocketThread

    /// Throws for an address that cannot be used, and when the system gives no thread.
    init(_ text: String) throws(ClientError) {
      do throws(ServerURL.Problem) {
        url = try ServerURL(parsing: text)
      } catch {
        throw ClientError(.badAddress, "\"\(text)\" \(error)")
      }
      thread = try SocketThread.shared()
    }

    func webSocket(_ request: WireRequest) -> any WireConnection {
      let wire = SocketWire(thread)
      let (url, target) = (url, target(request, path: url.webSocketPath("ws")))
      thread.post { host in host.open(wire, url, target: target, token: request.token) }
      return wire
    }

    func http(_ request: WireRequest) -> any WireConnection {
      let wire = SocketWire(thread)
      var asked = HTTPExchange.Request(
        request.method, target(request, path: "\(url.basePath)/\(request.endpoint)"), token: request.token)
      asked.body = request.body.map { ($0, request.bodyType) }
      let (url, exchange) = (url, asked)
      thread.post { host in host.ask(wire, url, exchange) }
      return wire
    }

    private func target(_ request: WireRequest, path: String) -> String {
      let mine = request.query.map { name, value in
        "\(name)=\(String(decoding: PercentCoding.encode(Array(value.utf8).span), as: UTF8.self))"
      }
      // What the address has itself comes first, and counts.
      let all = (url.query.isEmpty ? [] : [url.query]) + mine
      return path + (all.isEmpty ? "" : "?" + all.joined(separator: "&"))
    }
  }

  /// The thread and the loop of all clients, begun with the first one.
  final class SocketThread: Sendable {
    typealias Work = @Sendable (SocketHost) -> Void

    private static let started = Locked<SocketThread?>(nil)
    private let mailbox: Mailbox<Work>

    /// The thread, which runs from now on as long as the program.
    static func shared() throws(ClientError) -> SocketThread {
      let result: Result<SocketThread, ClientError> = started.withLock { started in
        if let started { return .success(started) }
        let made = make()
        if case .success(let thread) = made { started = thread }
        return made
      }
      return try result.get()
    }

    private init(_ mailbox: Mailbox<Work>) { self.mailbox = mailbox }

    func post(_ work: @escaping Work) { mailbox.post(work) }

    private static func make() -> Result<SocketThread, ClientError> {
      let answer = Locked<Result<Mailbox<Work>, ClientError>?>(nil)
      let hasThread = HelperThread.start {
        do {
          let loop = try EventLoop()
          let host = try SocketHost(loop)
          let reader = try MailboxReader<Work>(loop) { work in work(host) }
          answer.withLock { $0 = .success(reader.mailbox) }
          loop.run()
        } catch {
          answer.withLock { $0 = .failure(ClientError(.unsupported, "the system gives no event loop: \(error)")) }
        }
      }
      guard hasThread else { return .failure(ClientError(.unsupported, "the system gives no thread")) }
      // The thread answers within microseconds, before it does anything else.
      while true {
        if let made = answer.withLock({ $0 }) { return made.map { SocketThread($0) } }
        sched_yield()
      }
    }
  }

  /// A connection as a client has it: its events come from the thread of the sockets, what it asks goes there.
  final class SocketWire: WireConnection {
    let events: AsyncStream<WireEvent>
    private let continuation: AsyncStream<WireEvent>.Continuation
    private let thread: SocketThread
    private let waiting = Atomic<Int>(0)

    init(_ thread: SocketThread) {
      self.thread = thread
      (events, continuation) = AsyncStream.makeStream(of: WireEvent.self)
    }

    func send(_ text: [UInt8]) { thread.post { host in host.send(text, over: self) } }

    func consumed(_ bytes: Int) {
      let before = waiting.wrappingSubtract(bytes, ordering: .relaxed).oldValue
      // Of all calls one brings it below.
      if before >= wireBytesMax / 2, before - bytes < wireBytesMax / 2 { thread.post { host in host.resume(self) } }
    }

    func close() {
      continuation.finish()
      thread.post { host in host.close(self) }
    }

    // MARK: On the thread of the sockets

    /// Gives an event. Returns whether the connection is to be read no further for now.
    func give(_ event: WireEvent, bytes: Int = 0) -> Bool {
      let sum = waiting.wrappingAdd(bytes, ordering: .relaxed).newValue
      continuation.yield(event)
      return sum >= wireBytesMax
    }

    func end(_ end: WireEnd) {
      continuation.yield(.ended(end))
      continuation.finish()
    }
  }

  /// The connections of all clients. Confined to the thread of the sockets.
  final class SocketHost {
    private enum Driver {
      case webSocket(WebSocketDriver)
      case exchange(HTTPExchange)
    }

    private let dispatcher: SocketDispatcher
    private var drivers: [ObjectIdentifier: Driver] = [:]
    /// Made for the first connection by TLS.
    private var trust: TLSClientContext?

    init(_ loop: EventLoop) throws(SystemError) { dispatcher = try SocketDispatcher(loop) }

    func open(_ wire: SocketWire, _ url: ServerURL, target: String, token: String?) {
      guard let trust = makeTrust(url, wire) else { return }
      let driver = WebSocketDriver(dispatcher, url, trust: trust, wire) { [weak self] in self?.forget(wire) }
      drivers[ObjectIdentifier(wire)] = .webSocket(driver)
      driver.connection?.dial(target: target, token: token)
    }

    func ask(_ wire: SocketWire, _ url: ServerURL, _ request: HTTPExchange.Request) {
      guard let trust = makeTrust(url, wire) else { return }
      let exchange = HTTPExchange(dispatcher, url, request, trust: trust) { [weak self] event in
        switch event {
        case .head(let status): _ = wire.give(.status(status))
        case .body(let bytes): if wire.give(.body(bytes), bytes: bytes.count) { self?.pause(wire) }
        case .done:
          wire.end(.done)
          self?.forget(wire)
        case .ended(let problem):
          wire.end(WireEnd(problem))
          self?.forget(wire)
        }
      }
      drivers[ObjectIdentifier(wire)] = .exchange(exchange)
      exchange.start()
    }

    func send(_ text: [UInt8], over wire: SocketWire) {
      if case .webSocket(let driver) = drivers[ObjectIdentifier(wire)] { driver.connection?.send(.text, text) }
    }

    func resume(_ wire: SocketWire) {
      switch drivers[ObjectIdentifier(wire)] {
      case .webSocket(let driver): driver.connection?.resume()
      case .exchange(let exchange): exchange.resume()
      case nil: break
      }
    }

    private func pause(_ wire: SocketWire) {
      if case .exchange(let exchange) = drivers[ObjectIdentifier(wire)] { exchange.pause() }
    }

    func close(_ wire: SocketWire) {
      switch drivers.removeValue(forKey: ObjectIdentifier(wire)) {
      case .webSocket(let driver): driver.connection?.close()
      case .exchange(let exchange): exchange.close()
      case nil: break
      }
    }

    private func forget(_ wire: SocketWire) { drivers[ObjectIdentifier(wire)] = nil }

    /// What certificates are judged by, in a second optional: nil for an address without TLS. Nil alone: it cannot be made,
    /// and the connection was ended.
    private func makeTrust(_ url: ServerURL, _ wire: SocketWire) -> TLSClientContext?? {
      guard url.isSecure else { return .some(nil) }
      if let trust { return .some(trust) }
      do throws(TLSError) {
        let made = try TLSClientContext(authorityPath: nil, certificatePath: nil, keyPath: nil)
        trust = made
        return .some(made)
      } catch {
        wire.end(.unreachable("\(error.description); check SSL_CERT_FILE"))
        return nil
      }
    }
  }

  /// Gathers what one read brings of a WebSocket, so that a client takes it in one step. Confined to the thread of the
  /// sockets.
  private final class WebSocketDriver {
    private(set) var connection: WebSocketConnection?
    private let wire: SocketWire
    private let ended: () -> Void
    private var texts: [[UInt8]] = []
    private var textBytes = 0

    init(
      _ dispatcher: SocketDispatcher, _ url: ServerURL, trust: TLSClientContext?, _ wire: SocketWire,
      _ ended: @escaping () -> Void
    ) {
      (self.wire, self.ended) = (wire, ended)
      connection = WebSocketConnection(
        dispatcher, url, path: url.webSocketPath("ws"), trust: trust, messageBytesMax: SocketTransport.messageBytesMax
      ) { [weak self] in self?.take($0) }
    }

    private func take(_ event: WebSocketConnection.Event) {
      switch event {
      case .opened: _ = wire.give(.opened)
      case .heard: break
      case .message(.text, let payload):
        texts.append(Array(payload))
        textBytes += payload.count
      case .message(.binary, let payload):
        flush()
        if wire.give(.binaries([Array(payload)]), bytes: payload.count) { connection?.pause() }
      case .idle: flush()
      case .closed(let code, let reason): end(.closed(code: code.rawValue, reason: reason))
      case .ended(let problem): end(WireEnd(problem))
      case .broken(let what): end(.broken("the server broke the WebSocket protocol: \(what)"))
      }
    }

    private func flush() {
      guard !texts.isEmpty else { return }
      if wire.give(.texts(texts), bytes: textBytes) { connection?.pause() }
      (texts, textBytes) = ([], 0)
    }

    private func end(_ end: WireEnd) {
      flush()
      wire.end(end)
      ended()
    }
  }

  extension WireEnd {
    init(_ problem: ConnectionProblem) {
      switch problem {
      case .answered(let status, _, _): self = .refused(status: status)
      case .unknownHost, .unreachable, .untrusted, .noTLS: self = .unreachable(problem.reason)
      case .silent, .closed, .notHTTP, .brokenHandshake: self = .broken(problem.reason)
      }
    }
  }
#endif
