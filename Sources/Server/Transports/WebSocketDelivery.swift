import ClientProtocol
import HTTPCore
import LoopCore
import Realtime
import WebSocketCore

/// Gives WebSockets what the hub sends them. In a fan-out each batch is framed once per form; a member costs one send and
/// nothing else.
final class WebSocketDelivery: QueueTransport {
  static let openStage = Connection.Stage.websocket

  let connections: ConnectionStore
  private let hub: Hub
  let queues: SendQueues
  private let input: HeldInput
  let sessions: ConnectionSessions
  private let webSockets: WebSocketProtocol
  private let compression: MessageCompression
  let metrics: Metrics
  /// The senders of the entries of the batch at hand, filled during one fan-out only.
  private var origins = OriginIndex()
  private var framings = FramingCache()

  init(
    _ connections: ConnectionStore, hub: Hub, queues: SendQueues, input: HeldInput, sessions: ConnectionSessions,
    webSockets: WebSocketProtocol, compression: MessageCompression, metrics: Metrics
  ) {
    self.connections = connections
    self.hub = hub
    self.queues = queues
    self.input = input
    self.sessions = sessions
    self.webSockets = webSockets
    self.compression = compression
    self.metrics = metrics
  }

  /// Gives memory back after a crowd has left.
  func shrink() {
    origins.shrink()
    framings.shrink()
    compression.shrink()
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
      let way = self.way(of: target, isAlone: isAlone)
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

  func send(_ message: Span<UInt8>, _ kind: EventKind, to target: UInt32) {
    guard isOpen(target) else { return }
    webSockets.appendMessage(kind.opcode, message, to: target)
    limitQueue(target)
  }

  func send(_ message: Span<UInt8>, _ kind: EventKind, toEach targets: [UInt32]) {
    var frames = SharedFrames(kind.opcode)
    for target in targets where isOpen(target) {
      queues.push(frames.block(message, windowBits: connections[target].deflateBits, compression), to: target)
      limitQueue(target)
    }
  }

  // MARK: Answers and their pace

  func answer(_ message: Span<UInt8>, _ kind: EventKind, at position: Position?, to target: UInt32) {
    guard isOpen(target) else { return }
    queues.answer(target) { webSockets.appendMessage(kind.opcode, message, to: target) }
  }

  func pauseUntilRoom(_ target: UInt32) {
    guard isOpen(target) else { return }
    queues.pauseUntilRoom(target)
  }

  func pauseReading(_ target: UInt32) {
    if connections.isOccupied(target) { input.pause(target, .broker) }
  }

  func resumeReading(_ target: UInt32) {
    if connections.isOccupied(target) { input.resume(target, .broker) }
  }

  // MARK: Offers

  func offer(
    _ message: Span<UInt8>, _ kind: EventKind, _ allotment: Allotment, toEach targets: [UInt32]
  ) -> [UInt32] {
    var frames = SharedFrames(kind.opcode)
    return offer(bytes: message.count, allotment, toEach: targets) { target in
      frames.block(message, windowBits: connections[target].deflateBits, compression)
    }
  }
}
