import ClientProtocol
import JSONCore

/// Stops reading from connections whose operations the broker cannot follow.
///
/// What clients have asked and the broker has not answered is counted, per connection and in all. Above a limit the
/// connection is not read any more, so that its sender is slowed by its own socket and no queue grows here.
/// Confined to the loop that created its hub.
final class BackPressure {
  private let context: HubContext
  /// Bytes of operations that the broker has not answered.
  private(set) var bytesInFlight = 0
  /// Whether they were too many and are not yet few again.
  private(set) var isCongested = false
  /// Sessions whose connections are not read for now.
  private var paused: Set<SlabID> = []

  init(_ context: HubContext) {
    self.context = context
  }

  /// Notes that an operation waits for the broker. `operationEnds` must follow once, however it ends.
  func operationBegins(_ id: SlabID, bytes: Int) {
    noteInFlight(bytes)
    context.sessions[id.index].inFlight.begin(bytes)
    guard isCongested || context.sessions[id.index].inFlight.isFull, paused.insert(id).inserted else { return }
    context.counters.readsPaused += 1
    context.transport(of: id.index)?.pauseReading(context.sessions[id.index].connection)
  }

  /// Notes that an operation waits for somebody else than the broker: its own connection alone is read no further when
  /// too many do. `waitEnds` must follow once, however it ends.
  func waitBegins(_ id: SlabID, bytes: Int) {
    context.sessions[id.index].inFlight.begin(bytes)
    guard context.sessions[id.index].inFlight.isFull, paused.insert(id).inserted else { return }
    context.transport(of: id.index)?.pauseReading(context.sessions[id.index].connection)
  }

  /// Notes that such an operation waits no more.
  func waitEnds(_ id: SlabID, bytes: Int) {
    guard context.sessions.contains(id) else { return }
    context.sessions[id.index].inFlight.end(bytes)
    if !paused.isEmpty, paused.contains(id) { resumeIfPossible(id) }
  }

  /// Notes that an operation was answered, or given up.
  func operationEnds(_ id: SlabID, bytes: Int) {
    if context.sessions.contains(id) { context.sessions[id.index].inFlight.end(bytes) }
    noteLanded(bytes)
    if !paused.isEmpty, paused.contains(id) { resumeIfPossible(id) }
  }

  /// Notes that an operation waits for the broker. `operationEnds` must follow once, however it ends.
  func operationBegins(_ caller: Caller, bytes: Int) {
    switch caller {
    case .session(let id): operationBegins(id, bytes: bytes)
    case .request, .backend: noteInFlight(bytes)
    }
  }

  /// Notes that an operation was answered, or given up.
  func operationEnds(_ caller: Caller, bytes: Int) {
    switch caller {
    case .session(let id): operationEnds(id, bytes: bytes)
    case .request, .backend: noteLanded(bytes)
    }
  }

  /// Counts bytes that wait for the broker.
  private func noteInFlight(_ bytes: Int) {
    bytesInFlight += bytes
    if bytesInFlight >= Limits.nodeInFlightBytesMax { isCongested = true }
  }

  /// Counts bytes that wait no more. When few enough wait, all are read again.
  private func noteLanded(_ bytes: Int) {
    bytesInFlight -= bytes
    guard isCongested, bytesInFlight <= Limits.nodeInFlightBytesMax / 2 else { return }
    isCongested = false
    for id in paused { resumeIfPossible(id) }
  }

  private func resumeIfPossible(_ id: SlabID) {
    guard context.sessions.contains(id) else {
      paused.remove(id)
      return
    }
    guard !isCongested, context.sessions[id.index].inFlight.hasRoom else { return }
    paused.remove(id)
    context.transport(of: id.index)?.resumeReading(context.sessions[id.index].connection)
  }

  /// Whether every connection is read.
  var isIdle: Bool { paused.isEmpty }

  /// Forgets a session that has ended.
  func forget(_ id: SlabID) { paused.remove(id) }
}
