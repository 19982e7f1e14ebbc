import LoopCore
import Realtime

/// A broker over one Redis, or over the masters of a Redis Cluster: any number of nodes with the same Redis and prefix
/// form one cluster.
///
/// Two connections to each master, one for commands and one that is subscribed. docs/redis.md names every key and
/// channel. Confined to the loop that created it, which keeps it alive.
public final class RedisBroker: Broker, TickParticipant {
  /// How much a line of the log matters.
  public enum Severity: Sendable { case info, warning, error }
  /// Takes one line for the log. Never holds a secret.
  public typealias Log = (Severity, String) -> Void

  public weak var listener: (any BrokerListener)?

  let loop: EventLoop
  let keys: RedisKeys
  let configuration: RedisConfiguration
  let node: [UInt8]
  let masters: ShardMap
  let commands: CommandRouter
  let scripts: ScriptRunner
  let batch: PublishBatch
  let presence: PresenceBatch
  let lease: LeaseRenewer
  /// Whether this process or another has the node's id.
  let claim: NodeClaim
  let sweeper: Sweeper
  let orphanScan: OrphanScan
  /// With sentinels: what finds the master.
  let finder: SentinelDiscovery?
  /// With a cluster: what knows its map.
  let watcher: ClusterTopology?
  /// What all connections trust and show; nil: they are plain.
  private let tls: TLSClientContext?
  /// What tells that this process was stopped; nil where no other master can have taken over meanwhile.
  private let pauseDetector: PauseDetector?
  let log: Log

  /// Notices are published and not kept.
  public let losesNotices = true
  /// Whether the lease was taken and commands are taken, by some master at least.
  public internal(set) var isAvailable = false
  /// Behind sentinels: the key under which a master names its reign; else empty.
  var leaderEpochKey: [UInt8] = []
  /// The name that the last of them gave it; empty before the first.
  var lastLeaderEpoch: [UInt8] = []
  /// Whether the lease stands.
  var isLeaseHeld = false
  /// Whether members that an earlier process with this id may have left were taken back.
  var hasCleanStart = false
  /// Whether the listener was told that the broker is lost, and not yet that it is restored.
  private var isLost = false
  var isStopping = false
  /// Whether Redis may know less of this node's presence than there is: another master has taken over, or an entering that
  /// was not answered is being undone.
  var mustAssert = false
  var isTakingBack = false
  /// Whether what another master says of this node's members is being looked at.
  var isAuditing = false

  var backlog = OfflineQueue()
  var departures = Tombstones()
  var expiredNodes: Set<[UInt8]> = []
  /// When the lease was last renewed, and from when on a lease that has run out means a dead node. In nanoseconds.
  var renewedAt: UInt64 = 0
  var trustsLeasesAt: UInt64 = 0
  /// When Redis was found to have lost data, in nanoseconds, until members of forgotten nodes were looked for; nil: it
  /// knows all.
  var lossAt: UInt64?
  /// When that may be tried again, in nanoseconds, and after how many milliseconds once more.
  var orphanScanTryAt: UInt64 = 0
  var orphanScanPause = 0
  /// Nodes that have ended and handed their members over.
  var leavingNodes: Set<[UInt8]> = []
  var ledger = RoomCache(
    metaMilliseconds: RedisLimits.metaRefreshMilliseconds, logMilliseconds: RedisLimits.logRefreshMilliseconds)
  /// What was sent under an id and not answered.
  var retries = RetryQueue()
  var isRetryTimerSet = false
  /// Whether keys of another version were looked for.
  var hasLookedForOthers = false
  /// Whether the log says already that Redis refuses patterns.
  var hasToldRefusal = false
  /// How often a subscribed connection was replaced because it brought nothing, or not all that it should.
  public internal(set) var deafSubscriptionsTotal: UInt64 = 0
  /// What bounds the ids that Redis remembers.
  var ids: IDMemory
  /// Keys of a wrong type that the log has named.
  var wrongTypes = WrongTypes()
  /// Members whose entering was not answered yet.
  var enterings = PendingJoins()
  /// Rooms that were begun here for members whom presence does not keep.
  var begunRooms: Set<[UInt8]> = []
  /// Rooms known to stand in the node's list of rooms.
  var listedRooms: Set<[UInt8]> = []
  /// What was heard that a replaced master may have said.
  var doubts = UnverifiedMessages()
  /// Channels wanted before it was known which master holds them.
  var unassigned: Set<[UInt8]> = []

  /// - Parameters:
  ///   - tls: what to trust and how to prove oneself; nil: connections are plain.
  ///   - nodeID: this node's id; connections' names are the id, a dash, and something without a dash.
  ///   - log: takes one line per change of state; it must not call back.
  public init(
    loop: EventLoop, resolver: Resolver, configuration: RedisConfiguration, tls: TLSClientContext? = nil,
    nodeID: [UInt8], log: @escaping Log
  ) {
    self.loop = loop
    self.configuration = configuration
    let log = RedisBroker.withoutRepetition(log)
    self.log = log
    node = nodeID
    ids = IDMemory(byteCount: configuration.dedupeBytes)
    if case .cluster = configuration.topology {
      keys = RedisKeys(prefix: configuration.prefix, isSharded: true)
    } else {
      keys = RedisKeys(prefix: configuration.prefix)
    }
    let name = RedisBroker.clientName(nodeID)
    let myself = Myself()
    let pauseDetector = configuration.topology.mayFailOver ? PauseDetector(loop: loop) : nil
    self.pauseDetector = pauseDetector
    self.tls = tls
    var finder: SentinelDiscovery?
    var watcher: ClusterTopology?
    switch configuration.topology {
    case .single: break
    case .sentinel(let sentinels, let master):
      finder = SentinelDiscovery(
        loop: loop, resolver: resolver, configuration: configuration, tls: tls, sentinels: sentinels, master: master,
        name: name)
    case .cluster(let seeds):
      watcher = ClusterTopology(
        loop: loop, resolver: resolver, configuration: configuration, tls: tls, seeds: seeds, name: name + "-map",
        log: log)
    }
    (self.finder, self.watcher) = (finder, watcher)
    let isSharded = watcher != nil
    masters = ShardMap(isSharded: isSharded) { endpoint in
      func makeLink(_ end: String) -> RedisLink {
        let link = RedisLink(
          loop: loop, resolver: resolver, configuration: configuration, tls: tls, endpoint: endpoint, name: name + end,
          log: log)
        if let finder { link.locate = { finder.find($0) } }
        link.pauseDetector = pauseDetector
        return link
      }
      return Shard(
        commands: makeLink("-commands"), subscriber: makeLink("-subscriber"),
        isSharded: isSharded, broker: myself.broker!)  // Safe because masters are made after the broker.
    }
    commands = CommandRouter(loop: loop, masters: masters)
    scripts = ScriptRunner(router: commands, isSharded: isSharded, log: log)
    batch = PublishBatch(
      scripts: scripts, keys: keys, metaMilliseconds: configuration.metaMilliseconds, isSharded: isSharded)
    presence = PresenceBatch(
      router: commands, scripts: scripts, keys: keys, metaMilliseconds: configuration.metaMilliseconds, node: nodeID,
      isSharded: isSharded)
    sweeper = Sweeper(
      loop: loop, router: commands, scripts: scripts, keys: keys, graceMilliseconds: configuration.graceMilliseconds)
    orphanScan = OrphanScan(masters: masters, router: commands, scripts: scripts, keys: keys, node: nodeID)
    claim = NodeClaim(scripts: scripts, keys: keys, node: nodeID, log: log)
    lease = LeaseRenewer(loop: loop, scripts: scripts, keys: keys, node: nodeID, process: claim.process) {
      myself.report()
    }
    myself.broker = self
    wire()
    loop.attach(tick: self)
  }

  /// Lets parts reach the broker that are made before it.
  private final class Myself {
    weak var broker: RedisBroker?
    func report() -> [UInt8] { broker?.listener?.nodeReport() ?? Array("{}".utf8) }
  }

  /// The connections to one Redis fail for one reason: it is told once.
  private static func withoutRepetition(_ log: @escaping Log) -> Log {
    var last = ""
    return { severity, line in
      if line != last { log(severity, line) }
      last = line
    }
  }

  /// CLIENT SETNAME takes no spaces and no control characters.
  private static func clientName(_ node: [UInt8]) -> String {
    "roost-" + String(decoding: node.map { $0 > 0x20 && $0 < 0x7F ? $0 : 0x5F }, as: UTF8.self)
  }

  private func wire() {
    lease.renewed = { [weak self] in self?.renewed($0, expired: $1, leaving: $2) }
    scripts.tellWrongType = { [weak self] in self?.tellWrongType($0) }
    lease.resyncRequested = { [weak self] in self?.auditEverything() }
    lease.taken = { [weak self] in self?.idIsTaken() }
    lease.refused = { [weak self] in self?.leaseRefused() }
    lease.clockJumped = { [weak self] in self?.distrustLeases() }
    sweeper.swept = { [weak self] in self?.expiredNodes.remove($0) }
    finder?.switched = { [weak self] in self?.replaced(by: $0) }
    watcher?.found = { [weak self] in self?.adopt($0) }
    commands.willSend = { [batch, presence] in
      batch.close()
      presence.close()
    }
    presence.leaderEpochKey = { [weak self] in self?.leaderEpochKey ?? [] }
    presence.listFailed = { [weak self] in self?.listFailed($0, isListed: $1) }
    commands.mapIsStale = { [weak self] in self?.watcher?.refresh() }
    unassigned.insert(keys.everyone)
    tls?.hasReadAgain = { [log] problem in
      if let problem {
        log(.error, "kept the old files for TLS with Redis: \(problem)")
      } else {
        log(.info, "read the files for TLS with Redis again: new connections use them")
      }
    }
  }

  /// Reads the files for TLS again; connections that are open keep what they have. Files that cannot be used change
  /// nothing. Returns false when there are none.
  public func reloadTLS() -> Bool {
    tls?.readAgain()
    return tls != nil
  }

  /// Gives memory back after a crowd has left: dictionaries do not shrink by themselves.
  public func shrink() {
    for shard in masters.shards { shard.shrink() }
    ledger.shrink()
    departures.expire(loop.now)
    // A set does not shrink by itself.
    if listedRooms.capacity > 64, listedRooms.capacity > listedRooms.count * 4 { listedRooms = Set(Array(listedRooms)) }
  }

  // MARK: Life

  public func start() {
    watcher?.start()
    finder?.start()
    watchSubscriptions()
    switch configuration.topology {
    case .single(let endpoint): beginSingle(endpoint)
    // The sentinels tell where it really is.
    case .sentinel(let sentinels, _): beginSingle(sentinels[0])
    case .cluster: isLeaseHeld = false
    }
  }

  private func beginSingle(_ endpoint: RedisEndpoint) {
    masters.begin(with: endpoint)
    assignProbes()
    subscribeUnassigned()
  }

  public func stop(_ reply: @escaping () -> Void) {
    end(reply) { [weak self] finish in
      guard let self else { return finish() }
      sweeper.sweep(own: node, releasing: claim.process) { _ in finish() }
    }
  }

  public func handOver(forMilliseconds grace: Int, _ reply: @escaping () -> Void) {
    end(reply) { [weak self] finish in
      guard let self else { return finish() }
      scripts.run(.drainLease, keys: 4, parts: 7, { _ in finish() }) { [keys, node, claim] writer in
        writer.bulk(keys.leases)
        writer.bulk(keys.report, node, "")
        writer.bulk(keys.leaving)
        writer.bulk(keys.owner, node, "")
        writer.bulk(node)
        writer.bulk(grace)
        writer.bulk(claim.process)
      }
    }
  }

  /// Says a last word to Redis, if it is there, and closes the connections.
  private func end(_ reply: @escaping () -> Void, _ lastWord: (_ finish: @escaping () -> Void) -> Void) {
    guard !isStopping else { return reply() }
    isStopping = true
    lease.pause()
    var isAnswered = false
    let finish = { [weak self] in
      guard !isAnswered else { return }
      isAnswered = true
      self?.abandon()
      reply()
    }
    guard isAvailable else { return finish() }
    loop.after(milliseconds: RedisLimits.stopMilliseconds, finish)
    lastWord(finish)
  }

  /// Closes all connections without a word to Redis, as a crash does.
  func abandon() {
    isStopping = true
    isAvailable = false
    lease.pause()
    finder?.stop()
    watcher?.stop()
    commands.stop()
    for shard in masters.shards {
      for waiter in shard.stop() { waiter(.failure(.unavailable)) }
    }
    abandonRetries()
  }

  public func tickEnds() {
    finder?.flush()
    watcher?.flush()
    batch.close()
    presence.close()
    for shard in masters.shards { shard.flush() }
    guard pauseDetector?.tickEnded() == true else { return }
    for shard in masters.shards {
      shard.commands.failAfterPause()
      shard.subscriber.failAfterPause()
    }
  }

  // MARK: Outages

  func say(lost: Bool) {
    guard !isStopping, lost != isLost, lost || isUp else { return }
    isLost = lost
    if lost {
      listener?.brokerLost()
    } else {
      log(.info, "Redis at \(configuration.topology) is back")
      // With a cluster, every master's rooms were compared when it was back.
      listener?.brokerRestored(where: masters.isSharded ? { _ in false } : nil)
    }
  }
}

@available(*, unavailable)
extension RedisBroker: Sendable {}
