import LoopCore
import Realtime
import TimeCore

/// The deadlines of Engine.IO connections. Coarse, of constant cost each, where they are long; to the millisecond where they
/// are short, as conformance tests have them.
final class EngineTimers {
  enum Deadline {
    /// A ping is sent, or its answer is overdue.
    case ping
    /// A namespace must be connected to, or the last poll must have come.
    case connect
    /// An upgrade must be complete.
    case upgrade
  }

  /// Below it a deadline is kept to the millisecond.
  private static let exactBelow = Interval.seconds(4)
  /// Ticks that the longest deadline takes: half of the wheel.
  private static let ticksMax = 512

  private let engines: EngineStore
  private let isExact: Bool
  private let tickInterval: Interval
  private var wheel = TimerWheel()
  private var isTurning = false
  private var lastNumber: UInt32 = 0
  weak var host: (any ConnectionHost)?
  /// Called when a deadline is due. Set once.
  var due: (UInt32, Deadline) -> Void = { _, _ in }

  init(_ engines: EngineStore, _ limits: EngineLimits) {
    self.engines = engines
    isExact = min(limits.pingInterval, limits.pingTimeout) < EngineTimers.exactBelow
    let longest = max(limits.pingInterval, limits.pingTimeout, limits.connect)
    tickInterval = max(ConnectionTimers.tickInterval, longest / EngineTimers.ticksMax)
  }

  /// Sets a deadline in the place of the last one of its kind.
  func set(_ deadline: Deadline, of index: UInt32, in interval: Interval) {
    guard !isExact else { return setExact(deadline, of: index, in: interval) }
    let moment = wheel.schedule(index, in: interval / tickInterval + 1)
    note(deadline, of: index, moment == 0 ? 1 : moment)
    turn()
  }

  func clear(_ deadline: Deadline, of index: UInt32) { note(deadline, of: index, 0) }

  private func setExact(_ deadline: Deadline, of index: UInt32, in interval: Interval) {
    lastNumber = lastNumber == .max ? 1 : lastNumber + 1
    note(deadline, of: index, lastNumber)
    let (id, number) = (engines.id(at: index), lastNumber)
    host?.after(interval) { [weak self] in
      guard let self, engines.contains(id), moment(of: deadline, id.index) == number else { return }
      note(deadline, of: id.index, 0)
      due(id.index, deadline)
    }
  }

  private func moment(of deadline: Deadline, _ index: UInt32) -> UInt32 {
    switch deadline {
    case .ping: engines[index].pingDue
    case .connect: engines[index].connectDue
    case .upgrade: engines[index].polling?.upgradeDue ?? 0
    }
  }

  private func note(_ deadline: Deadline, of index: UInt32, _ moment: UInt32) {
    switch deadline {
    case .ping: engines[index].pingDue = moment
    case .connect: engines[index].connectDue = moment
    case .upgrade: engines[index].polling?.upgradeDue = moment
    }
  }

  private func turn() {
    guard !isTurning, wheel.count > 0 else { return }
    isTurning = true
    host?.after(tickInterval) { [weak self] in self?.advance() }
  }

  private func advance() {
    isTurning = false
    for index in wheel.advance() {
      for deadline in [Deadline.ping, .connect, .upgrade] where engines.isOccupied(index) {
        let moment = moment(of: deadline, index)
        guard moment != 0, Int32(bitPattern: moment &- wheel.tick) <= 0 else { continue }
        note(deadline, of: index, 0)
        due(index, deadline)
      }
    }
    turn()
  }

  /// Gives memory back after a crowd has left.
  func shrink() { wheel.shrink() }
}
