import LoopCore
import Realtime

/// One master as a node uses it: a connection for commands, one that is subscribed, and the channels heard on it.
/// Without a cluster there is one. Confined to the loop that created it.
final class Shard {
  let commands: RedisLink
  let subscriber: RedisLink
  /// Whether channels are sharded: heard with SSUBSCRIBE, one per command, for a command's channels must share a slot.
  let isSharded: Bool

  /// Whether its scripts are loaded and commands are taken.
  var isServing = false
  /// Whether every subscription stands, and something published was heard through them.
  private(set) var isSubscribed = false
  /// Whether Redis has confirmed every subscription on this connection.
  private(set) var isConfirmed = false
  /// The channel on which the node hears itself.
  var probeChannel: [UInt8]?
  /// Whether this node's mark was written there.
  var isMarked = false
  var probe = SubscriptionProbe(first: .random(in: 0..<1 << 48))
  var audit = SubscriptionAudit()
  var isUp: Bool { isServing && isSubscribed && !isPublishFrozen }
  /// Whether a redirection named it, and no map yet: nobody knows whether a slot has moved to it, or all of a master's.
  var isUnmapped = false
  /// Whether it took the place of a master that may have acknowledged more than it knows, and was not yet told.
  var mustFreezePublishes = false
  /// Whether nothing is published yet: every node shall first compare what it knows with what this master does.
  var isPublishFrozen = false
  /// The slots that it holds; everything without a cluster.
  var slotCount = 0
  /// Whether a migration sent a command here since the last map.
  var isVisited = false
  /// Whether something may have been missed since its rooms were compared.
  var mustCompare = false
  /// Whether another master held its slots before, which may not have passed on the last that it was told.
  var isSuccessor = false
  /// What tells in a cluster which process was sent a message: the beginning of `servedRun`; empty when it is not known.
  private(set) var masterTag: [UInt8] = []
  /// Whether the server said that a channel is no longer, or not, its own.
  var hasDroppedChannels = false
  /// The process that the command link has reached; nil: not known.
  var run: [UInt8]?
  /// Behind sentinels the replication id of its data; nil: not known.
  var replicationID: [UInt8]?
  /// The process that served last; nil: not known.
  var servedRun: [UInt8]? {
    didSet { masterTag = isSharded ? MasterTag.of(run: servedRun) : [] }
  }
  /// Whether it served before, wherever it was.
  var hasServed = false
  /// Whether its master may hold members of this node that have left.
  var mustAudit = false

  private var subscriptions = Subscriptions<BrokerReply<Void>>()
  /// Patterns of channels; sharded channels have none.
  private var patterns = Subscriptions<BrokerReply<Void>>()
  /// Channels of a cluster that were asked to end: what else ends is the server's doing.
  private var ending: Set<[UInt8]> = []
  /// Told of what happens; owns the shard.
  private(set) weak var broker: RedisBroker?

  init(commands: RedisLink, subscriber: RedisLink, isSharded: Bool, broker: RedisBroker) {
    self.commands = commands
    self.subscriber = subscriber
    self.isSharded = isSharded
    self.broker = broker
    commands.opened = { [weak self] in if let self { self.broker?.opened(self) } }
    commands.closed = { [weak self] in self?.commandsClosed() }
    subscriber.opened = { [weak self] in self?.subscriberOpened() }
    subscriber.closed = { [weak self] in self?.subscriberClosed() }
    subscriber.received = { [weak self] in self?.pushed($0) }
  }

  func start() {
    commands.start()
    subscriber.start()
  }

  /// Closes both connections. Returns those who waited for a subscription.
  func stop() -> [BrokerReply<Void>] {
    (isServing, isPublishFrozen) = (false, false)
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

  /// Wants a channel. Returns true when it is heard already; else the waiter is kept.
  func want(_ channel: [UInt8], _ waiter: BrokerReply<Void>?) -> Bool {
    if subscriptions.want(channel, waiter) { return true }
    subscriber.wake()
    return false
  }

  /// Gives a channel up. Returns those who still waited for it.
  func giveUp(_ channel: [UInt8]) -> [BrokerReply<Void>] {
    let waiters = subscriptions.giveUp(channel)
    subscriber.wake()
    return waiters
  }

  /// Wants the channels that a pattern fits. Returns true when they are heard already; else the waiter is kept.
  func want(pattern: [UInt8], _ waiter: @escaping BrokerReply<Void>) -> Bool {
    if patterns.want(pattern, waiter) { return true }
    subscriber.wake()
    return false
  }

  /// Gives a pattern up. Returns those who still waited for it.
  func giveUp(pattern: [UInt8]) -> [BrokerReply<Void>] {
    let waiters = patterns.giveUp(pattern)
    subscriber.wake()
    return waiters
  }

  /// Takes out the channels that `belongs` refuses: they are another's now.
  func release(unless belongs: ([UInt8]) -> Bool) -> [Subscriptions<BrokerReply<Void>>.Released] {
    subscriptions.release(unless: belongs)
  }

  /// Takes a channel over from another shard. `waiter` is told when it is heard, or that the connection was lost first.
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
      tellSubscriber(command.verb, command.channels)
    }
    for command in patterns.takeCommands(limit: RedisLimits.channelsPerCommandMax) {
      tell(command.verb == .subscribe ? "PSUBSCRIBE" : "PUNSUBSCRIBE", command.channels)
    }
  }

  func tellSubscriber(_ verb: Subscriptions<BrokerReply<Void>>.Command.Verb, _ channels: [[UInt8]]) {
    switch verb {
    case .subscribe: tell(isSharded ? "SSUBSCRIBE" : "SUBSCRIBE", channels)
    case .unsubscribe: tell(isSharded ? "SUNSUBSCRIBE" : "UNSUBSCRIBE", channels)
    }
  }

  private func tell(_ verb: StaticString, _ channels: [[UInt8]]) {
    subscriber.tell { writer in
      writer.command(parts: 1 + channels.count)
      writer.bulk(verb)
      for channel in channels { writer.bulk(channel) }
    }
  }

  // MARK: Command link

  private func commandsClosed() {
    isServing = false
    probe.reset()
    // Whatever silenced this connection may have silenced the other one, which nobody probes now.
    subscriber.ping()
    broker?.commandsClosed(self)
  }

  // MARK: Subscriber link

  private func subscriberOpened() {
    audit = SubscriptionAudit()
    ending = []
    sendSubscriptions()
    // Answered behind all confirmations.
    audit.begin()
    subscriber.ping()
  }

  private func subscriberClosed() {
    (isSubscribed, isConfirmed) = (false, false)
    mustCompare = true
    probe.reset()
    let waiters = subscriptions.connectionLost() + patterns.connectionLost()
    broker?.subscriberClosed(self)
    for waiter in waiters { waiter(.failure(.unavailable)) }
  }

  /// Notes that something published was heard: the subscriptions stand.
  func subscriptionProved() {
    guard !isSubscribed else { return }
    isSubscribed = true
    subscriber.confirm()
    broker?.settle(self)
  }

  private func pushed(_ reply: Reply) {
    if reply.isError {
      refused(reply)
    } else if reply.count == 3 {
      if reply[0].begins(with: isSharded ? "smessage" : "message") {
        broker?.deliver(reply[1], reply[2], by: self)
      } else if reply[0].begins(with: "p") {
        patternChanged(reply[1].copy, isSubscribed: reply[0].begins(with: "psub"), reply[2].integer)
      } else {
        changed(reply[1].copy, isSubscribed: reply[0].begins(with: isSharded ? "ssub" : "sub"), reply[2].integer)
      }
    } else if reply.count == 4, reply[0].begins(with: "pmessage") {
      broker?.deliverMatched(reply[2], reply[3])
    } else if !isConfirmed {
      // An array with `pong`, or a plain PONG, which says that the connection is not subscribed to anything.
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
    // A refused subscription makes the link useless, except for patterns that were never heard: an ACL user who may
    // subscribe every channel of the prefix may still lack the right to patterns, which Redis compares letter by letter.
    guard reply.begins(with: "NOPERM"), let waiters = patterns.refused() else {
      return subscriber.fail(RedisLink.refusal(of: isSharded ? "SSUBSCRIBE" : "SUBSCRIBE", reply))
    }
    broker?.patternsRefused(reply)
    for waiter in waiters { waiter(.failure(.unsupported)) }
  }

  /// Notes that the channels of a slot are not heard here any more.
  private func serverDropped(slot: Int) {
    hasDroppedChannels = true
    broker?.lost(slot: slot)
  }
}

@available(*, unavailable)
extension Shard: Sendable {}
