import LoopCore
import Realtime

/// A broker over one Redis: any number of nodes with the same Redis and prefix form one cluster.
///
/// Two connections, one for commands and one that is subscribed. docs/redis.md names every key and channel.
/// Confined to the loop that created it, which keeps it alive.
public final class RedisBroker: Broker, TickParticipant {
  /// How much a line of the log matters.
  public enum Severity: Sendable { case info, warning }
  /// Takes one line for the log. Never holds a secret.
  public typealias Log = (Severity, String) -> Void

  public weak var listener: (any BrokerListener)?

  let loop: EventLoop
  let keys: RedisKeys
  let configuration: RedisConfiguration
  let node: [UInt8]
  let commands: RedisLink
  let scripts: ScriptRunner
  let subscriber: RedisLink
  private let lease: LeaseKeeper
  private let sweeper: Sweeper
  /// With sentinels: what finds the master.
  private let finder: MasterFinder?
  let log: Log

  /// Whether the lease stands and commands are taken.
  public private(set) var isAvailable = false
  /// Whether every subscription stands, and something published was heard through them.
  private(set) var isSubscribed = false
  /// Whether Redis has confirmed every subscription on this connection.
  private(set) var isConfirmed = false
  /// The channel on which this node hears itself.
  let probeChannel: [UInt8]
  var probe = SubscriptionProbe(first: .random(in: 0..<1 << 48))
  var audit = SubscriptionAudit()
  /// How often the subscribed connection was replaced because it brought nothing, or not all that it should.
  public internal(set) var deafSubscriptionsTotal: UInt64 = 0
  /// Whether the listener was told that the broker is lost, and not yet that it is restored.
  private var isLost = false
  private(set) var isStopping = false
  /// Whether Redis may know less of this node's presence than there is.
  private var mustAssert = false

  private var subscriptions = Subscriptions<BrokerReply<Void>>()
  var patterns = Subscriptions<BrokerReply<Void>>()
  /// Whether the log says already that Redis refuses patterns.
  var hasToldRefusal = false
  private var backlog = Backlog()
  private var expiredNodes: Set<[UInt8]> = []
  /// Nodes that have ended and handed their members over.
  private(set) var leavingNodes: Set<[UInt8]> = []
  var ledger = RoomLedger(
    metaMilliseconds: RedisLimits.metaRefreshMilliseconds, logMilliseconds: RedisLimits.logRefreshMilliseconds)
  /// What was sent under an id and not answered.
  var retries = RetryQueue()
  var isRetryTimerSet = false
  /// When the lease was last renewed, and from when on a lease that has run out means a dead node. In nanoseconds.
  private var renewedAt: UInt64 = 0
  private var trustsLeasesAt: UInt64 = 0
  /// Rooms known to stand in the node's list of rooms.
  var listedRooms: Set<[UInt8]> = []

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
    self.log = log
    node = nodeID
    keys = RedisKeys(prefix: configuration.prefix)
    probeChannel = keys.probeChannel(nodeID)
    let name = RedisBroker.clientName(nodeID)
    let endpoint: RedisEndpoint
    switch configuration.topology {
    case .single(let single):
      endpoint = single
      finder = nil
    case .sentinel(let sentinels, let master):
      endpoint = sentinels[0]
      finder = MasterFinder(
        loop: loop, resolver: resolver, configuration: configuration, tls: tls, sentinels: sentinels, master: master,
        name: name + "-finder")
    case .cluster(let nodes):
      endpoint = nodes[0]
      finder = nil
    }
    func makeLink(_ role: RedisLink.Role, _ end: String) -> RedisLink {
      RedisLink(
        loop: loop, resolver: resolver, configuration: configuration, tls: tls, endpoint: endpoint, name: name + end,
        role: role, log: log)
    }
    commands = makeLink(.commands, "-commands")
    subscriber = makeLink(.subscriber, "-subscriber")
    scripts = ScriptRunner(link: commands, log: log)
    sweeper = Sweeper(link: commands, scripts: scripts, keys: keys)
    let reporter = Reporter()
    lease = LeaseKeeper(loop: loop, scripts: scripts, keys: keys, node: nodeID) { reporter.report() }
    reporter.broker = self
    wire()
    loop.attach(tick: self)
  }

  /// Lets the lease ask the listener before `self` exists.
  private final class Reporter {
    weak var broker: RedisBroker?
    func report() -> [UInt8] { broker?.listener?.nodeReport() ?? Array("{}".utf8) }
  }

  /// CLIENT SETNAME takes no spaces and no control characters.
  private static func clientName(_ node: [UInt8]) -> String {
    "roost-" + String(decoding: node.map { $0 > 0x20 && $0 < 0x7F ? $0 : 0x5F }, as: UTF8.self)
  }

  private func wire() {
    if let finder {
      for link in [commands, subscriber] { link.locate = { finder.find($0) } }
    }
    commands.opened = { [weak self] in self?.commandsOpened() }
    commands.closed = { [weak self] in self?.commandsClosed() }
    subscriber.opened = { [weak self] in self?.subscriberOpened() }
    subscriber.closed = { [weak self] in self?.subscriberClosed() }
    subscriber.received = { [weak self] in self?.pushed($0) }
    lease.renewed = { [weak self] in self?.renewed($0, expired: $1, leaving: $2) }
    lease.refused = { [weak self] in self?.commands.fail("the lease could not be renewed") }
    sweeper.swept = { [weak self] in self?.expiredNodes.remove($0) }
    _ = subscriptions.want(keys.everyone, nil)
    _ = subscriptions.want(probeChannel, nil)
  }

  /// Gives memory back after a crowd has left: dictionaries do not shrink by themselves.
  public func shrink() {
    subscriptions.shrink()
    ledger.shrink()
    patterns.shrink()
  }

  // MARK: Metrics

  /// Commands sent since the start, subscriptions included.
  public var commandsTotal: UInt64 { commands.commandsTotal + subscriber.commandsTotal }
  /// How often a connection was made again after it had been lost.
  public var reconnectsTotal: UInt64 { commands.reconnectsTotal + subscriber.reconnectsTotal }
  /// Whether both connections do their work.
  public var isUp: Bool { isAvailable && isSubscribed }

  // MARK: Life

  public func start() {
    commands.start()
    subscriber.start()
    watchSubscription()
  }

  public func stop(_ reply: @escaping () -> Void) {
    end(reply) { [weak self] finish in
      guard let self else { return finish() }
      sweeper.sweep(own: node) { _ in finish() }
    }
  }

  public func handOver(forMilliseconds grace: Int, _ reply: @escaping () -> Void) {
    end(reply) { [weak self] finish in
      guard let self else { return finish() }
      scripts.run(.handOver, keys: 3, parts: 5, { _ in finish() }) { [keys, node] writer in
        writer.bulk(keys.leases)
        writer.bulk(keys.report, node, "")
        writer.bulk(keys.leaving)
        writer.bulk(node)
        writer.bulk(grace)
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

  /// Closes both connections without a word to Redis, as a crash does.
  func abandon() {
    isStopping = true
    isAvailable = false
    isSubscribed = false
    lease.pause()
    commands.stop()
    subscriber.stop()
    finder?.stop()
    for waiter in subscriptions.connectionLost() + patterns.connectionLost() { waiter(.failure(.unavailable)) }
    abandonRetries()
  }

  public func tickEnds() {
    finder?.flush()
    sendSubscriptions()
    commands.flush()
    subscriber.flush()
  }

  // MARK: Command link

  /// Whether members that an earlier process with this id may have left were taken back.
  private var hasCleanStart = false

  private func commandsOpened() {
    // After a failover the demoted master would still pass on what the new one publishes, until it does not.
    if subscriber.phase == .open, subscriber.endpoint != commands.endpoint {
      subscriber.fail("the master is now at \(commands.endpoint)")
    }
    scripts.load { [weak self] in
      guard let self else { return }
      guard !hasCleanStart || backlog.hasOverflowed else { return lease.renew() }
      takePresenceBack()
    }
  }

  /// Removes all that Redis has of this node, then begins with a fresh lease.
  private func takePresenceBack() {
    sweeper.sweep(own: node) { [weak self] isComplete in
      guard let self else { return }
      guard isComplete else { return giveUpTakingBack() }
      hasCleanStart = true
      if backlog.hasOverflowed {
        _ = backlog.takeAll()
        mustAssert = true
      }
      lease.startOver()
      lease.renew()
    }
  }

  /// The link's next opening comes here again. When it is failing by itself, it says why in this tick.
  private func giveUpTakingBack() {
    let reason = sweeper.refusal ?? "taking back old presence broke off"
    loop.after(milliseconds: 0) { [weak self] in if self?.isAvailable == false { self?.commands.fail(reason) } }
  }

  private func commandsClosed() {
    lease.pause()
    isAvailable = false
    probe.reset()
    // Whatever silenced this connection may have silenced the other one, which nobody probes now.
    subscriber.ping()
    say(lost: true)
  }

  private func renewed(_ standing: LeaseKeeper.Standing, expired: [[UInt8]], leaving: [[UInt8]]) {
    guard !isStopping else { return }
    let isNew = !isAvailable
    if isNew, backlog.hasOverflowed { return takePresenceBack() }
    let outage = loop.now - renewedAt
    if outage >= UInt64(RedisLimits.outageMilliseconds + RedisLimits.renewalMilliseconds) * 1_000_000 {
      trustsLeasesAt = loop.now + UInt64(RedisLimits.returnMilliseconds) * 1_000_000
    }
    renewedAt = loop.now
    // After an outage the others' leases have run out like ours: they are given time to come back.
    let expired = loop.now >= trustsLeasesAt ? expired : []
    expiredNodes = Set(expired)
    leavingNodes = Set(leaving)
    isAvailable = true
    if isNew {
      commands.confirm()
      replay()
      resendUncertain()
      lookAtSubscription()
    }
    if standing != .held || mustAssert { forgetPresence(announce: standing != .forgotten) }
    if isNew { say(lost: false) }
    for dead in expired { sweeper.sweep(dead: dead) }
  }

  /// Tells Redis what happened while it was away, in the order in which it happened.
  private func replay() {
    for entry in backlog.takeAll() {
      switch entry {
      case .connect(let member): connect(member)
      case .disconnect(let member): disconnect(member)
      case .leave(let room, let member): leave(room: room, member)
      }
    }
  }

  private func forgetPresence(announce: Bool) {
    mustAssert = false
    listedRooms = []
    log(.info, "asserting this node's presence in Redis again")
    listener?.presenceLost(announce: announce)
  }

  /// Keeps what Redis could not be told.
  func remember(_ entry: Backlog.Entry) { if !isStopping { backlog.append(entry) } }

  /// Undoes an entering that failed with the connection, though Redis may have done it.
  func undoEntry(room: [UInt8], _ member: Member) {
    guard !isAvailable else { return }
    // The undoing may hit a member that was there before and is asserted again.
    mustAssert = true
    remember(.leave(room: room, member))
  }

  /// Whether a node's lease was found run out: what it left behind must not show.
  func isDead(_ node: [UInt8]) -> Bool { expiredNodes.contains(node) }

  // MARK: Subscriber link

  private func subscriberOpened() {
    audit = SubscriptionAudit()
    sendSubscriptions()
    // Answered behind all confirmations.
    audit.begin()
    subscriber.ping()
  }

  private func subscriberClosed() {
    isSubscribed = false
    isConfirmed = false
    probe.reset()
    listener?.subscriptionsLost(where: nil)
    let waiters = subscriptions.connectionLost() + patterns.connectionLost()
    say(lost: true)
    for waiter in waiters { waiter(.failure(.unavailable)) }
  }

  private func sendSubscriptions() {
    guard subscriptions.hasCommands || patterns.hasCommands, subscriber.phase == .open else { return }
    for command in subscriptions.takeCommands(limit: RedisLimits.channelsPerCommandMax) {
      audit.ask(channels: command.channels.count)
      tell(command.verb == .subscribe ? "SUBSCRIBE" : "UNSUBSCRIBE", command.channels)
    }
    for command in patterns.takeCommands(limit: RedisLimits.channelsPerCommandMax) {
      tell(command.verb == .subscribe ? "PSUBSCRIBE" : "PUNSUBSCRIBE", command.channels)
    }
  }

  private func tell(_ verb: StaticString, _ channels: [[UInt8]]) {
    subscriber.tell { writer in
      writer.command(parts: 1 + channels.count)
      writer.bulk(verb)
      for channel in channels { writer.bulk(channel) }
    }
  }

  /// Starts hearing a channel; fails at once while nothing can be subscribed.
  func hear(_ channel: [UInt8], _ reply: @escaping BrokerReply<Void>) {
    guard isSubscribed else { return reply(.failure(.unavailable)) }
    if subscriptions.want(channel, reply) { return reply(.success(())) }
    subscriber.wake()
  }

  /// Starts hearing a channel as soon as that is possible.
  func hearEventually(_ channel: [UInt8]) {
    if !subscriptions.want(channel, nil) { subscriber.wake() }
  }

  func stopHearing(_ channel: [UInt8]) {
    for waiter in subscriptions.giveUp(channel) { waiter(.failure(.unavailable)) }
    subscriber.wake()
  }

  private func pushed(_ reply: Reply) {
    if reply.isError {
      refused(reply)
    } else if reply.count == 3, reply[0].begins(with: "message") {
      deliver(reply[1], reply[2])
    } else if reply.count == 4, reply[0].begins(with: "pmessage") {
      deliverMatched(reply[2], reply[3])
    } else if reply.count == 3 {
      confirmed(reply)
    } else if !isConfirmed {
      // An array with `pong`, or a plain PONG, which says that the connection is not subscribed to anything.
      openingAnswered()
    }
  }

  /// Takes what answers a change of subscriptions: its name, the channel or pattern, and how many there are now.
  private func confirmed(_ reply: Reply) {
    let (name, count) = (reply[1].copy, reply[2].integer)
    if reply[0].begins(with: "subscribe") {
      guard isAsAsked(name, subscribed: true, count: count) else { return }
      for waiter in subscriptions.confirmed(name) { waiter(.success(())) }
    } else if reply[0].begins(with: "unsubscribe") {
      _ = isAsAsked(name, subscribed: false, count: count)
    } else {
      let isSubscribe = reply[0].begins(with: "psubscribe")
      guard audit.confirmPattern(subscribed: isSubscribe, count: count) else { return replaceUnsound(count) }
      if isSubscribe { for waiter in patterns.confirmed(name) { waiter(.success(())) } }
    }
  }

  private func openingAnswered() {
    guard audit.opened() else { return replaceSubscriber("it did not confirm all that it was asked for") }
    isConfirmed = true
    lookAtSubscription()
  }

  /// Notes that something published was heard: the subscriptions stand.
  func subscriptionProved() {
    guard !isSubscribed else { return }
    isSubscribed = true
    subscriber.confirm()
    say(lost: false)
  }

  // MARK: Outages

  private func say(lost: Bool) {
    guard !isStopping, lost != isLost, lost || isUp else { return }
    isLost = lost
    if lost {
      listener?.brokerLost()
    } else {
      log(.info, "Redis at \(commands.endpoint) is back")
      listener?.brokerRestored(where: nil)
    }
  }
}

@available(*, unavailable)
extension RedisBroker: Sendable {}
