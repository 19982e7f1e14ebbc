import ClientProtocol
import HTTPCore
import LoopCore
import Realtime
import WebSocketCore

/// Gives WebSockets what the hub sends them. In a fan-out each batch is framed once per form; a member costs one send and
/// nothing else.
final class WebSocketDelivery: QueueTransport {
  /// Bytes that a room that spares slow readers may queue before the socket is tried.
  private static let queuedBeforeSend = 64 * 1024

  let connections: ConnectionStore
  private let hub: Hub
  let queues: SendQueues
  private let input: HeldInput
  private let sessions: ConnectionSessions
  private let webSockets: WebSocketProtocol
  private let compression: MessageCompression
  private let metrics: Metrics
  private let queueBytesMax: Int
  /// The senders of the entries of the batch at hand, filled during one fan-out only.
  private var origins = OriginIndex()
  private var framings = FramingCache()

  init(
    _ connections: ConnectionStore, hub: Hub, queues: SendQueues, input: HeldInput, sessions: ConnectionSessions,
    webSockets: WebSocketProtocol, compression: MessageCompression, queueBytesMax: Int, metrics: Metrics
  ) {
    self.connections = connections
    self.hub = hub
    self.queues = queues
    self.input = input
    self.sessions = sessions
    self.webSockets = webSockets
    self.compression = compression
    self.queueBytesMax = queueBytesMax
    self.metrics = metrics
  }

  /// Gives memory back after a crowd has left.
  func shrink() {
    origins.shrink()
    framings.shrink()
  }

  // MARK: Fan-out

  func deliver(_ batch: RoomBatch, of room: [UInt8], to roster: [RosterEntry], format: WireFormat, sparing: Bool) {
    let framed = framings.frames(of: batch, format, compression)
    let block = framed.block
    if batch.hasOrigins { origins.fill(from: batch) }
    // A member with an empty queue gets it by a send of its own, if nothing else of this tick can be for it. With several
    // rooms in the tick, a member of more than one gets all of its blocks in one send at the end of the tick.
    let isAlone = hub.isDeliveringAlone
    let isBacklog = batch.isBacklog
    queues.beginFanOut(sparing: sparing)
    var posted: SendQueues.PostedBlock?
    for member in roster {
      let target = member.connection
      guard connections.isOccupied(target) else { continue }
      var way = connections[target].way(isAlone: isAlone)
      if way == .unsettled {
        queues.settle(target)
        way = connections[target].way(isAlone: isAlone)
      }
      // A connection may have begun to close in this very fan-out, as a slow consumer: nothing follows its close frame.
      if way == .none { continue }
      if batch.hasOrigins, origins.contains(member.session) {
        let rest = framed.without(origins.entries(of: member.session))
        if !rest.isEmpty { queue(rest, for: target, sparing: sparing, isBacklog: isBacklog) }
      } else if way == .direct {
        queues.sendDirectly(block, &posted, to: target)
      } else {
        queue(block, for: target, sparing: sparing, isBacklog: isBacklog)
      }
    }
    if batch.hasOrigins { origins.empty(of: batch) }
    queues.endFanOut(sparing: sparing)
    metrics.count(batch, members: roster.count)
  }

  /// Queues a block for a connection without a send in the ring.
  private func queue(_ block: [UInt8], for index: UInt32, sparing: Bool, isBacklog: Bool) {
    connections[index].outbox.push(block)
    queues.markDirty(index)
    if isBacklog { return connections[index].outbox.noteSolicited(block.count) }
    // A connection that is in the roster although the hub knows it to be unwritable is not spared here.
    guard sparing, !connections[index].isUnwritable else { return limitQueue(index) }
    // Several rooms may queue in one tick: a socket that takes nothing is found out before the next room.
    if connections[index].outbox.byteCount > WebSocketDelivery.queuedBeforeSend { queues.sendEarly(index) }
  }

  /// Past the limit a reader is too slow: what it has not read yet it can ask for when it returns.
  @inline(__always)
  private func limitQueue(_ index: UInt32) {
    if connections[index].outbox.unsolicitedBytes > queueBytesMax { closeSlow(index) }
  }

  private func closeSlow(_ index: UInt32) {
    guard connections[index].stage == .websocket else { return }
    metrics.slowConsumers += 1
    sessions.closeSlow(index, because: .slowConsumer)
  }

  func send(_ message: Span<UInt8>, _ kind: EventKind, to target: UInt32) {
    guard connections.isOccupied(target), connections[target].stage == .websocket else { return }
    webSockets.appendMessage(kind.opcode, message, to: target)
    limitQueue(target)
  }

  func send(_ message: Span<UInt8>, _ kind: EventKind, toEach targets: [UInt32]) {
    var frames = SharedFrames(kind.opcode)
    for target in targets where connections.isOccupied(target) && connections[target].stage == .websocket {
      queues.push(frames.block(message, windowBits: connections[target].deflateBits, compression), to: target)
      limitQueue(target)
    }
  }

  func close(_ target: UInt32, because reason: CloseReason) {
    if connections.isOccupied(target) { sessions.close(target, because: reason) }
  }

  // MARK: Answers and their pace

  func answer(_ message: Span<UInt8>, _ kind: EventKind, at position: Position?, to target: UInt32) {
    guard connections.isOccupied(target), connections[target].stage == .websocket else { return }
    queues.answer(target) { webSockets.appendMessage(kind.opcode, message, to: target) }
  }

  func pauseUntilRoom(_ target: UInt32) {
    guard connections.isOccupied(target), connections[target].stage == .websocket else { return }
    queues.pauseUntilRoom(target)
  }

  func pauseReading(_ target: UInt32) {
    if connections.isOccupied(target) { input.pause(target, .broker) }
  }

  func resumeReading(_ target: UInt32) {
    if connections.isOccupied(target) { input.resume(target, .broker) }
  }

  // MARK: Offers

  // Messages that a connection's user has not asked for. They have a part of its queue, so that they neither fill it nor leave
  // less than half of it to its rooms; what does not fit is refused, and the connection stays.
  func offer(
    _ message: Span<UInt8>, _ kind: EventKind, _ allotment: Allotment, toEach targets: [UInt32]
  ) -> [UInt32] {
    var frames = SharedFrames(kind.opcode)
    var refused: [UInt32] = []
    let bytesMax = queueBytesMax / (allotment == .clients ? 2 : 1)
    for target in targets {
      guard connections.isOccupied(target), connections[target].stage == .websocket,
        queues.mayOffer(message.count, within: bytesMax, to: target)
      else {
        refused.append(target)
        continue
      }
      queues.push(frames.block(message, windowBits: connections[target].deflateBits, compression), to: target)
    }
    return refused
  }
}
