import Compression
import HTTPCore
import LoopCore
import WebSocketCore

/// Drives the connections of one load: one process, one loop, one receive buffer, non-blocking sockets.
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
  private let buffer: UnsafeMutableRawBufferPointer
  private var handler = EventLoop.HandlerID?.none
  private var dirty: [Int] = []
  private let sources = (1...200).compactMap { Address(numericHost: "127.0.1.\($0)", port: 0) }
  private var sourcesUsed = 0
  /// With permessage-deflate: one pair for all connections, for no context outlives a message (RFC 7692 section 7.1.1).
  private let compression: (deflater: MessageDeflater, inflater: MessageInflater)?
  private var random = SplitMix(state: Clock.monotonicNanoseconds())
  /// What ended the run before its time.
  private(set) var failure: String?
  /// Clients that were told to open, and those of them that are not ready yet.
  private var openedCount = 0
  private var pendingCount = 0
  private var pendingMax = 0

  init(_ loop: EventLoop, _ load: any Load, isCompressed: Bool = false) {
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

  // MARK: Events

  func ready(_ token: UInt64, _ readiness: Readiness) {
    let index = Int(token)
    let client = clients + index
    if client.pointee.stage == .connecting { return finishConnecting(index) }
    if readiness.contains(.write) { flush(index) }
    guard !readiness.isDisjoint(with: [.read, .hangUp]), client.pointee.stage != .vacant else { return }
    switch Socket.receive(client.pointee.socket, into: buffer) {
    case .bytes(let count): consume(index, UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
    case .wouldBlock: break
    case .end: ended(index, "the server closed connection \(index)")
    case .failed(let code): ended(index, "connection \(index): \(SystemError.text(code))")
    }
  }

  private func finishConnecting(_ index: Int) {
    let client = clients + index
    let code = Socket.pendingError(client.pointee.socket)
    let (url, target) = load.destination(of: index)
    guard code == 0 else { return fail("cannot connect to \(url.authority): \(SystemError.text(code))") }
    client.pointee.stage = .upgrading
    client.pointee.answer = ResponseParser(bodyBytesMax: 1 << 16)
    // The sample key of RFC 6455 section 1.3: its answer is known without hashing.
    let offer =
      compression == nil
      ? "" : "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
    let request = """
      GET \(target) HTTP/1.1\r\nHost: \(url.authority)\r\nUpgrade: websocket\r\nConnection: Upgrade\r
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\(offer)\r\n
      """
    client.pointee.outgoing.append(contentsOf: request.utf8)
    watch(index)
    markDirty(index)
  }

  private func consume(_ index: Int, _ bytes: UnsafeMutableRawBufferPointer) {
    let client = clients + index
    let now = Clock.monotonicNanoseconds()
    var cursor = 0
    if client.pointee.stage == .upgrading, !readAnswer(index, bytes, &cursor) { return }
    while true {
      switch client.pointee.reader.next(in: bytes, from: &cursor) {
      case .needMore: return
      case .message(_, let isCompressed, let payload):
        guard client.pointee.stage == .open else { continue }
        payload.withSpan(in: bytes) { take($0, isCompressed, of: index, at: now) }
      case .ping(let payload): payload.withSpan(in: bytes) { send(.pong, $0, on: index) }
      case .pong: break
      case .close(let code, _): return acceptClose(index, code)
      case .failed(_, let reason): return fail("connection \(index): the server sent what is no frame: \(reason)")
      }
      // The load may have reset the connection.
      if client.pointee.stage == .vacant { return }
    }
  }

  private func take(_ payload: Span<UInt8>, _ isCompressed: Bool, of index: Int, at now: UInt64) {
    guard isCompressed, let inflater = compression?.inflater else { return load.received(index, payload, at: now) }
    guard let message = try? inflater.inflate(payload, bytesMax: Client.messageBytesMax) else {
      return fail("connection \(index): the server sent what is no deflate stream")
    }
    load.received(index, message.span, at: now)
  }

  /// Reads the answer to the handshake; true once the connection speaks WebSocket (RFC 6455 section 4.1).
  private func readAnswer(_ index: Int, _ bytes: UnsafeMutableRawBufferPointer, _ cursor: inout Int) -> Bool {
    let client = clients + index
    // Safe because the bytes live as long as this call, and have no other type.
    let text = UnsafeBufferPointer(bytes.assumingMemoryBound(to: UInt8.self)).span
    guard let event = client.pointee.answer?.next(in: text, from: &cursor) else { return true }
    switch event {
    case .needMore: return false
    case .failed(let reason):
      fail("connection \(index): the answer to the handshake is not HTTP: \(reason)")
      return false
    case .response(let response):
      guard response.status == 101,
        response.headers.combined("Sec-WebSocket-Accept") == Array("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".utf8)
      else {
        fail("connection \(index): the handshake was answered with \(response.status)")
        return false
      }
      let extensions = response.headers.combined("Sec-WebSocket-Extensions") ?? []
      guard compression == nil || extensions.starts(with: "permessage-deflate".utf8) else {
        fail("the server does not agree to permessage-deflate")
        return false
      }
      client.pointee.reader = Client.freshReader(deflate: compression != nil)
      client.pointee.answer = nil
      client.pointee.stage = .open
      load.opened(index)
      return client.pointee.stage != .vacant
    }
  }

  // MARK: Sending

  /// Queues a frame; it leaves at the end of the tick.
  func send(_ opcode: Opcode, _ payload: Span<UInt8>, on index: Int) {
    // RFC 6455 section 10.3 wants keys that nobody can foresee, against confused intermediaries. Here there are none.
    let key = MaskingKey(random.next())
    if opcode == .text || opcode == .binary, let small = compression?.deflater.deflate(payload) {
      FrameWriter.appendMaskedFrame(opcode, rsv1: true, key: key, payload: small.span, to: &clients[index].outgoing)
    } else {
      FrameWriter.appendMaskedFrame(opcode, key: key, payload: payload, to: &clients[index].outgoing)
    }
    markDirty(index)
  }

  /// Queues a text.
  func send(text: String, on index: Int) { send(.text, Array(text.utf8).span, on: index) }

  private func markDirty(_ index: Int) {
    guard !clients[index].isDirty else { return }
    clients[index].isDirty = true
    dirty.append(index)
  }

  func tickEnds() {
    load.tickEnded()
    while let index = dirty.popLast() {
      if clients[index].stage != .vacant { flush(index) }
    }
  }

  private func flush(_ index: Int) {
    let client = clients + index
    client.pointee.isDirty = false
    let socket = client.pointee.socket
    while client.pointee.sent < client.pointee.outgoing.count {
      // Safe because the bytes are only read during the call.
      let transfer = client.pointee.outgoing.withUnsafeBytes {
        Socket.send(socket, UnsafeRawBufferPointer(rebasing: $0[client.pointee.sent...]))
      }
      switch transfer {
      case .bytes(let count): client.pointee.sent += count
      case .wouldBlock:
        guard !client.pointee.wantsWrite else { return }
        client.pointee.wantsWrite = true
        return watch(index)
      case .end: return
      case .failed(let code): return ended(index, "connection \(index): \(SystemError.text(code))")
      }
    }
    client.pointee.outgoing.removeAll(keepingCapacity: client.pointee.outgoing.count <= 1 << 16)
    client.pointee.sent = 0
    guard client.pointee.wantsWrite else { return }
    client.pointee.wantsWrite = false
    watch(index)
  }

  private func watch(_ index: Int) {
    let interest: Readiness = clients[index].wantsWrite ? [.read, .write] : .read
    // Safe because init set the handler.
    loop.change(clients[index].socket, to: interest, handler: handler!, token: UInt64(index))
  }

  // MARK: Ending

  /// Begins the closing handshake (RFC 6455 section 7.1.2); the load hears `closed`.
  func close(_ index: Int) {
    guard clients[index].stage == .open else { return }
    send(.close, FrameWriter.closeBody(.normal, reason: [UInt8]().span).span, on: index)
    clients[index].stage = .closing
  }

  private func acceptClose(_ index: Int, _ code: CloseCode?) {
    // The server closes first (RFC 6455 section 7.1.1): the end of the bytes is awaited.
    guard clients[index].stage != .closing else { return }
    fail("the server closed connection \(index) with \(code.map { "\($0.rawValue)" } ?? "no code")")
  }

  private func ended(_ index: Int, _ reason: String) {
    let wasClosing = clients[index].stage == .closing
    drop(index)
    guard wasClosing else { return fail(reason) }
    load.closed(index)
  }

  /// Closes a socket at once.
  private func drop(_ index: Int) {
    guard clients[index].stage != .vacant else { return }
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

/// Steele, Lea and Flood's splittable generator: fast, and good enough for masking keys.
struct SplitMix {
  var state: UInt64

  mutating func next() -> UInt32 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return UInt32(truncatingIfNeeded: word ^ (word >> 31))
  }
}
