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
  private(set) var failure: String?
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
    guard let address = url.address else { return fail("the URL has no address") }
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
    guard isRingAllowed, receiveRing == nil, let ring = try? ReceiveRing() else { return }
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
    fail("the server closed connection \(index) with \(code.map { "\($0.rawValue)" } ?? "no code")")
  }

  func ended(_ index: Int, _ reason: String) {
    let wasClosing = clients[index].stage == .closing
    drop(index)
    guard wasClosing else { return fail(reason) }
    load.closed(index)
  }

  /// Closes a socket at once.
  private func drop(_ index: Int) {
    guard clients[index].stage != .vacant else { return }
    // The ring holds the socket open until it has met its end.
    if clients[index].isInRing { Socket.shutDown(clients[index].socket) }
    Socket.close(clients[index].socket)
    clients[index].stage = .vacant
  }

  /// Ends the run: what it measured is worth nothing.
  func fail(_ reason: String) {
    if failure == nil { failure = reason }
    loop.stop()
  }

  /// Closes whatever is open, without words.
  func dropAll() { for index in 0..<clientCount { drop(index) } }
}
