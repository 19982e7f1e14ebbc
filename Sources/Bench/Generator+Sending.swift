import LoopCore
import WebSocketCore

extension Generator {
  /// Bytes above which a send is made by itself: to copy them would cost what the ring saves.
  private static let postponedBytesMax = 16 * 1024

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

  func markDirty(_ index: Int) {
    guard !clients[index].isDirty else { return }
    clients[index].isDirty = true
    dirty.append(index)
  }

  func tickEnds() {
    takeArrivals()
    load.tickEnded()
    while let index = dirty.popLast() {
      if clients[index].stage != .vacant, !postpone(index) { flush(index) }
    }
    submitSends()
    awaitArrivals()
  }

  /// Sends what a client has queued, as far as its socket takes it.
  func flush(_ index: Int) {
    let client = clients + index
    client.pointee.isDirty = false
    guard client.pointee.sent < client.pointee.outgoing.count else { return finishSending(index) }
    let socket = client.pointee.socket
    // Safe because the bytes are only read during the call.
    let tls = client.pointee.tls
    let transfer = client.pointee.outgoing.withUnsafeBytes {
      let rest = UnsafeRawBufferPointer(rebasing: $0[client.pointee.sent...])
      return tls?.send(rest) ?? Socket.send(socket, rest)
    }
    note(transfer, of: index)
  }

  /// Notes what a send came to, and goes on when a part is left.
  private func note(_ transfer: Transfer, of index: Int) {
    let client = clients + index
    switch transfer {
    case .bytes(let count):
      client.pointee.sent += count
      flush(index)
    case .wouldBlock:
      guard !client.pointee.wantsWrite else { return }
      client.pointee.wantsWrite = true
      watch(index)
    case .end: break
    case .failed(let code): ended(index, .failed(code))
    }
  }

  private func finishSending(_ index: Int) {
    let client = clients + index
    client.pointee.outgoing.removeAll(keepingCapacity: client.pointee.outgoing.count <= 1 << 16)
    client.pointee.sent = 0
    guard client.pointee.wantsWrite else { return }
    client.pointee.wantsWrite = false
    watch(index)
  }

  /// Puts what a client has queued into the ring. Returns false when it is to be flushed.
  private func postpone(_ index: Int) -> Bool {
    let client = clients + index
    let byteCount = client.pointee.outgoing.count - client.pointee.sent
    // A socket that is known to be full is not worth a place.
    guard let sendRing, byteCount > 0, byteCount <= Generator.postponedBytesMax, !client.pointee.wantsWrite else {
      return false
    }
    if sendRing.isFull { submitSends() }
    var staged = stage(index, byteCount, sendRing)
    if staged == nil {
      submitSends()
      staged = stage(index, byteCount, sendRing)
    }
    guard let staged, sendRing.append(client.pointee.socket, staged, tag: UInt64(index)) else { return false }
    client.pointee.isDirty = false
    return true
  }

  private func stage(_ index: Int, _ byteCount: Int, _ ring: SendRing) -> SendRing.Staged? {
    let client = clients + index
    // Safe because the staged range has exactly as many bytes as are left to send.
    return ring.stage(byteCount: byteCount) { room in
      client.pointee.outgoing.withUnsafeBytes {
        room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[client.pointee.sent...]))
      }
    }
  }

  private func submitSends() {
    guard let sendRing, sendRing.count > 0 else { return }
    sendRing.submit { tag, transfer in note(transfer, of: Int(tag)) }
  }

  /// Asks the loop for what a client waits for.
  func watch(_ index: Int) {
    let client = clients + index
    let interest: Readiness = client.pointee.wantsWrite ? [.read, .write] : .read
    // Safe because init set the handler.
    guard client.pointee.isInRing else {
      return loop.change(client.pointee.socket, to: interest, handler: handler!, token: UInt64(index))
    }
    guard client.pointee.wantsWrite else { return loop.unwatch(client.pointee.socket) }
    do {
      try loop.watch(client.pointee.socket, for: .write, handler: handler!, token: UInt64(index))
    } catch {
      fail("connection \(index): \(error)")
    }
  }
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
