/// Decides how long to wait before the next connection attempt: exponential, with full jitter, so that the nodes of a
/// cluster do not return to a restarted Redis in step.
struct Backoff {
  private var ceiling = RedisLimits.backoffMilliseconds.lowerBound

  /// Returns the next wait in milliseconds, from half the first step up to a ceiling that doubles with every call.
  mutating func next(using generator: inout some RandomNumberGenerator) -> Int {
    let wait = Int.random(in: (RedisLimits.backoffMilliseconds.lowerBound / 2)...ceiling, using: &generator)
    ceiling = min(ceiling * 2, RedisLimits.backoffMilliseconds.upperBound)
    return wait
  }

  /// Starts over: the connection has proved itself.
  mutating func reset() { ceiling = RedisLimits.backoffMilliseconds.lowerBound }
}
