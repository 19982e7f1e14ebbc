/// Decides when to publish to oneself, and when a message that does not arrive means that the subscription has stalled: the
/// connection may be open and still bring nothing. Pure.
///
/// It counts checks, one every `RedisLimits.watchMilliseconds`, and compares no times: a process that was paused checks once
/// when it goes on.
struct SubscriptionProbe {
  enum Action: Equatable {
    case none
    /// Publish this number on the probe's channel, then call `published`.
    case publish(UInt64)
    /// The subscription has stalled: replace the connection.
    case replace
  }

  private enum Stage {
    /// Checks until the next probe.
    case resting(Int)
    /// Redis has not yet answered the publish: `Liveness` judges the command link.
    case publishing
    /// Checks since Redis answered the publish.
    case listening(Int)
  }

  private var stage = Stage.resting(0)
  private var number: UInt64
  /// Probes that arrived since the connection was made.
  private(set) var arrived = 0

  /// - Parameter first: numbers count from here. Random, so that no probe of an earlier process looks like one of this.
  init(first: UInt64) { number = first }

  /// Checks once. Call it while both connections are open.
  mutating func look() -> Action {
    switch stage {
    case .resting(let looks) where looks > 0: stage = .resting(looks - 1)
    case .resting:
      number &+= 1
      stage = .publishing
      return .publish(number)
    case .publishing: break
    case .listening(let looks) where looks < RedisLimits.silenceMilliseconds / RedisLimits.watchMilliseconds:
      stage = .listening(looks + 1)
    case .listening:
      reset()
      return .replace
    }
    return .none
  }

  /// Notes that Redis has published a probe.
  mutating func published(_ number: UInt64) {
    if number == self.number, case .publishing = stage { stage = .listening(0) }
  }

  /// Notes that a probe has arrived. Returns false when it is not the expected one.
  mutating func received(_ number: UInt64) -> Bool {
    if case .resting = stage { return false }
    guard number == self.number else { return false }
    arrived += 1
    stage = .resting(RedisLimits.probeMilliseconds / RedisLimits.watchMilliseconds - 1)
    return true
  }

  /// Begins anew: one of the connections was lost.
  mutating func reset() {
    stage = .resting(0)
    arrived = 0
  }
}
