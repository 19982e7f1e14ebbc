import LoopCore
import Realtime

/// One master as a node uses it: a connection for commands, and one that is subscribed, with its channels.
/// Without a cluster there is one. Confined to the loop that created it.
final class Shard {
  let commands: RedisLink
  let subscriber: RedisLink
  /// Whether channels are sharded: subscribed to with SSUBSCRIBE, one per command, for a command's channels must share a slot.
  let isSharded: Bool
  let keys: RedisKeys

  /// Whether its scripts are loaded and commands are taken.
  private(set) var isServing = false
  /// Whether every subscription is active, and something published has arrived through them.
  private(set) var isSubscribed = false
  /// Whether Redis has confirmed every subscription on this connection.
  private(set) var isConfirmed = false
  /// What follows from a change of the master.
  var failover: Failover
  /// The process that the command link has reached.
  private(set) var identity = Failover.Identity()
  /// The slots that it holds; everything without a cluster.
  var slotCount = 0
  /// Whether a redirection named it, and no map yet: it is not known whether a slot has moved to it, or all of a master's.
  var isUnmapped = false
  /// Whether a migration sent a command here since the last map.
  var isVisited = false
  /// Whether the server has ended a subscription, or refused one because the slot has moved.
  private(set) var hasDroppedChannels = false
  /// How often the subscribed connection was replaced because it brought nothing, or not all that it should.
  var subscriptionStallsTotal: UInt64 = 0

  /// The channel of this node's subscription health check.
  var probeChannel: [UInt8]?
  /// Whether this node's mark was written there.
  var isMarked = false
  var probe = SubscriptionProbe(first: .random(in: 0..<1 << 48))
  var audit = SubscriptionAudit()
  private var subscriptions = Subscriptions<BrokerReply<Void>>()
  /// Patterns of channels; sharded channels have none.
  private var patterns = Subscriptions<BrokerReply<Void>>()
  /// Channels of a cluster that were asked to end: the server has ended what else ends.
  private var ending: Set<[UInt8]> = []
  /// What follows when a connection is opened, lost, or back.
  weak var coordinator: FailoverCoordinator?
  /// Takes what is published.
  weak var receiver: MessageReceiver?
  /// Takes what the server has dropped or refused.
  weak var channels: ChannelSubscriber?

  init(commands: RedisLink, subscriber: RedisLink, mode: Failover.Mode, keys: RedisKeys) {
    self.commands = commands
    self.subscriber = subscriber
    self.keys = keys
    isSharded = mode == .cluster
    failover = Failover(mode)
    commands.opened = { [weak self] in if let self { coordinator?.opened(self) } }
    commands.closed = { [weak self] in self?.commandsClosed() }
    subscriber.opened = { [weak self] in self?.subscriberOpened() }
    subscriber.closed = { [weak self] in self?.subscriberClosed() }
    subscriber.received = { [weak self] in self?.pushed($0) }
  }

  var isUp: Bool { isServing && isSubscribed && !isPublishFrozen }
  /// Whether nothing is published for now: every node first compares what it has delivered with what this master has.
  var isPublishFrozen: Bool { failover.isPublishFrozen }
  /// What marks in a cluster the process that a message was sent to; empty when that is not known.
  var masterTag: [UInt8] { failover.masterTag }

  func start() {
    commands.start()
    subscriber.start()
  }

  /// Closes both connections. Returns those that waited for a subscription.
  func stop() -> [BrokerReply<Void>] {
    isServing = false
    failover.disconnected()
    (isSubscribed, isConfirmed) = (false, false)
    probeChannel = nil
    commands.stop()
    subscriber.stop()
    return subscriptions.connectionLost() + patterns.connectionLost()
  }

  /// Gives memory back after a crowd has left.
  func shrink() {
    subscriptions.shrink()
    patterns.shrink()
    commands.shrink()
    subscriber.shrink()
  }

  /// Sends what this tick has gathered.
  func flush() {
    sendSubscriptions()
    commands.flush()
    subscriber.flush()
  }

  // MARK: Channels

  /// Wants a channel. Returns true when it is active already; else the waiter is kept.
  func want(_ channel: [UInt8], _ waiter: BrokerReply<Void>?) -> Bool {
    if subscriptions.want(channel, waiter) { return true }
    subscriber.wake()
    return false
  }

  /// Gives a channel up. Returns those that still waited for it.
  func giveUp(_ channel: [UInt8]) -> [BrokerReply<Void>] {
    let waiters = subscriptions.giveUp(channel)
    subscriber.wake()
    return waiters
  }

  /// Wants the channels that match a pattern. Returns true when they are active already; else the waiter is kept.
  func want(pattern: [UInt8], _ waiter: @escaping BrokerReply<Void>) -> Bool {
    if patterns.want(pattern, waiter) { return true }
    subscriber.wake()
    return false
  }

  /// Gives a pattern up. Returns those that still waited for it.
  func giveUp(pattern: [UInt8]) -> [BrokerReply<Void>] {
    let waiters = patterns.giveUp(pattern)
    subscriber.wake()
    return waiters
  }

  /// Takes out the channels that `belongs` refuses: another master has them now.
  func release(unless belongs: ([UInt8]) -> Bool) -> [Subscriptions<BrokerReply<Void>>.Released] {
    subscriptions.release(unless: belongs)
  }

  /// Takes a channel over from another shard. `waiter` is called when it is active, or when the connection was lost first.
  func adopt(_ released: Subscriptions<BrokerReply<Void>>.Released, _ waiter: @escaping BrokerReply<Void>) {
    subscriptions.adopt(released, waiter)
    subscriber.wake()
  }

  /// Takes out the channels that the server does not hold though they were asked for, so that they can be asked for again.
  func takeDropped() -> [Subscriptions<BrokerReply<Void>>.Released] {
    hasDroppedChannels = false
    return subscriptions.takeDropped()
  }

  private func sendSubscriptions() {
    guard subscriptions.hasCommands || patterns.hasCommands, subscriber.phase == .open else { return }
    let limit = isSharded ? 1 : RedisLimits.channelsPerCommandMax
    for command in subscriptions.takeCommands(limit: limit) {
      audit.ask(channels: command.channels.count)
      if isSharded, command.verb == .unsubscribe { ending.formUnion(command.channels) }
      sendSubscriber(command.verb, command.channels)
    }
    for command in patterns.takeCommands(limit: RedisLimits.channelsPerCommandMax) {
      send(command.verb == .subscribe ? "PSUBSCRIBE" : "PUNSUBSCRIBE", command.channels)
    }
  }

  func sendSubscriber(_ verb: Subscriptions<BrokerReply<Void>>.Command.Verb, _ channels: [[UInt8]]) {
    switch verb {
    case .subscribe: send(isSharded ? "SSUBSCRIBE" : "SUBSCRIBE", channels)
    case .unsubscribe: send(isSharded ? "SUNSUBSCRIBE" : "UNSUBSCRIBE", channels)
    }
  }

  private func send(_ verb: StaticString, _ channels: [[UInt8]]) {
    subscriber.send { writer in
      writer.command(parts: 1 + channels.count)
      writer.bulk(verb)
      for channel in channels { writer.bulk(channel) }
    }
  }

  // MARK: Command link

  /// Asks which process it is: a promoted replica, or a Redis that was restarted, is another.
  func identify() {
    identity = Failover.Identity()
    readInfo("server", "run_id:") { $0.identity.run = $1 }
    if !isSharded {
      readInfo("server", "redis_mode:") { shard, mode in
        if mode == Array("cluster".utf8) { shard.commands.fail(RedisLink.clusterAdvice) }
      }
    }
    if failover.mode == .sentinels { readInfo("replication", "master_replid:") { $0.identity.replicationID = $1 } }
  }

  /// Reads a line of INFO. Calls nothing after a refusal, and where there is no such line.
  private func readInfo(_ section: StaticString, _ key: String, _ take: @escaping (Shard, [UInt8]) -> Void) {
    let answer: PendingReplies.Handler = { [weak self] reply in
      guard let self, let reply, reply.kind == .string else { return }
      let line = reply.copy.split { $0 == 0x0D || $0 == 0x0A }.first { $0.starts(with: key.utf8) }
      if let line { take(self, Array(line.dropFirst(key.utf8.count))) }
    }
    commands.request(answer) { writer in
      writer.command(parts: 2)
      writer.bulk("INFO")
      writer.bulk(section)
    }
  }

  /// Notes that its scripts are loaded.
  func beginServing() {
    isServing = true
    look()
  }

  private func commandsClosed() {
    isServing = false
    failover.disconnected()
    probe.reset()
    // What silenced this connection may have silenced the other one, which has no health check now.
    subscriber.ping()
    coordinator?.commandsClosed(self)
  }

  // MARK: Subscriber link

  private func subscriberOpened() {
    audit = SubscriptionAudit()
    ending = []
    sendSubscriptions()
    // Answered after all confirmations.
    audit.begin()
    subscriber.ping()
  }

  private func subscriberClosed() {
    (isSubscribed, isConfirmed) = (false, false)
    failover.subscriptionsLost()
    probe.reset()
    let waiters = subscriptions.connectionLost() + patterns.connectionLost()
    coordinator?.subscriberClosed(self)
    for waiter in waiters { waiter(.failure(.unavailable)) }
  }

  /// Notes that something published has arrived: the subscriptions are active.
  func subscriptionProved() {
    guard !isSubscribed else { return }
    isSubscribed = true
    subscriber.confirm()
    coordinator?.masterIsReady(self)
  }

  private func pushed(_ reply: Reply) {
    if reply.isError {
      refused(reply)
    } else if reply.count == 3 {
      if reply[0].begins(with: isSharded ? "smessage" : "message") {
        receiver?.deliver(reply[1], reply[2], by: self)
      } else if reply[0].begins(with: "p") {
        patternChanged(reply[1].copy, isSubscribed: reply[0].begins(with: "psub"), reply[2].integer)
      } else {
        changed(reply[1].copy, isSubscribed: reply[0].begins(with: isSharded ? "ssub" : "sub"), reply[2].integer)
      }
    } else if reply.count == 4, reply[0].begins(with: "pmessage") {
      receiver?.deliverMatched(reply[2], reply[3], by: self)
    } else if !isConfirmed {
      // An array with `pong`, or a plain PONG when the connection is not subscribed to anything.
      openingAnswered()
    }
  }

  private func openingAnswered() {
    // A cluster may have refused channels whose slot has moved: they are asked for elsewhere.
    guard audit.opened() || probeChannel == nil || hasDroppedChannels else {
      return replaceSubscriber("it did not confirm all that it was asked for")
    }
    isConfirmed = true
    look()
  }

  private func patternChanged(_ pattern: [UInt8], isSubscribed: Bool, _ count: Int) {
    guard audit.confirmPattern(subscribed: isSubscribed, count: count) else { return replaceUnsound(count) }
    if isSubscribed { for waiter in patterns.confirmed(pattern) { waiter(.success(())) } }
  }

  /// Takes the confirmation of a subscription or of its end, with the number of those that stand.
  private func changed(_ channel: [UInt8], isSubscribed: Bool, _ count: Int) {
    if isSharded, !isSubscribed, ending.remove(channel) == nil {
      audit.drop()
      if subscriptions.dropped(byServer: channel) { serverDropped(slot: HashSlot.of(channel)) }
      return
    }
    guard isAsAsked(channel, subscribed: isSubscribed, count: count), isSubscribed else { return }
    for waiter in subscriptions.confirmed(channel) { waiter(.success(())) }
  }

  private func refused(_ reply: Reply) {
    if isSharded, let redirect = Redirect(reply, askedOf: subscriber.endpoint) {
      guard case .moved(let slot, _) = redirect else { return subscriber.fail(reply.text) }
      audit.refuse()
      subscriptions.refused { HashSlot.of($0) == slot }
      return serverDropped(slot: slot)
    }
    // A refused subscription makes the link useless, except for patterns that were never active: an ACL user who may
    // subscribe every channel of the prefix may still lack the right to patterns, which Redis compares letter by letter.
    guard reply.begins(with: "NOPERM"), let waiters = patterns.refused() else {
      return subscriber.fail(RedisLink.refusal(of: isSharded ? "SSUBSCRIBE" : "SUBSCRIBE", reply))
    }
    channels?.patternsRefused(reply)
    for waiter in waiters { waiter(.failure(.unsupported)) }
  }

  /// Notes that the channels of a slot are not subscribed here any more.
  private func serverDropped(slot: Int) {
    hasDroppedChannels = true
    channels?.lost(slot: slot)
  }
}

@available(*, unavailable)
extension Shard: Sendable {}
