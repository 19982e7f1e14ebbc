import LoopCore
import Realtime

// The sends of a tick's end leave together. What a connection is sent next depends on how much of this it took, so
// whatever touches one with a send in the ring settles it first. Submitting calls nobody, so that may happen anywhere.

extension ConnectionTable {
  /// Bytes above which a send is made at once: to copy them would cost what the ring saves.
  private static let postponedBytesMax = 16 * 1024

  /// A fan-out's block whose bytes lie in the ring.
  struct PostedBlock {
    var bytes: SendRing.Staged
    /// Its place in `ringBlocks`, from 1.
    var number: UInt64
  }

  /// Puts the send of a block to a member with an empty queue into the ring. Returns false when it is to be made at once.
  func postpone(_ block: [UInt8], _ posted: inout PostedBlock?, to index: UInt32) -> Bool {
    guard let ring, block.count <= ConnectionTable.postponedBytesMax, connections[index].tls == nil else {
      return false
    }
    let socket = connections[index].socket
    if let posted, ring.append(socket, posted.bytes, tag: posted.number << 32 | UInt64(index)) {
      connections[index].isSending = true
      return true
    }
    // The first member, or the ring is full, or was submitted since.
    if ring.isFull { submitSends() }
    // Safe because the staged range has exactly as many bytes as the block.
    let bytes = stage(block.count) { room in block.withUnsafeBytes { room.copyMemory(from: $0) } }
    guard let bytes else { return false }
    ringBlocks.append(block)
    posted = PostedBlock(bytes: bytes, number: UInt64(ringBlocks.count))
    connections[index].isSending = ring.append(socket, bytes, tag: UInt64(ringBlocks.count) << 32 | UInt64(index))
    return connections[index].isSending
  }

  /// Puts what a connection has queued into the ring. Returns false when it is to be flushed.
  func postponeFlush(_ index: UInt32) -> Bool {
    settle(index)
    let byteCount = connections[index].outbox.byteCount
    // A socket that is known to be full is not worth a place.
    guard let ring, byteCount > 0, byteCount <= ConnectionTable.postponedBytesMax, connections[index].tls == nil,
      !connections[index].wantsWrite
    else { return false }
    if ring.isFull { submitSends() }
    let bytes = stage(byteCount) { connections[index].outbox.copy(into: $0) }
    guard let bytes, ring.append(connections[index].socket, bytes, tag: UInt64(index)) else { return false }
    connections[index].isDirty = false
    connections[index].isSending = true
    return true
  }

  private func stage(_ byteCount: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Void) -> SendRing.Staged? {
    if let bytes = ring?.stage(byteCount: byteCount, fill) { return bytes }
    submitSends()
    return ring?.stage(byteCount: byteCount, fill)
  }

  /// Makes sure that no send of a connection is in the ring.
  @inline(__always)
  func settle(_ index: UInt32) {
    if connections[index].isSending { submitSends() }
  }

  /// Makes the sends in the ring and notes what came of them.
  func submitSends() {
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
      connections[index].outbox.isEmpty && connections[index].stage != .finishing && !connections[index].isBehind
      && !connections[index].hasRefusedOffers
      && !connections[index].awaitsRoom && !connections[index].isPaused && !hasWaitingRequests(index)
    guard !isDone else { return }
    connections[index].isDirty = true
    unfinished.append(connections.id(at: index))
  }

  /// Submits what the tick's end has gathered, and flushes those with whom it is not done: a remainder, a farewell.
  func finishSends() {
    submitSends()
    isTickEnding = false
    stuck.removeAll(keepingCapacity: true)
    guard !unfinished.isEmpty else { return }
    var ids: [SlabID] = []
    swap(&ids, &unfinished)
    for id in ids where connections.contains(id) && connections[id.index].isDirty { flush(id.index) }
  }
}
