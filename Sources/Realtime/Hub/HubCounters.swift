import TimeCore

/// Counts for `/metrics` and for the node's report.
public struct HubCounters: Sendable {
  /// Messages taken from clients.
  public var messagesReceived: UInt64 = 0
  /// Messages known to be missing: read again from history, or lost for good.
  public var gapRecovered: UInt64 = 0
  public var gapLost: UInt64 = 0
  /// Messages that a slow reader did not get: dropped, and reported by `gap` or `direct_dropped`; or replaced by a newer one of
  /// their key.
  public var slowDropped: UInt64 = 0
  public var slowConflated: UInt64 = 0
  /// How often a connection was read no further because the broker could not follow.
  public var readsPaused: UInt64 = 0
  /// Connections that were closed because their token was wrong, did not come, or has expired.
  public var authenticationFailures: UInt64 = 0
  public var rooms = 0
  /// From a join to its answer, by the clock of the hub's deadlines.
  public var joins = DurationHistogram(bounds: DurationHistogram.millisecondBounds)
  /// From a join with `since` to the moment when the client misses nothing any more.
  public var recoveries = DurationHistogram(bounds: DurationHistogram.millisecondBounds)
  public var refusals = LimitRefusals()
}
