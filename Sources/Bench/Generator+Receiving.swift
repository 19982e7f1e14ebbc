import ClientCore
import LoopCore
import WebSocketCore

extension Generator {
  /// Stands for the ring where a client's number stands for that client.
  static let ringToken: UInt64 = (1 << 48) - 1
  /// Events of the ring handed on in one tick: more wait for the next, so that what they call for is sent meanwhile.
  private static let eventsPerTickMax = 512

  func ready(_ token: UInt64, _ readiness: Readiness) {
    guard token != Generator.ringToken else {
      hasArrivals = true
      return
    }
    let index = Int(token)
    let client = clients + index
    // What was dropped since the loop was told has no socket any more.
    guard client.pointee.stage != .vacant else { return }
    if client.pointee.stage == .connecting { return finishConnecting(index) }
    if client.pointee.stage == .securing { return advanceTLS(index) }
    // Whose bytes come through the ring, of that the ring tells the end as well.
    if client.pointee.isInRing { return flush(index) }
    if readiness.contains(.write) { flush(index) }
    guard !readiness.isDisjoint(with: [.read, .hangUp]), client.pointee.stage != .vacant else { return }
    // What OpenSSL holds is no event of the socket.
    repeat {
      let tls = client.pointee.tls
      switch tls?.receive(into: buffer) ?? Socket.receive(client.pointee.socket, into: buffer) {
      case .bytes(let count):
        let now = Clock.monotonicNanoseconds()
        consume(index, UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]), at: now)
      case .wouldBlock: return
      case .end: return ended(index, .closed)
      case .failed(let code): return ended(index, .failed(code))
      }
    } while client.pointee.tls?.holdsBytes == true && client.pointee.stage != .vacant
  }

  // MARK: Through the ring

  /// Hands a client's socket to the ring.
  func receiveThroughRing(_ index: Int) {
    let client = clients + index
    let tag = UInt64(client.pointee.opening) << 32 | UInt64(index)
    guard let receiveRing, receiveRing.begin(client.pointee.socket, tag: tag) else {
      return fail("io_uring does not receive on connection \(index)")
    }
  }

  /// Hands on what the ring has received.
  func takeArrivals() {
    guard hasArrivals, let receiveRing else { return }
    var taken = 0
    while taken < Generator.eventsPerTickMax {
      guard receiveRing.receive() else { return fail("\(SystemError("io_uring_enter"))") }
      // None of the bytes handed on now was read later.
      let now = Clock.monotonicNanoseconds()
      let count = receiveRing.drain { tag, event in take(event, tag, at: now) }
      guard count > 0, receiveRing.hasMore else { return }
      taken += count
    }
  }

  /// Has the loop woken by what comes from now on.
  func awaitArrivals() {
    guard let receiveRing else { return }
    hasArrivals = !receiveRing.awaitMore()
    if hasArrivals { loop.tickAgain() }
  }

  @inline(__always)
  private func take(_ event: ReceiveRing.Event, _ tag: UInt64, at now: UInt64) {
    let index = Int(UInt32(truncatingIfNeeded: tag))
    let client = clients + index
    // What still comes of a connection that is closed is no matter of the next one with its number.
    guard client.pointee.opening == UInt32(tag >> 32), client.pointee.stage != .vacant else { return }
    switch event {
    case .bytes(let bytes): consume(index, bytes, at: now)
    case .end: ended(index, .closed)
    case .failed(let code): ended(index, .failed(code))
    case .paused: receiveThroughRing(index)
    }
  }

  // MARK: Messages

  private func consume(_ index: Int, _ bytes: UnsafeMutableRawBufferPointer, at now: UInt64) {
    let client = clients + index
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
}
