import LoopCore
import Realtime

/// The input of connections that are not read for now: why, what was read of them already, and when they are read again.
final class HeldInput {
  private let connections: ConnectionStore
  /// Connections that may be read again from the end of this tick.
  private var resuming: [SlabID] = []
  /// Connections whose answer is sent and that have sent further requests meanwhile.
  private var continuing: [SlabID] = []
  /// What was read after the operation at which a connection was paused.
  private var pausedBytes: [UInt32: [UInt8]] = [:]
  weak var host: (any ConnectionHost)?

  init(_ connections: ConnectionStore) { self.connections = connections }

  /// Whether nothing is read for now: more requests have come while one is being answered, or the connection is paused.
  /// What comes waits in the kernel.
  func isHeld(_ index: UInt32) -> Bool {
    connections[index].isPaused
      || (connections[index].stage == .answering || connections[index].stage == .idle)
        && connections[index].exchange?.waiting.isEmpty == false
  }

  /// Whether requests wait for their turn, and the last answer is not in the way any more.
  @inline(__always)
  func hasRequests(_ index: UInt32) -> Bool {
    // Asked of the record as a whole, it would be copied.
    connections[index].stage == .idle && connections[index].exchange?.waiting.isEmpty == false
  }

  func pause(_ index: UInt32, _ reason: Pauses) {
    let wasPaused = connections[index].isPaused
    connections[index].pauses.insert(reason)
    if !wasPaused { host?.updateInterest(index) }
  }

  /// Reads again at the end of the tick, unless another reason remains.
  func resume(_ index: UInt32, _ reasons: Pauses) {
    guard !connections[index].pauses.isDisjoint(with: reasons) else { return }
    connections[index].pauses.subtract(reasons)
    guard connections[index].pauses.isEmpty else { return }
    connections[index].pauses = .resuming
    resuming.append(connections.id(at: index))
    host?.tickAgain()
  }

  /// Parses further requests at the end of the tick.
  func continueRequests(of index: UInt32) {
    continuing.append(connections.id(at: index))
    host?.tickAgain()
  }

  /// Keeps what was read after the operation at which a connection was paused.
  func keep(_ bytes: UnsafeRawBufferPointer, of index: UInt32) { pausedBytes[index] = Array(bytes) }

  /// Takes what was kept of a connection.
  func takeKept(of index: UInt32) -> [UInt8]? { pausedBytes.removeValue(forKey: index) }

  /// Forgets a connection that is gone.
  func forget(_ index: UInt32) { if !pausedBytes.isEmpty { pausedBytes[index] = nil } }

  /// Whether connections wait for the end of the tick.
  var hasWork: Bool { !resuming.isEmpty || !continuing.isEmpty }

  /// Takes the connections that may be read again.
  func takeResuming() -> [SlabID] { HeldInput.take(&resuming) }

  /// Takes the connections whose next requests are due.
  func takeContinuing() -> [SlabID] { HeldInput.take(&continuing) }

  private static func take(_ list: inout [SlabID]) -> [SlabID] {
    guard !list.isEmpty else { return [] }
    var taken: [SlabID] = []
    swap(&taken, &list)
    return taken
  }
}
