import ClientProtocol
import LoopCore
import Realtime
import WebSocketCore

/// The sessions of connections: how many there are, how they are closed, and those that end with the tick.
final class ConnectionSessions {
  private let connections: ConnectionStore
  private let hub: Hub
  private let timers: ConnectionTimers
  private let input: HeldInput
  private let queues: SendQueues
  /// Sessions whose connection is closing: ended at the end of the tick.
  private var ending: [SlabID] = []
  /// Open connections by transport.
  private var counts = [Int](repeating: 0, count: Transport.allCases.count)
  /// The log, when it takes what happens to connections.
  private let trace: Log?
  /// Who knows the sessions of connections that carry several.
  weak var carriers: (any SessionCarriers)?

  init(
    _ connections: ConnectionStore, hub: Hub, timers: ConnectionTimers, input: HeldInput, queues: SendQueues,
    trace: Log?
  ) {
    self.connections = connections
    self.hub = hub
    self.timers = timers
    self.input = input
    self.queues = queues
    self.trace = trace
  }

  /// Connections that have a session, or are about to have one.
  var count: Int { counts.reduce(0, +) }

  func count(of transport: Transport) -> Int { counts[Int(transport.rawValue)] }

  /// Counts a connection that has become one of a transport.
  func noteOpened(_ index: UInt32, _ transport: Transport) {
    connections[index].transport = transport
    counts[Int(transport.rawValue)] += 1
  }

  /// Counts a connection without a socket.
  func noteOpened(_ transport: Transport) { counts[Int(transport.rawValue)] += 1 }

  /// Counts a connection without a socket no more.
  func noteEnded(_ transport: Transport) { counts[Int(transport.rawValue)] -= 1 }

  /// Closes a connection after what it was given.
  func close(_ index: UInt32, because reason: CloseReason) {
    if connections[index].stage == .eventStream { return closeStream(index, because: reason) }
    switch connections[index].stage {
    case .websocket, .echo, .engine, .admin: break
    default: return
    }
    let code = CloseCode(rawValue: reason.code)
    traceEnd(index, "closing a connection", code, "\(reason.text)")
    end(index)
    queues.append(to: index) { FrameWriter.appendClose(code, reason: reason.text, to: &$0) }
    timers.enter(.closing, index)
  }

  private func closeStream(_ index: UInt32, because reason: CloseReason) {
    traceEnd(index, "closing a connection", CloseCode(rawValue: reason.code), "\(reason.text)")
    end(index)
    queues.append(to: index) { EventStreamEncoder.appendClose(reason, to: &$0) }
    queues.finish(index)
  }

  /// Drops what is queued for a slow reader and closes it with 4408: what it has not read it can ask for when it returns.
  func closeSlow(_ index: UInt32, because reason: CloseReason) {
    connections[index].outbox.dropUnsent()
    close(index, because: reason)
  }

  /// Ends the session of a connection with the tick.
  func end(_ index: UInt32) {
    // The connection keeps the name of its session: if it is dropped before the tick ends, the session ends with it.
    if let session = connections[index].session { ending.append(session) }
    endCarrier(index)
    // The peer's close frame is to be read, whatever the broker owes.
    input.resume(index, [.broker, .queue])
  }

  private func endCarrier(_ index: UInt32) {
    if let engine = connections[index].engine { carriers?.connectionEnded(index, of: engine) }
  }

  /// Ends a session that was opened on a connection which is closing already.
  func end(_ session: SlabID) { ending.append(session) }

  /// Ends the session of a connection that is dropped.
  func dropped(_ index: UInt32) {
    if let transport = connections[index].transport { counts[Int(transport.rawValue)] -= 1 }
    if connections[index].isOpen { traceEnd(index, "connection lost", nil) }
    if let session = connections[index].session { hub.close(session) }
    endCarrier(index)
  }

  /// Ends the sessions that are due.
  func endDue() { while let session = ending.popLast() { hub.close(session) } }

  /// Whether sessions wait for their end.
  var hasWork: Bool { !ending.isEmpty }

  /// Logs how a WebSocket ends.
  ///
  /// - Parameters:
  ///   - event: what ends it.
  ///   - code: of the close frame; nil without one.
  func traceEnd(_ index: UInt32, _ event: String, _ code: CloseCode?, _ reason: @autoclosure () -> String = "") {
    guard let trace else { return }
    let name = (connections[index].session.map { hub.name(of: $0) } ?? hub.nameOfNewest(index)).map(Log.text) ?? "none"
    trace.traceEnd(event, connection: name, address: connections[index].address, code, reason: reason())
  }
}
