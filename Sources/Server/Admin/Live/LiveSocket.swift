import ClientProtocol
import HTTPCore
import LoopCore
import Realtime
import TimeCore

/// One watch of an operator. Confined to the loop of its socket.
final class WatchState {
  let watch: LiveWatch
  /// The request of a read; nil: it follows a room.
  let head: RequestHead?
  /// When it is looked at next.
  var dueAt: Instant
  /// Whether a look is under way.
  var isAsked = false
  /// Whether the operator has ended it, or its socket has: what still comes is for nobody.
  var isEnded = false
  /// What was sent last, as a digest; nil: nothing was.
  var digest: [UInt8]?
  /// Where it is in its room; nil: not known yet.
  var position: Position?
  /// The poll that waits in its room.
  var waiter: PollWaiter?

  init(_ watch: LiveWatch, at now: Instant) {
    self.watch = watch
    dueAt = now + .milliseconds(watch.waitMilliseconds)
    if case .read(let path) = watch.subject { head = LiveOperation.request(path) } else { head = nil }
  }

  /// Whether it is to be looked at now.
  func isDue(at now: Instant) -> Bool { !isAsked && !isEnded && now >= dueAt }
}

/// The WebSocket of one operator. Confined to the loop of its table.
final class LiveSocket {
  let id: SlabID
  /// The client's numeric address.
  let address: [UInt8]
  /// When it must have proved who it is; nil: it has.
  private(set) var deadline: Instant?
  private(set) var watches: [[UInt8]: WatchState] = [:]

  init(_ id: SlabID, address: [UInt8], deadline: Instant?) {
    (self.id, self.address, self.deadline) = (id, address, deadline)
  }

  /// Whether it is an operator's.
  var isOpen: Bool { deadline == nil }

  /// Notes that its token was right.
  func open() { deadline = nil }

  /// Adds a watch in the place of one with the same id, which is returned.
  func add(_ state: WatchState) -> WatchState? { watches.updateValue(state, forKey: state.watch.id) }

  /// Removes a watch.
  func remove(_ id: [UInt8]) -> WatchState? { watches.removeValue(forKey: id) }
}
