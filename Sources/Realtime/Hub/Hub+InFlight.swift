// Back-pressure. What clients have asked and the broker has not answered is counted, per connection and in all; past a
// limit the connection is not read any more, so that its sender is slowed by its own socket and no queue grows here.

/// What a session has asked for and not been answered yet.
struct InFlight {
  private var count: UInt32 = 0
  private var bytes: UInt32 = 0

  /// Whether it is to be read no further.
  var isFull: Bool { count >= UInt32(Limits.inFlightMax) || bytes >= UInt32(Limits.inFlightBytesMax) }
  /// Whether it may be read again. Lower than full, so that a connection is not stopped for every single operation.
  var hasRoom: Bool { count <= UInt32(Limits.inFlightMax / 2) && bytes <= UInt32(Limits.inFlightBytesMax / 2) }

  mutating func begin(_ size: Int) {
    count += 1
    bytes &+= UInt32(truncatingIfNeeded: size)
  }

  mutating func end(_ size: Int) {
    count -= 1
    bytes &-= UInt32(truncatingIfNeeded: size)
  }
}

extension Hub {
  /// Notes that an operation waits for the broker. `operationEnds` must follow once, however it ends.
  func operationBegins(_ id: SlabID, bytes: Int) {
    noteInFlight(bytes)
    sessions[id.index].inFlight.begin(bytes)
    guard isCongested || sessions[id.index].inFlight.isFull, paused.insert(id).inserted else { return }
    counters.readsPaused += 1
    transport(of: id.index)?.pauseReading(sessions[id.index].target)
  }

  /// Notes that an operation was answered, or given up.
  func operationEnds(_ id: SlabID, bytes: Int) {
    if sessions.contains(id) { sessions[id.index].inFlight.end(bytes) }
    noteLanded(bytes)
    if !paused.isEmpty, paused.contains(id) { resumeIfPossible(id) }
  }

  /// Counts bytes that wait for the broker.
  func noteInFlight(_ bytes: Int) {
    bytesInFlight += bytes
    if bytesInFlight >= Limits.nodeInFlightBytesMax { isCongested = true }
  }

  /// Counts bytes that wait no more. When few enough wait, all are read again.
  func noteLanded(_ bytes: Int) {
    bytesInFlight -= bytes
    guard isCongested, bytesInFlight <= Limits.nodeInFlightBytesMax / 2 else { return }
    isCongested = false
    for id in paused { resumeIfPossible(id) }
  }

  /// Gives up what has waited for a join or for a token to be judged.
  func forgetPostponed(_ id: SlabID) {
    for operation in postponed.removeValue(forKey: id) ?? [] { operationEnds(id, bytes: operation.bytes.count) }
  }

  private func resumeIfPossible(_ id: SlabID) {
    guard sessions.contains(id) else {
      paused.remove(id)
      return
    }
    guard !isCongested, sessions[id.index].inFlight.hasRoom else { return }
    paused.remove(id)
    transport(of: id.index)?.resumeReading(sessions[id.index].target)
  }
}
