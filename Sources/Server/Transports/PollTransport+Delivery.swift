import ClientProtocol
import JSONCore
import Realtime

// What the hub gives to poll connections.

extension PollTransport: SessionTransport {
  private func isOpen(_ target: UInt32) -> Bool { connections.isOccupied(target) && connections[target].isOpen }

  func deliver(_ batch: RoomBatch, of room: [UInt8], to roster: [RosterEntry], format: WireFormat, sparing: Bool) {
    let block = PollTransport.block(of: batch)
    var unwritable: [SlabID] = []
    for member in roster where isOpen(member.connection) {
      let index = member.connection
      let isOwn = batch.hasOrigins && batch.entries.contains { $0.origin?.index == member.session }
      connections[index].queue.push(
        isOwn ? PollTransport.block(of: batch, without: member.session) : block, isSolicited: batch.isBacklog)
      markDirty(index)
      if batch.isBacklog { continue }
      guard sparing, !connections[index].isUnwritable else {
        limitQueue(index)
        continue
      }
      guard connections[index].queue.unsolicitedBytes > min(PollTransport.roomBytes, limits.queueBytesMax / 2),
        let session = connections[index].session
      else { continue }
      connections[index].isUnwritable = true
      unwritable.append(session)
    }
    metrics.count(batch, members: roster.count)
    for session in unwritable { hub.becameUnwritable(session) }
  }

  /// The messages of a batch with commas between them.
  ///
  /// - Parameter session: whose own messages are left out.
  private static func block(of batch: RoomBatch, without session: UInt32? = nil) -> [UInt8] {
    var block: [UInt8] = []
    block.reserveCapacity(batch.bytes.count + batch.entries.count)
    let bytes = batch.bytes
    var start = 0
    for entry in batch.entries {
      defer { start = entry.end }
      if let session, entry.origin?.index == session { continue }
      if !block.isEmpty { block.append(UInt8(ascii: ",")) }
      append(
        bytes.span.extracting(start..<entry.end), entry.kind, offset: entry.offset, at: entry.acceptedAt, to: &block)
    }
    return block
  }

  private static func append(
    _ message: Span<UInt8>, _ kind: EventKind, offset: UInt64 = 0, at timestamp: UInt64 = 0, to block: inout [UInt8]
  ) {
    guard kind == .binaryMessage else { return block.append(copying: message) }
    block += EventStreamEncoder.json(ofBinary: message, offset: offset > 0 ? offset : nil, timestamp: timestamp)
  }

  private static func block(_ message: Span<UInt8>, _ kind: EventKind) -> [UInt8] {
    var block: [UInt8] = []
    append(message, kind, to: &block)
    return block
  }

  func rostersChanged(of target: UInt32, by change: Int32) {}

  func send(_ message: Span<UInt8>, _ kind: EventKind, to target: UInt32) {
    send(message, kind, toEach: [target])
  }

  func send(_ message: Span<UInt8>, _ kind: EventKind, toEach targets: [UInt32]) {
    let block = PollTransport.block(message, kind)
    for target in targets where isOpen(target) {
      connections[target].queue.push(block)
      markDirty(target)
      limitQueue(target)
    }
  }

  func answer(_ message: Span<UInt8>, _ kind: EventKind, at position: Position?, to target: UInt32) {
    guard isOpen(target) else { return }
    if let opening = connections[target].opening {
      if kind == .joined { opening.roomsLeft -= 1 }
      if kind == .error { opening.failure = opening.failure ?? PollTransport.failure(message) }
    }
    connections[target].queue.push(PollTransport.block(message, kind), isSolicited: true)
    markDirty(target)
  }

  /// The error that a join was answered with, as an HTTP answer.
  private static func failure(_ message: Span<UInt8>) -> ConnectionAnswer {
    let error = try? JSONValue.parse(message)
    func text(_ member: StaticString) -> String { String(decoding: error?[member]?.asBytes ?? [], as: UTF8.self) }
    return ConnectionAnswer(ErrorCode(rawValue: text("code")) ?? .unavailable, text("message"))
  }

  func offer(
    _ message: Span<UInt8>, _ kind: EventKind, _ allotment: Allotment, toEach targets: [UInt32]
  ) -> [UInt32] {
    let block = PollTransport.block(message, kind)
    let bytesMax = limits.queueBytesMax / (allotment == .clients ? 2 : 1)
    var refused: [UInt32] = []
    for target in targets {
      guard isOpen(target) else {
        refused.append(target)
        continue
      }
      let waiting = connections[target].queue.unsolicitedBytes
      if waiting == 0 || waiting + block.count <= bytesMax {
        connections[target].queue.push(block)
        markDirty(target)
      } else {
        connections[target].hasRefusedOffers = true
        refused.append(target)
      }
    }
    return refused
  }

  /// Past the limit a client polls too slowly: what it has not got it asks for when it returns.
  private func limitQueue(_ index: UInt32) {
    guard connections[index].queue.unsolicitedBytes > limits.queueBytesMax, isOpen(index) else { return }
    metrics.slowConsumers += 1
    connections[index].queue = PollQueue()
    connections[index].unconfirmed = nil
    close(index, because: .slowConsumer)
  }

  func hasRoom(_ target: UInt32) -> Bool {
    !isOpen(target) || connections[target].queue.byteCount < PollTransport.roomBytes
  }

  func awaitRoom(_ target: UInt32) { if isOpen(target) { connections[target].awaitsRoom = true } }

  func isNearLimit(_ target: UInt32) -> Bool {
    isOpen(target) && connections[target].queue.byteCount > limits.queueBytesMax / 2
  }

  func queuedBytes(of target: UInt32) -> Int { isOpen(target) ? connections[target].queue.byteCount : 0 }

  // Its operations come one by one in requests, so there is nothing to stop reading.
  func pauseUntilRoom(_ target: UInt32) {}
  func pauseReading(_ target: UInt32) {}
  func resumeReading(_ target: UInt32) {}

  func close(_ target: UInt32, because reason: CloseReason) {
    guard isOpen(target) else { return }
    connections[target].closing = reason
    ending.append(connections.id(at: target))
    markDirty(target)
    host?.tickAgain()
  }
}
