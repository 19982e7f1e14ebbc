import LoopCore

/// What is counted between the end of the warm-up and the end of the run.
struct Measurement {
  /// When messages begin to count, in nanoseconds of the monotonic clock; nil before.
  private(set) var startedAt: UInt64?
  private(set) var endedAt: UInt64?
  private(set) var operations: UInt64 = 0
  private(set) var latency = LatencyHistogram()
  private var own = ProcessorTime()
  private var server = ProcessorTime()

  /// Whether operations count now.
  var isRunning: Bool { startedAt != nil && endedAt == nil }

  /// Begins to count.
  mutating func start(_ settings: BenchSettings) {
    own = .ofThisProcess()
    server = .ofProcesses(settings.processes)
    startedAt = Clock.monotonicNanoseconds()
  }

  /// Counts one operation that began at `time`; its latency counts only when it began inside the measured time.
  @inline(__always)
  mutating func count(begunAt time: UInt64, endedAt now: UInt64) {
    guard let startedAt, endedAt == nil else { return }
    operations += 1
    if time >= startedAt { latency.record(now > time ? now - time : 0) }
  }

  /// Ends counting.
  mutating func end(_ settings: BenchSettings) {
    guard endedAt == nil else { return }
    endedAt = Clock.monotonicNanoseconds()
    own = .ofThisProcess() - own
    server = .ofProcesses(settings.processes) - server
  }

  /// Seconds that were measured.
  var seconds: Double {
    guard let startedAt, let endedAt else { return 0 }
    return Double(endedAt - startedAt) / 1e9
  }

  /// The share of one core that the generator itself used.
  var ownShare: Double { seconds > 0 ? own.seconds / seconds : 0 }
  /// Seconds of processor time that the server used.
  var serverSeconds: Double { server.seconds }
}
