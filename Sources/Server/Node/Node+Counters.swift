import Glibc
import JSONCore
import LoopCore
import Realtime
import TimeCore

extension Node {
  /// Everything this process counts, in the order of `Count`.
  func counts() -> [UInt64] {
    var words = [UInt64](repeating: 0, count: Count.words)
    func set(_ count: Count, _ value: UInt64) { words[count.rawValue] = value }
    set(.webSockets, UInt64(table.webSocketCount))
    set(.eventStreams, UInt64(table.eventStreamCount))
    set(.pollers, UInt64(table.pollerCount))
    set(.socketIO, UInt64(table.socketIOCount))
    set(.forwardedAnswered, metrics.forwarded.answered)
    set(.forwardedAbsent, metrics.forwarded.absent)
    set(.forwardedUnavailable, metrics.forwarded.unavailable)
    set(.rooms, UInt64(hub.counters.rooms))
    set(.received, hub.counters.messagesReceived)
    set(.delivered, metrics.messagesDelivered)
    set(.bytesSent, metrics.bytesSent)
    set(.queueBytes, UInt64(table.queuedBytes))
    set(.slowConsumers, metrics.slowConsumers)
    set(.redisUp, redis?.isUp == true ? 1 : 0)
    set(.redisCommands, redis?.commandsTotal ?? 0)
    set(.redisReconnects, redis?.reconnectsTotal ?? 0)
    set(.redisDeaf, redis?.deafSubscriptionsTotal ?? 0)
    set(.gapRecovered, hub.counters.gapRecovered)
    set(.gapLost, hub.counters.gapLost)
    set(.slowDropped, hub.counters.slowDropped)
    set(.slowConflated, hub.counters.slowConflated)
    set(.dedupeForgotten, redis?.dedupeForgottenTotal ?? embedded?.dedupeForgottenTotal ?? 0)
    set(.readsPaused, hub.counters.readsPaused)
    set(.hooksPublished, metrics.hooksPublished)
    set(.hooksRefused, metrics.hooksRefused)
    if let asks = backend?.questions, let requests = backend?.requests {
      set(.asksAnswered, asks.counts.answered)
      set(.asksFailed, asks.counts.failed)
      set(.asksSkipped, asks.counts.skipped)
      set(.asksPaused, asks.isPaused ? 1 : 0)
      set(.requestsAnswered, requests.counts.answered)
      set(.requestsFailed, requests.counts.failed)
      set(.requestsSkipped, requests.counts.skipped)
      set(.requestsPaused, requests.isPaused ? 1 : 0)
    }
    set(.residentBytes, ProcessFacts.residentBytes())
    set(.openDescriptors, ProcessFacts.openDescriptors())
    set(.maxDescriptors, ProcessFacts.maxDescriptors())
    set(.ghosts, metrics.ghosts)
    set(.protocolErrors, metrics.protocolErrors)
    set(.requestsRefused, metrics.requestsRefused)
    set(.connectionsRefused, metrics.connectionsRefused)
    set(.authenticationFailures, hub.counters.authenticationFailures)
    set(.logDropped, log.droppedCount)
    set(.spansExported, spans?.exported ?? 0)
    set(.spansDropped, spans?.dropped ?? 0)
    setWebhookCounts(set)
    for limit in LimitName.allCases { words[Count.refusals + limit.rawValue] = refusals(limit) }
    for name in HistogramName.allCases {
      guard let histogram = histogram(name) else { continue }
      words[name.place] = histogram.sumNanoseconds
      for (i, count) in histogram.counts.enumerated() { words[name.place + 1 + i] = count }
    }
    return words
  }

  /// A histogram of this process; nil where what it measures is not in use.
  private func histogram(_ name: HistogramName) -> DurationHistogram? {
    switch name {
    case .delivery: metrics.delivery
    case .join: hub.counters.joins
    case .recovery: hub.counters.recoveries
    case .redis: redis?.roundTrips
    case .webhook: webhooks?.counters.posts
    }
  }

  /// Writes this worker's counts where the other workers find them.
  func publishCounters() { workerPage?.write(counts()) }

  /// The Prometheus text of the host: of all workers that share the port.
  package func metricsText() -> [UInt8] {
    publishCounters()
    return MetricsText.make(workerPage?.sums() ?? counts(), workers: workerPage?.count ?? 1)
      + Array(BridgeMetrics.text(bridgePage, names: settings.bridges.map(\.name)).utf8)
  }
}

/// What the kernel reports about this process.
enum ProcessFacts {
  /// Resident memory (`/proc/self/statm`, second field, in pages).
  static func residentBytes() -> UInt64 {
    var text = [UInt8](repeating: 0, count: 128)
    let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return 0 }
    defer { close(file) }
    let count = read(file, &text, text.count)
    guard count > 0 else { return 0 }
    let fields = text[..<count].split(separator: UInt8(ascii: " "))
    guard fields.count > 1, let pages = UInt64(String(decoding: fields[1], as: UTF8.self)) else { return 0 }
    return pages * UInt64(sysconf(Int32(_SC_PAGESIZE)))
  }

  static func openDescriptors() -> UInt64 {
    guard let directory = opendir("/proc/self/fd") else { return 0 }
    defer { closedir(directory) }
    var count: UInt64 = 0
    while readdir(directory) != nil { count += 1 }
    // Not counted: `.`, `..` and the directory itself.
    return count > 3 ? count - 3 : 0
  }

  /// The limit on open file descriptors (`LimitNOFILE`); 0 when the kernel does not tell.
  static func maxDescriptors() -> UInt64 {
    var limit = rlimit()
    return getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? UInt64(limit.rlim_cur) : 0
  }
}
