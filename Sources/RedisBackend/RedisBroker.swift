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
  let log: Log

  /// Whether the lease stands and commands are taken.
  public private(set) var isAvailable = false
  /// Whether every subscription stands.
  private(set) var isSubscribed = false
  /// Whether the listener was told that the broker is lost, and not yet that it is restored.
  private var isLost = false
  private var isStopping = false
  /// Whether Redis may know less of this node's presence than there is.
  private var mustAssert = false

  private var subscriptions = Subscriptions<BrokerReply<Void>>()
  var patterns = Subscriptions<BrokerReply<Void>>()
  /// Whether the log says already that Redis refuses patterns.
  var hasToldRefusal = false
  private var backlog = Backlog()
  private var expiredNodes: Set<[UInt8]> = []
  var metaRefresh = RefreshLedger(milliseconds: RedisLimits.metaRefreshMilliseconds)
  var logRefresh = RefreshLedger(milliseconds: RedisLimits.logRefreshMilliseconds)
  /// Rooms known to stand in the node's list of rooms.
  var listedRooms: Set<[UInt8]> = []

  /// - Parameters:
  ///   - nodeID: this node's id; connections' names are the id, a dash, and something without a dash.
  ///   - log: takes one line per change of state; it must not call back.
  public init(
    loop: EventLoop, resolver: Resolver, configuration: RedisConfiguration, nodeID: [UInt8], log: @escaping Log
  ) {
    self.loop = loop
    self.configuration = configuration
    self.log = log
    node = nodeID
    keys = RedisKeys(prefix: configuration.prefix)
    let name = RedisBroker.clientName(nodeID)
    commands = RedisLink(
      loop: loop, resolver: resolver, configuration: configuration, name: name + "-commands", isSubscriber: false,
      log: log)
    subscriber = RedisLink(
      loop: loop, resolver: resolver, configuration: configuration, name: name + "-subscriber", isSubscriber: true,
      log: log)
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
    commands.opened = { [weak self] in self?.commandsOpened() }
    commands.closed = { [weak self] in self?.commandsClosed() }
    subscriber.opened = { [weak self] in self?.subscriberOpened() }
    subscriber.closed = { [weak self] in self?.subscriberClosed() }
    subscriber.received = { [weak self] in self?.pushed($0) }
    lease.renewed = { [weak self] in self?.renewed($0, expired: $1) }
    lease.refused = { [weak self] in self?.commands.fail("the lease could not be renewed") }
    sweeper.swept = { [weak self] in self?.expiredNodes.remove($0) }
    _ = subscriptions.want(keys.everyone, nil)
  }

  /// Gives memory back after a crowd has left: dictionaries do not shrink by themselves.
  public func shrink() {
    subscriptions.shrink()
    patterns.shrink()
    metaRefresh.shrink()
    logRefresh.shrink()
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
  }

  public func stop(_ reply: @escaping () -> Void) {
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
    sweeper.sweep(own: node) { _ in finish() }
  }

  /// Closes both connections without a word to Redis, as a crash does.
  func abandon() {
    isStopping = true
    isAvailable = false
    isSubscribed = false
    lease.pause()
    commands.stop()
    subscriber.stop()
    for waiter in subscriptions.connectionLost() + patterns.connectionLost() { waiter(.failure(.unavailable)) }
  }

  public func tickEnds() {
    sendSubscriptions()
    commands.flush()
    subscriber.flush()
  }

  // MARK: Command link

  /// Whether members that an earlier process with this id may have left were taken back.
  private var hasCleanStart = false

  private func commandsOpened() {
    scripts.load { [weak self] in
      guard let self else { return }
      guard !hasCleanStart || backlog.hasOverflowed else { return lease.renew() }
      takePresenceBack()
    }
  }

  /// Removes all that Redis has of this node, then begins with a fresh lease.
  private func takePresenceBack() {
    sweeper.sweep(own: node) { [weak self] isComplete in
      // An incomplete sweep means a failing link, whose next opening comes here again.
      guard let self, isComplete else { return }
      hasCleanStart = true
      if backlog.hasOverflowed {
        _ = backlog.takeAll()
        mustAssert = true
      }
      lease.startOver()
      lease.renew()
    }
  }

  private func commandsClosed() {
    lease.pause()
    isAvailable = false
    say(lost: true)
  }

  private func renewed(_ standing: LeaseKeeper.Standing, expired: [[UInt8]]) {
    guard !isStopping else { return }
    let isNew = !isAvailable
    if isNew, backlog.hasOverflowed { return takePresenceBack() }
    expiredNodes = Set(expired)
    isAvailable = true
    if isNew {
      commands.confirm()
      replay()
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
    sendSubscriptions()
    // Answered behind all confirmations.
    subscriber.ping()
  }

  private func subscriberClosed() {
    isSubscribed = false
    let waiters = subscriptions.connectionLost() + patterns.connectionLost()
    say(lost: true)
    for waiter in waiters { waiter(.failure(.unavailable)) }
  }

  private func sendSubscriptions() {
    guard subscriptions.hasCommands || patterns.hasCommands, subscriber.phase == .open else { return }
    for command in subscriptions.takeCommands(limit: RedisLimits.channelsPerCommandMax) {
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
    } else if reply.count == 3, reply[0].begins(with: "subscribe") {
      for waiter in subscriptions.confirmed(reply[1].copy) { waiter(.success(())) }
    } else if reply.count == 4, reply[0].begins(with: "pmessage") {
      deliverMatched(reply[2], reply[3])
    } else if reply.count == 3, reply[0].begins(with: "psubscribe") {
      for waiter in patterns.confirmed(reply[1].copy) { waiter(.success(())) }
    } else if reply.count == 2, reply[0].begins(with: "pong"), !isSubscribed {
      isSubscribed = true
      subscriber.confirm()
      say(lost: false)
    }
  }

  // MARK: Outages

  private func say(lost: Bool) {
    guard !isStopping, lost != isLost, lost || isUp else { return }
    isLost = lost
    if lost {
      listener?.brokerLost()
    } else {
      log(.info, "Redis at \(configuration.endpoint) is back")
      listener?.brokerRestored()
    }
  }
}

@available(*, unavailable)
extension RedisBroker: Sendable {}
