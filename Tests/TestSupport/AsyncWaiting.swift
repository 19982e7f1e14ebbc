// For tests that are tasks: their threads are few, and nothing may hold one.

/// Runs blocking work beside the tasks of the test, so that it takes no thread of theirs.
package func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    do {
      try startThread { continuation.resume(with: Result { try body() }) }
    } catch {
      continuation.resume(throwing: error)
    }
  }
}

/// Waits until something holds, without a thread of its own.
package func until(
  _ what: String, within seconds: Double = 10, _ isSo: @Sendable () async throws -> Bool
) async throws {
  let deadline = Deadline(within: seconds)
  while try await !isSo() {
    guard deadline.millisecondsLeft > 0 else { throw TestFailure("not within \(seconds) s: \(what)") }
    try await Task.sleep(for: .milliseconds(5))
  }
}
