import LoopCore

/// Reads the map of a cluster from its nodes whenever it may have changed.
/// Confined to the loop that created it.
final class ClusterTopology {
  private let loop: EventLoop
  private let query: DiscoveryQuery<ClusterMap>
  private let seeds: [RedisEndpoint]
  private let log: RedisBroker.Log
  private var known: [RedisEndpoint] = []
  private var askedAt: UInt64 = 0
  private var isAsking = false
  private var isDue = false
  private var isStopped = true
  private var lastProblem = ""
  /// Called with every map.
  var found: (ClusterMap) -> Void = { _ in }

  init(
    loop: EventLoop, resolver: Resolver, configuration: RedisConfiguration, tls: TLSClientContext?,
    seeds: [RedisEndpoint], name: String, log: @escaping RedisBroker.Log
  ) {
    self.loop = loop
    self.seeds = seeds
    self.log = log
    query = DiscoveryQuery(
      loop: loop, resolver: resolver, configuration: configuration, tls: tls, name: name,
      { writer in
        writer.command(parts: 2)
        writer.bulk("CLUSTER")
        writer.bulk("SLOTS")
      }, judge: { ClusterMap($0, askedOf: $1) })
  }

  func start() {
    isStopped = false
    ask()
  }

  func stop() {
    isStopped = true
    query.stop()
  }

  func flush() { query.flush() }

  /// Asks again soon; at most once in `RedisLimits.mapMilliseconds`.
  func refresh() {
    guard !isStopped, !isDue else { return }
    isDue = true
    let earliest = askedAt + UInt64(RedisLimits.mapMilliseconds) * 1_000_000
    let wait = earliest > loop.now ? Int((earliest - loop.now) / 1_000_000) + 1 : 0
    loop.after(milliseconds: wait) { [weak self] in self?.ask() }
  }

  private func ask() {
    isDue = false
    guard !isStopped, !isAsking else { return }
    isAsking = true
    askedAt = loop.now
    query.ask(known + seeds.filter { !known.contains($0) }) { [weak self] outcome in
      guard let self else { return }
      isAsking = false
      guard !isStopped else { return }
      switch outcome {
      case .success(let map):
        lastProblem = ""
        // In another order each time: a node that is cut off from the others has an old map.
        known = (map.masters + map.replicas).shuffled()
        found(map)
      case .failure(let failure):
        if failure.reason != lastProblem {
          log(.warning, "no node of the Redis Cluster returned its slots: \(failure.reason)")
        }
        lastProblem = failure.reason
        refresh()
      }
    }
  }
}

@available(*, unavailable)
extension ClusterTopology: Sendable {}
