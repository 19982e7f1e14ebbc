import ClientProtocol
import JSONCore

/// How long users stay in a room after they have left it.
/// Confined to the loop that created its hub.
final class LeaveGraces {
  private let context: HubContext
  /// Rooms in which a grace runs, and the moment at which the broker is asked whether it is over.
  private var graceChecks: [[UInt8]: UInt64] = [:]

  init(_ context: HubContext) {
    self.context = context
  }

  /// Milliseconds for which a user who has left a room is still there.
  func grace(of room: Room) -> Int {
    room.rule.leaveDebounceMilliseconds ?? context.configuration.leaveDebounceMilliseconds
  }

  /// Has the broker look, when a grace in the room is over, who has not come back. Every node of the room does: the one
  /// that the user left may be gone by then.
  func graceBegins(in room: [UInt8], _ milliseconds: Int) {
    let due = context.steady() + UInt64(milliseconds)
    if let known = graceChecks[room], known <= due { return }
    graceChecks[room] = due
    context.after(milliseconds) { [weak self] in
      guard let self, graceChecks[room] == due else { return }
      graceChecks[room] = nil
      endGraces(in: room)
    }
  }

  func endGraces(in room: [UInt8]) {
    context.broker.endGraces(room: room) { [weak self] result in
      switch result {
      case .success(let next?): self?.graceBegins(in: room, max(next, Limits.graceCheckMilliseconds))
      case .success(nil): break
      case .failure: self?.graceBegins(in: room, Limits.graceRetryMilliseconds)
      }
    }
  }
}
