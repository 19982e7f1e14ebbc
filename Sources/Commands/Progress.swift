import Glibc
import LoopCore

/// Tells a person at a terminal, once a second, how far a command has come that takes longer than that.
struct Progress {
  private static let intervalNanoseconds: UInt64 = 1_000_000_000

  private let isWatched = isatty(2) == 1
  private var nextAt = Clock.monotonicNanoseconds() + Progress.intervalNanoseconds

  mutating func note(_ text: @autoclosure () -> String) {
    guard isWatched, Clock.monotonicNanoseconds() >= nextAt else { return }
    nextAt = Clock.monotonicNanoseconds() + Progress.intervalNanoseconds
    Output.note(text())
  }
}
