/// Decides how long to wait before the next connection: exponential, with full jitter, so that the clients of a node
/// that went away do not all return at one moment.
struct Backoff {
  /// Milliseconds of the first and of the longest wait.
  static let limits = 500...30_000

  private var ceiling = limits.lowerBound

  /// Returns the next wait in milliseconds, up to a ceiling that doubles with every call.
  mutating func next(using generator: inout some RandomNumberGenerator) -> Int {
    let wait = Int.random(in: 50...ceiling, using: &generator)
    ceiling = min(ceiling * 2, Self.limits.upperBound)
    return wait
  }

  /// Starts over: the last connection has proved itself.
  mutating func reset() { ceiling = Self.limits.lowerBound }
}
