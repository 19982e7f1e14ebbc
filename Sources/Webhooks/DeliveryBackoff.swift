import TimeCore

/// The pauses between attempts to deliver: each twice the one before, up to a limit, and random by half, so that the nodes of
/// a cluster do not come back to a receiver at the same moment. Pure.
struct DeliveryBackoff {
  private(set) var attempts = 0

  /// The pause after one more failure.
  ///
  /// - Parameter random: 0 to 1.
  mutating func next(random: Double) -> Interval {
    let limit = WebhookLimits.backoffMilliseconds.upperBound
    let step = min(limit, WebhookLimits.backoffMilliseconds.lowerBound << min(attempts, 16))
    attempts += 1
    return .milliseconds(Int(Double(step) * (0.5 + random / 2)))
  }

  /// Begins anew, after a success.
  mutating func reset() { attempts = 0 }
}
