import LoopCore

/// Finds the masters: by sentinels, by the map of a cluster, or not at all where there is one Redis.
final class MasterDiscovery {
  /// Called when sentinels have another master than the one in use.
  var switched: (RedisEndpoint) -> Void = { _ in }
  /// Called with every map of the cluster.
  var mapFound: (ClusterMap) -> Void = { _ in }

  let mode: Failover.Mode
  private let sentinels: SentinelDiscovery?
  private let cluster: ClusterTopology?

  init(
    loop: EventLoop, resolver: Resolver, configuration: RedisConfiguration, tls: TLSClientContext?, name: String,
    log: @escaping RedisBroker.Log
  ) {
    switch configuration.topology {
    case .single: (mode, sentinels, cluster) = (.single, nil, nil)
    case .sentinel(let endpoints, let master):
      (mode, cluster) = (.sentinels, nil)
      sentinels = SentinelDiscovery(
        loop: loop, resolver: resolver, configuration: configuration, tls: tls, sentinels: endpoints, master: master,
        name: name)
    case .cluster(let seeds):
      (mode, sentinels) = (.cluster, nil)
      cluster = ClusterTopology(
        loop: loop, resolver: resolver, configuration: configuration, tls: tls, seeds: seeds, name: name + "-map",
        log: log)
    }
    sentinels?.switched = { [weak self] in self?.switched($0) }
    cluster?.found = { [weak self] in self?.mapFound($0) }
  }

  /// With sentinels: finds the endpoint that a link connects to.
  var locate: ((_ found: @escaping (RedisLink.Located) -> Void) -> Void)? {
    sentinels.map { sentinels in { sentinels.find($0) } }
  }

  func start() {
    cluster?.start()
    sentinels?.start()
  }

  func stop() {
    sentinels?.stop()
    cluster?.stop()
  }

  /// Sends what this tick has gathered.
  func flush() {
    sentinels?.flush()
    cluster?.flush()
  }

  /// Reads the map of the cluster soon.
  func refresh() { cluster?.refresh() }

  /// Asks the sentinels, with every renewal, whether the master is still the one: their announcement may have been missed.
  func check() {
    sentinels?.check()
    sentinels?.find { [weak self] found in if case .success(let endpoint) = found { self?.switched(endpoint) } }
  }
}

@available(*, unavailable)
extension MasterDiscovery: Sendable {}
