import ClientCore
import ClientProtocol
import Compression
import LoopCore
import WebSocketCore

/// Drives the connections of one load: one process, one loop, non-blocking sockets.
///
/// Readiness of each socket opens and closes connections, and moves bytes where the kernel offers nothing better. A load
/// whose messages count asks for `moveTogether`, and what moves while it runs then goes through io_uring.
///
/// Confined to the loop that created it.
final class Generator: EventHandler, TickParticipant {
  /// Bytes read at a time: many small messages come in one read.
  private static let readBytes = 256 * 1024

  let loop: EventLoop
  let load: any Load
  /// The load's connections by number. Behind a pointer, so that touching one never copies it.
  let clients: UnsafeMutablePointer<Client>
  private let clientCount: Int
  let buffer: UnsafeMutableRawBufferPointer
  private(set) var handler = EventLoop.HandlerID?.none
  var dirty: [Int] = []
  private let sources = (1...200).compactMap { Address(numericHost: "127.0.1.\($0)", port: 0) }
  private var sourcesUsed = 0
  /// With permessage-deflate: one pair for all connections, for no context outlives a message (RFC 7692 section 7.1.1).
  let compression: (deflater: MessageDeflater, inflater: MessageInflater)?
  var random = SplitMix(state: Clock.monotonicNanoseconds())
  /// What ended the run before its time.
  private(set) var failure: CommandFailure?
  /// What the certificates of servers are judged by, made for the first connection by TLS.
  private var trust: TLSClientContext?
  /// Milliseconds in which at least one connection must have come as far as to be ready while any are being opened.
  private static let openingMilliseconds = 10_000
  private var readyCount = 0
  /// Clients that were told to open, and those of them that are not ready yet.
  private var openedCount = 0
  private var pendingCount = 0
  private var pendingMax = 0
  /// Connections opened so far.
  private var openings: UInt32 = 0
  /// Whether the kernel is asked for io_uring.
  private let isRingAllowed: Bool
  private(set) var receiveRing: ReceiveRing?
  private(set) var sendRing: SendRing?
  /// Whether there may be something to receive through the ring.
  var hasArrivals = false

  init(_ loop: EventLoop, _ load: any Load, isCompressed: Bool = false, isRingAllowed: Bool = true) {
    self.isRingAllowed = isRingAllowed
    self.loop = loop
    self.load = load
    compression = isCompressed ? (MessageDeflater(windowBits: 15), MessageInflater()) : nil
    clientCount = load.clientCount
    clients = .allocate(capacity: clientCount)
    clients.initialize(repeating: Client(), count: clientCount)
    buffer = .allocate(byteCount: Generator.readBytes, alignment: 64)
    handler = loop.attach(self)
    loop.attach(tick: self)
  }

  deinit {
    clients.deinitialize(count: clientCount)
    clients.deallocate()
    buffer.deallocate()
  }

  // MARK: Opening

  /// Opens all clients, so many at a time; the load's `begin` follows when all are ready.
  func openAll(concurrency: Int) {
    pendingMax = concurrency
    openMore()
    watchOpening(since: readyCount)
  }

  /// Ends the run when a server takes connections and then says nothing.
  private func watchOpening(since count: Int) {
    loop.after(milliseconds: Generator.openingMilliseconds) { [weak self] in
      guard let self, self.openedCount < self.clientCount || self.pendingCount > 0, self.failure == nil else { return }
      guard self.readyCount == count else { return self.watchOpening(since: self.readyCount) }
      self.fail(.silent(milliseconds: Generator.openingMilliseconds), of: 0)
    }
  }

  private func openMore() {
    while openedCount < clientCount, pendingCount < pendingMax, failure == nil {
      pendingCount += 1
      openedCount += 1
      open(openedCount - 1)
    }
  }

  /// Tells that a client is ready to take part.
  func ready(client: Int) {
    pendingCount -= 1
    readyCount += 1
    openMore()
    if openedCount == clientCount, pendingCount == 0 { load.begin() }
  }

  /// Connects a client.
  func open(_ index: Int) {
    let client = clients + index
    client.pointee = Client()
    openings &+= 1
    client.pointee.opening = openings
    client.pointee.startedAt = Clock.monotonicNanoseconds()
    let (url, _) = load.destination(of: index)
    guard let address = url.address else { return fail(.unknownHost, of: index) }
    do {
      let socket = try Socket.connect(to: address, from: url.isLoopback ? nextSource() : nil)
      client.pointee.socket = socket
      client.pointee.stage = .connecting
      try loop.watch(socket, for: .write, handler: handler!, token: UInt64(index))  // Safe because init set it.
    } catch {
      fail("\(error); \(index) connections were open")
    }
  }

  /// Over loopback the sources take turns: one address has ports for 28,000 connections, those that just closed included.
  private func nextSource() -> Address? {
    sourcesUsed += 1
    return sources.isEmpty ? nil : sources[sourcesUsed % sources.count]
  }

  // MARK: io_uring

  /// Moves the bytes of all open connections through io_uring from now on; without it everything stays as it is.
  func moveTogether() {
    // Bytes of TLS go through OpenSSL.
    let isPlain = (0..<clientCount).allSatisfy { clients[$0].tls == nil }
    guard isRingAllowed, isPlain, receiveRing == nil, let ring = try? ReceiveRing() else { return }
    // Safe because init set the handler.
    let isWatched: Void? = try? loop.watch(
      ring.wakeDescriptor, for: [.read, .edge], handler: handler!, token: Generator.ringToken)
    guard isWatched != nil else { return }
    receiveRing = ring
    sendRing = try? SendRing()
    for index in 0..<clientCount where clients[index].stage == .open {
      loop.unwatch(clients[index].socket)
      clients[index].isInRing = true
      if clients[index].wantsWrite { watch(index) }
      receiveThroughRing(index)
    }
    hasArrivals = true
  }

  // MARK: Ending

  /// Begins the closing handshake (RFC 6455 section 7.1.2); the load hears `closed`.
  func close(_ index: Int) {
    guard clients[index].stage == .open else { return }
    send(.close, FrameWriter.closeBody(.normal, reason: [UInt8]().span).span, on: index)
    clients[index].stage = .closing
  }

  func acceptClose(_ index: Int, _ code: CloseCode?) {
    // The server closes first (RFC 6455 section 7.1.1): the end of the bytes is awaited.
    guard clients[index].stage != .closing else { return }
    let what = "the server closed connection \(index) with \(code.map { "\($0.rawValue)" } ?? "no code")"
    switch code?.rawValue {
    case CloseReason.notAuthenticated.code?, CloseReason.forbidden.code?:
      fail(
        CommandFailure(
          ExitStatus.noPermission, "\(what); give a token in the query of --url, as ws://HOST/ws?token=JWT"))
    case CloseReason.full.code?, CloseReason.rateLimited.code?, CloseReason.slowConsumer.code?:
      fail("\(what): one of its limits was reached; roost serve --help lists them")
    default: fail(what)
    }
  }

  /// Notes that a connection is over, for whatever reason.
  func ended(_ index: Int, _ problem: ConnectionProblem) {
    let stage = clients[index].stage
    drop(index)
    switch stage {
    case .closing: load.closed(index)
    case .open: fail("connection \(index): \(problem.reason)")
    case .vacant, .connecting, .securing, .upgrading: fail(problem, of: index)
    }
  }

  /// Begins TLS on a socket that has just connected; nil when it cannot.
  func secure(_ index: Int) -> TLSSession? {
    if trust == nil {
      do throws(TLSError) {
        trust = try TLSClientContext(authorityPath: nil, certificatePath: nil, keyPath: nil)
      } catch {
        fail("\(error.description); check SSL_CERT_FILE")
      }
    }
    let host = load.destination(of: index).url.url.host
    return trust.flatMap { TLSSession($0, socket: clients[index].socket, host: host) }
  }

  /// Closes a socket at once.
  private func drop(_ index: Int) {
    guard clients[index].stage != .vacant else { return }
    // The ring holds the socket open until it has met its end.
    if clients[index].isInRing { Socket.shutDown(clients[index].socket) }
    Socket.close(clients[index].socket)
    clients[index].stage = .vacant
    clients[index].tls = nil
  }

  /// Ends the run: what it measured is worth nothing.
  func fail(_ reason: String) { fail(CommandFailure(ExitStatus.unavailable, reason)) }

  /// Ends the run because a connection could not be opened.
  func fail(_ problem: ConnectionProblem, of index: Int) {
    let destination = load.destination(of: index).url
    fail(problem.failure(destination.url, tried: destination.tried, token: nil))
  }

  private func fail(_ failure: CommandFailure) {
    if self.failure == nil { self.failure = failure }
    loop.stop()
  }

  /// Closes whatever is open, without words.
  func dropAll() { for index in 0..<clientCount { drop(index) } }
}
