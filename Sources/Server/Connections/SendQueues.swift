import LoopCore
import Realtime

/// The queues of all connections and how they are sent: at the end of a tick, many by one system call where the kernel
/// has io_uring.
///
/// What a connection is sent next depends on how much it took of a send in the ring, so every change of its queue settles
/// that send first. Submitting calls neither the hub nor the host, so it may happen anywhere.
final class SendQueues {
  /// Bytes above which a send is made at once: to copy them would cost what the ring saves.
  private static let postponedBytesMax = 16 * 1024
  /// Bytes that are gathered into one send.
  private static let scratchBytes = 64 * 1024

  let connections: ConnectionStore
  let hub: Hub
  let input: HeldInput
  let queueBytesMax: Int
  private let timers: ConnectionTimers
  private let metrics: Metrics
  /// Connections with something to send at the end of the tick.
  private var dirty: [UInt32] = []
  /// Connections whose send failed, dropped at the end of the tick.
  private var failed: [SlabID] = []
  /// Connections whose socket did not take everything during the fan-out at hand.
  private var unwritable: [UInt32] = []
  /// Through which the sends of a tick's end are made together; nil: each is made at once.
  private let ring: SendRing?
  /// The blocks of fan-outs that the ring has sends of.
  private var ringBlocks: [[UInt8]] = []
  /// Connections that the ring has sent to, to be flushed at the tick's end unless they were meanwhile.
  private var unfinished: [SlabID] = []
  /// Whether it is the tick's end: only then may sends stay in the ring when a call returns.
  private var isTickEnding = false
  private let scratch: UnsafeMutableRawBufferPointer
  weak var host: (any ConnectionHost)?
  /// Who knows the sessions of connections that carry several.
  weak var carriers: (any SessionCarriers)?

  init(
    _ connections: ConnectionStore, hub: Hub, timers: ConnectionTimers, input: HeldInput, queueBytesMax: Int,
    metrics: Metrics, ring: SendRing?
  ) {
    self.connections = connections
    self.hub = hub
    self.timers = timers
    self.input = input
    self.queueBytesMax = queueBytesMax
    self.metrics = metrics
    self.ring = ring
    scratch = .allocate(byteCount: SendQueues.scratchBytes, alignment: 16)
  }

  deinit { scratch.deallocate() }

  // MARK: Queueing

  /// Queues bytes of one connection alone; they leave at the end of the tick.
  func append(to index: UInt32, _ write: (inout [UInt8]) -> Void) {
    settle(index)
    connections[index].outbox.append(write)
    markDirty(index)
  }

  /// Queues a block that others may share.
  @inline(__always)
  func push(_ block: [UInt8], to index: UInt32) {
    settle(index)
    connections[index].outbox.push(block)
    markDirty(index)
  }

  /// Flushes a connection at the end of the tick.
  @inline(__always)
  func markDirty(_ index: UInt32) {
    if !connections[index].isDirty { addDirty(index) }
  }

  private func addDirty(_ index: UInt32) {
    connections[index].isDirty = true
    dirty.append(index)
  }

  /// Sends what is queued, then closes.
  func finish(_ index: UInt32) {
    timers.enter(.finishing, index)
    markDirty(index)
  }

  /// Bytes in all queues.
  var queuedBytes: Int {
    var sum = 0
    for index in 0..<connections.end where connections.isOccupied(index) { sum += connections[index].outbox.byteCount }
    return sum
  }

  // MARK: Sending

  /// Sends what a connection has queued, and does what is due when nothing is left, or not everything was taken.
  func flush(_ index: UInt32) {
    settle(index)
    connections[index].isDirty = false
    switch send(index) {
    case .done(let sent):
      metrics.bytesSent += UInt64(sent)
      if connections[index].wantsWrite {
        connections[index].wantsWrite = false
        host?.updateInterest(index)
      }
      becameEmpty(index)
    case .unwritable(let sent):
      metrics.bytesSent += UInt64(sent)
      if sent > 0 || !connections[index].wantsWrite { connections[index].takenAt = timers.tick }
      becomeUnwritable(index)
      reportSpace(index)
      guard !connections[index].wantsWrite else { return }
      connections[index].wantsWrite = true
      host?.updateInterest(index)
    case .failed: host?.drop(index)
    }
  }

  /// What follows when a queue has become empty.
  @inline(__always)
  private func becameEmpty(_ index: UInt32) {
    if connections[index].stage == .finishing {
      if connections[index].isPeerDone {
        connections[index].wire.tls?.finishSending()
        host?.drop(index)
        return
      }
      connections[index].wire.finishSending(on: connections[index].socket)
      timers.enter(.lingering, index)
    } else if connections[index].isUnwritable {
      becomeWritable(index)
    } else if input.hasRequests(index) {
      input.continueRequests(of: index)
    } else if connections[index].stage == .echo, connections[index].isPaused {
      input.resume(index, .broker)
    }
    reportSpace(index)
  }

  private func send(_ index: UInt32) -> Outbox.Flush {
    let socket = connections[index].socket
    let wire = connections[index].wire
    return connections[index].outbox.flush(scratch: scratch) { wire.send($0, on: socket) }
  }

  /// Sends what a connection has queued before the tick ends. Drops no connection, because it is called inside fan-outs: a
  /// send that failed is noted.
  func sendEarly(_ index: UInt32) {
    settle(index)
    switch send(index) {
    case .done(let sent): metrics.bytesSent += UInt64(sent)
    case .unwritable(let sent):
      metrics.bytesSent += UInt64(sent)
      unwritable.append(index)
    case .failed: failed.append(connections.id(at: index))
    }
  }

  // MARK: A fan-out

  /// Begins a fan-out.
  ///
  /// - Parameter sparing: whether `endFanOut` is to report the connections whose sockets take no more.
  func beginFanOut(sparing: Bool) {
    // The connections that this fan-out finds unwritable are not to be mixed with those of the fan-out before.
    if sparing { submit() }
    unwritable.removeAll(keepingCapacity: true)
  }

  func endFanOut(sparing: Bool) {
    if sparing || !isTickEnding { submit() }
    if sparing { while let index = unwritable.popLast() { becomeUnwritable(index) } }
  }

  /// A fan-out's block whose bytes lie in the ring.
  struct PostedBlock {
    fileprivate var bytes: SendRing.Staged
    /// Its place in `ringBlocks`, from 1.
    fileprivate var number: UInt64
  }

  /// Sends a block to a member with an empty queue: by way of the ring, or at once.
  @inline(__always)
  func sendDirectly(_ block: [UInt8], _ posted: inout PostedBlock?, to index: UInt32) {
    guard let ring, connections[index].wire.isPlainSocket else { return sendNow(block, to: index) }
    if let posted, ring.append(connections[index].socket, posted.bytes, tag: posted.number << 32 | UInt64(index)) {
      connections[index].isSending = true
    } else if !post(block, &posted, to: index, ring) {
      sendNow(block, to: index)
    }
  }

  @inline(__always)
  private func sendNow(_ block: [UInt8], to index: UInt32) {
    let socket = connections[index].socket
    let wire = connections[index].wire
    // Safe because the bytes are only read during the call.
    let transfer = block.withUnsafeBytes { wire.send($0, on: socket) }
    if transfer == .bytes(block.count) {
      metrics.bytesSent += UInt64(block.count)
    } else {
      note(transfer, of: block, to: index)
    }
  }

  /// Puts the bytes of a block into the ring, with the send to its first member, or to the first after a submission.
  /// Returns false when the send is to be made at once.
  private func post(_ block: [UInt8], _ posted: inout PostedBlock?, to index: UInt32, _ ring: SendRing) -> Bool {
    guard block.count <= SendQueues.postponedBytesMax else { return false }
    if ring.isFull { submit() }
    // Safe because the staged range has exactly as many bytes as the block.
    let bytes = stage(block.count) { room in block.withUnsafeBytes { room.copyMemory(from: $0) } }
    guard let bytes else { return false }
    ringBlocks.append(block)
    posted = PostedBlock(bytes: bytes, number: UInt64(ringBlocks.count))
    let tag = UInt64(ringBlocks.count) << 32 | UInt64(index)
    connections[index].isSending = ring.append(connections[index].socket, bytes, tag: tag)
    return connections[index].isSending
  }

  /// Notes the result of sending a block to a member with an empty queue.
  private func note(_ transfer: Transfer, of block: [UInt8], to index: UInt32) {
    switch transfer {
    case .bytes(let sent):
      metrics.bytesSent += UInt64(sent)
      guard sent < block.count else { return }
      connections[index].outbox.push(block, sent: sent)
      markDirty(index)
      unwritable.append(index)
    case .wouldBlock:
      connections[index].outbox.push(block)
      markDirty(index)
      unwritable.append(index)
    case .end, .failed: failed.append(connections.id(at: index))
    }
  }

  // MARK: The ring

  /// Makes sure that no send of a connection is in the ring.
  @inline(__always)
  func settle(_ index: UInt32) {
    if connections[index].isSending { submit() }
  }

  /// Puts what a connection has queued into the ring. Returns false when it is to be flushed.
  private func postponeFlush(_ index: UInt32) -> Bool {
    settle(index)
    let byteCount = connections[index].outbox.byteCount
    // A socket that is known to be full is not worth a place.
    guard let ring, byteCount > 0, byteCount <= SendQueues.postponedBytesMax, connections[index].wire.isPlainSocket,
      !connections[index].wantsWrite
    else { return false }
    if ring.isFull { submit() }
    let bytes = stage(byteCount) { connections[index].outbox.copy(into: $0) }
    guard let bytes, ring.append(connections[index].socket, bytes, tag: UInt64(index)) else { return false }
    connections[index].isDirty = false
    connections[index].isSending = true
    return true
  }

  private func stage(_ byteCount: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Void) -> SendRing.Staged? {
    if let bytes = ring?.stage(byteCount: byteCount, fill) { return bytes }
    submit()
    return ring?.stage(byteCount: byteCount, fill)
  }

  /// Makes the sends in the ring and notes their results.
  private func submit() {
    guard let ring, ring.count > 0 else { return }
    ring.submit { tag, transfer in
      let index = UInt32(truncatingIfNeeded: tag)
      connections[index].isSending = false
      let block = Int(tag >> 32)
      if block > 0 {
        note(transfer, of: ringBlocks[block - 1], to: index)
        if connections[index].isDirty { unfinished.append(connections.id(at: index)) }
      } else {
        note(transfer, ofQueueOf: index)
      }
    }
    ringBlocks.removeAll(keepingCapacity: true)
  }

  private func note(_ transfer: Transfer, ofQueueOf index: UInt32) {
    switch transfer {
    case .bytes(let sent):
      metrics.bytesSent += UInt64(sent)
      connections[index].outbox.remove(sent)
    case .wouldBlock: break
    case .end, .failed: return failed.append(connections.id(at: index))
    }
    let isDone =
      connections[index].outbox.isEmpty && connections[index].stage != .finishing && !connections[index].isUnwritable
      && !connections[index].hasRefusedOffers
      && !connections[index].awaitsRoom && !connections[index].isPaused && !input.hasRequests(index)
    guard !isDone else { return }
    connections[index].isDirty = true
    unfinished.append(connections.id(at: index))
  }

  // MARK: The end of a tick

  /// Begins the end of a tick: from now on sends may stay in the ring.
  func beginTickEnd() { isTickEnding = true }

  /// Sends what the tick has queued.
  func endTick() {
    var writing: [UInt32] = []
    swap(&writing, &dirty)
    // A place may be listed and meanwhile empty, or taken by a new connection with nothing to send: both are harmless.
    for index in writing where connections.isOccupied(index) && connections[index].isDirty {
      if !postponeFlush(index) { flush(index) }
    }
    writing.removeAll(keepingCapacity: true)
    if dirty.isEmpty { swap(&writing, &dirty) }
    flushUnfinished()
    assert(ring?.count ?? 0 == 0, "a send outlives the end of its tick")
  }

  /// Submits what the tick's end has gathered, and flushes the connections with which it is not done.
  private func flushUnfinished() {
    submit()
    isTickEnding = false
    unwritable.removeAll(keepingCapacity: true)
    guard !unfinished.isEmpty else { return }
    var ids: [SlabID] = []
    swap(&ids, &unfinished)
    for id in ids where connections.contains(id) && connections[id.index].isDirty { flush(id.index) }
  }

  /// Drops the connections whose sends have failed.
  func dropFailed() {
    while let id = failed.popLast() { if connections.contains(id) { host?.drop(id.index) } }
  }

  /// Whether something waits for the end of another tick.
  var hasWork: Bool { !dirty.isEmpty }

  /// Gives memory back after a crowd has left.
  func shrink() { if dirty.isEmpty { dirty = [] } }
}
