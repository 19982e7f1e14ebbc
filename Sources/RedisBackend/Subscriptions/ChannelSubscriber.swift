import LoopCore
import Realtime

/// Subscribes to channels at the masters that hold them, and moves subscriptions when slots move.
final class ChannelSubscriber {
  /// Called when the map of the cluster may have changed.
  var mapIsStale: () -> Void = {}
  /// Channels that were asked for before it was known which master holds them.
  private var unassigned: Set<[UInt8]> = []
  /// Whether it was logged that Redis refuses patterns.
  private var isRefusalLogged = false
  private let context: BrokerContext

  init(_ context: BrokerContext) {
    self.context = context
    unassigned = [context.keys.everyone, context.keys.nodeChannel(context.node)]
  }

  // MARK: Channels

  /// Subscribes to a channel; fails at once while that is not possible.
  func subscribe(_ channel: [UInt8], _ reply: @escaping BrokerReply<Void>) {
    guard let shard = context.shards.shard(of: channel), shard.isSubscribed else {
      return reply(.failure(.unavailable))
    }
    if shard.want(channel, reply) { reply(.success(())) }
  }

  /// Subscribes to a channel as soon as that is possible.
  func subscribeEventually(_ channel: [UInt8]) {
    guard let shard = context.shards.shard(of: channel) else {
      unassigned.insert(channel)
      return
    }
    _ = shard.want(channel, nil)
  }

  func unsubscribe(_ channel: [UInt8]) {
    unassigned.remove(channel)
    guard let shard = context.shards.shard(of: channel) else { return }
    for waiter in shard.giveUp(channel) { waiter(.failure(.unavailable)) }
  }

  /// Subscribes to the channels whose master is known now, and gives every master its health check.
  func assign() {
    assignProbes()
    for channel in unassigned {
      guard let shard = context.shards.shard(of: channel) else { continue }
      unassigned.remove(channel)
      _ = shard.want(channel, nil)
    }
  }

  // MARK: Patterns

  // Redis compares every PUBLISH with every pattern of every node, so a node has few of them; one serves all of its members.

  /// Subscribes to the rooms whose name begins with a prefix. The sharded channels of a cluster have no patterns.
  func subscribe(prefix: [UInt8], _ reply: @escaping BrokerReply<Void>) {
    guard !context.shards.isSharded else { return reply(.failure(.unsupported)) }
    guard let shard = context.shards.current.first, shard.isSubscribed else { return reply(.failure(.unavailable)) }
    if shard.want(pattern: context.keys.roomPattern(prefix), reply) { reply(.success(())) }
  }

  func unsubscribe(prefix: [UInt8]) {
    guard !context.shards.isSharded, let shard = context.shards.current.first else { return }
    for waiter in shard.giveUp(pattern: context.keys.roomPattern(prefix)) { waiter(.failure(.unavailable)) }
  }

  /// Logs once that wildcards cannot be joined.
  func patternsRefused(_ error: Reply) {
    if !isRefusalLogged {
      context.log(
        .warning, "Redis refused PSUBSCRIBE, so wildcards cannot be joined: give its user allchannels (\(error.text))")
    }
    isRefusalLogged = true
  }

  // MARK: Slots

  /// Notes that the channels of a slot are not subscribed any more where they were: the slot has moved.
  func lost(slot: Int) {
    context.listener?.subscriptionsLost(where: context.rooms(in: [slot]))
    mapIsStale()
  }

  /// Subscribes to channels at the masters that hold them now, then has their rooms compared.
  func move(_ channels: [(Subscriptions<BrokerReply<Void>>.Released, Shard)]) {
    // Each shard has a probe of its own.
    var moved = channels.filter { !context.keys.isProbe($0.0.channel) }
    for shard in context.shards.current where shard.hasDroppedChannels {
      moved += shard.takeDropped().filter { !context.keys.isProbe($0.channel) }.map { ($0, shard) }
    }
    guard !moved.isEmpty else { return }
    let isAffected = context.rooms(in: Set(moved.map { HashSlot.of($0.0.channel) }))
    context.listener?.subscriptionsLost(where: isAffected)
    let all = WaitGroup(moved.count) { [weak context] _ in
      // After a connection that was lost meanwhile, this is reported once more when it is back.
      context?.listener?.brokerRestored(where: isAffected)
    }
    for (released, shard) in moved { shard.adopt(released) { _ in all.one(true) } }
  }

  // MARK: Health checks

  /// Checks the subscriptions from now on.
  func watch() {
    context.loop.after(milliseconds: RedisLimits.watchMilliseconds) { [weak self] in
      guard let self, !context.isStopping else { return }
      for shard in context.shards.current { shard.look() }
      watch()
    }
  }

  /// Gives every master a channel in one of its slots, on which this node publishes to itself.
  private func assignProbes() {
    let (shards, keys, node) = (context.shards, context.keys, context.node)
    for shard in shards.current {
      if let channel = shard.probeChannel, shards.shard(of: channel) === shard { continue }
      let candidates = (0..<RedisLimits.probeCandidatesMax).lazy.map { keys.probeChannel(node, $0) }
      shard.listen(toProbe: candidates.first { shards.shard(of: $0) === shard })
    }
  }
}

@available(*, unavailable)
extension ChannelSubscriber: Sendable {}
