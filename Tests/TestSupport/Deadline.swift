import Glibc

/// A moment by which something must have happened, on the monotonic clock.
package struct Deadline: Sendable {
  private let nanoseconds: UInt64

  /// - Parameter seconds: from now.
  package init(within seconds: Double) { nanoseconds = Deadline.now() + UInt64(seconds * 1e9) }

  /// Milliseconds left, rounded up; 0 when it has passed.
  package var millisecondsLeft: Int32 {
    let now = Deadline.now()
    return nanoseconds > now ? Int32(min((nanoseconds - now + 999_999) / 1_000_000, 3_600_000)) : 0
  }

  /// Reads the monotonic clock.
  package static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}

/// Why a test could not go on: what was expected, and what was there instead.
package struct TestFailure: Error, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}

/// Asks until the answer is yes, and throws when it is not by the deadline.
///
/// The question is asked every few milliseconds and once more at the end, so a slow machine costs time, not the test.
package func eventually(
  _ what: String, within seconds: Double = 10,
  _ isSo: () throws -> Bool
) throws {
  let deadline = Deadline(within: seconds)
  while try !isSo() {
    guard deadline.millisecondsLeft > 0 else {
      if try isSo() { return }
      throw TestFailure("not within \(seconds) s: \(what)")
    }
    usleep(5000)
  }
}
