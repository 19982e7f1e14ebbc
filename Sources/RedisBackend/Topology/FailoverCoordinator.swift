import LoopCore
import Realtime

/// Follows the masters: connections that come and go, slots that move, masters that are replaced. Carries out what `Failover`
/// decides, in one order.
final class FailoverCoordinator {
  private let epochs: RoomEpochs
  private let retries: RetrySender
  private let presence: PresenceWriter
  private let reconciler: PresenceReconciler
  private let membership: Membership
  private let orphans: OrphanScanScheduler
  private let channels: ChannelSubscriber
  private let discovery: MasterDiscovery
  private let schemas: SchemaCheck
  private let context: BrokerContext
  /// Called when one of the two connections to a master is lost.
  var connectionLost: (Shard) -> Void = { _ in }

  init(
    _ context: BrokerContext, epochs: RoomEpochs, retries: RetrySender, presence: PresenceWriter,
    reconciler: PresenceReconciler, membership: Membership, orphans: OrphanScanScheduler,
    channels: ChannelSubscriber, discovery: MasterDiscovery
  ) {
    self.context = context
    self.epochs = epochs
    self.retries = retries
    self.presence = presence
    self.reconciler = reconciler
    self.membership = membership
    self.orphans = orphans
    self.channels = channels
    self.discovery = discovery
    schemas = SchemaCheck(context)
    membership.renewed = { [weak self] in self?.leaseRenewed($0, expired: $1) }
    discovery.switched = { [weak self] in self?.replaced(by: $0) }
    discovery.mapFound = { [weak self] in self?.adopt($0) }
  }

  // MARK: Command links

  func opened(_ shard: Shard) {
    // After a failover the demoted master would still pass on what the new one publishes, until it does not.
    if shard.subscriber.phase == .open, shard.subscriber.endpoint != shard.commands.endpoint {
      shard.subscriber.fail("the master is now at \(shard.commands.endpoint)")
    }
    shard.identify()
    context.scripts.load(into: shard.commands) { [weak self] in self?.served(shard) }
  }

  private func served(_ shard: Shard) {
    guard !context.isStopping else { return }
    shard.beginServing()
    let actions = shard.failover.connected(shard.identity)
    noteLoss(actions)
    if actions.contains(.forgetEpochs) { epochs.beginLeaderEpoch(of: shard) }
    if context.shards.isSharded { shard.commands.confirm() }
    if actions.contains(.freezePublishes) { scheduleThaw(of: shard) }
    membership.begin(isLeaseMaster: context.leaseShard === shard)
    guard context.shards.isSharded, context.isAvailable else { return }
    if shard.isPublishFrozen { context.listener?.roomsUnverified(where: context.rooms(of: shard)) }
    presence.replay()
    retries.resend()
    if presence.mustReassert { presence.reassert() }
    reconciler.reconcile()
    masterIsReady(shard)
  }

  /// Notes what the loss of data requires, for the next renewal or at once.
  private func noteLoss(_ actions: Failover.Actions) {
    if actions.contains(.reassertPresence) { presence.requireReassertion() }
    if actions.contains(.scanOrphans) { orphans.schedule() }
  }

  /// Ends a publish freeze after its time. Without the freeze the first message would get the position of another one that
  /// other nodes have delivered, before one of them has compared and a new epoch has begun.
  private func scheduleThaw(of shard: Shard) {
    let generation = shard.commands.generation
    context.loop.after(milliseconds: RedisLimits.publishFreezeMilliseconds) { [weak self, weak shard] in
      guard let self, let shard, shard.isPublishFrozen, shard.commands.generation == generation else { return }
      shard.failover.freezeEnded()
      retries.resend()
      masterIsReady(shard)
    }
  }

  func commandsClosed(_ shard: Shard) {
    connectionLost(shard)
    if context.leaseShard === shard || !context.shards.isSharded {
      membership.pause()
      context.leaseLost()
    }
    // A master without slots is not needed.
    guard shard.slotCount > 0 else { return }
    if context.shards.areDown { context.becameUnavailable() }
    context.report(lost: true)
    discovery.refresh()
  }

  /// Notes that a master was flushed while its connections were open.
  func flushed(_ shard: Shard) {
    context.log(.warning, "Redis at \(shard.commands.endpoint) has lost what it held")
    noteLoss(shard.failover.canaryMissing())
    membership.renewSoon()
  }

  // MARK: Subscriber links

  func subscriberClosed(_ shard: Shard) {
    connectionLost(shard)
    guard shard.slotCount > 0 else { return }
    context.listener?.subscriptionsLost(where: context.rooms(of: shard))
    context.report(lost: true)
    discovery.refresh()
  }

  /// Has the rooms of a master compared when it is back, and reports the end of an outage.
  func masterIsReady(_ shard: Shard) {
    guard !context.isStopping, context.isAvailable, shard.isUp else { return }
    if context.shards.isSharded, shard.failover.takeComparison() {
      context.listener?.brokerRestored(where: context.rooms(of: shard))
    }
    context.report(lost: false)
  }

  // MARK: The lease

  /// Takes the answer to a renewal.
  private func leaseRenewed(_ status: LeaseRenewer.Status, expired: [[UInt8]]) {
    let isNew = !context.isAvailable
    context.leaseRenewed()
    if isNew {
      if !context.shards.isSharded, let master = context.shards.current.first {
        master.commands.confirm()
        if master.isPublishFrozen { context.listener?.roomsUnverified(where: nil) }
      }
      presence.replay()
      retries.resend()
    }
    noteLoss(Failover.renewed(status))
    if presence.mustReassert { presence.reassert() }
    reconciler.reconcile()
    if isNew {
      for shard in context.shards.current { masterIsReady(shard) }
      schemas.run()
    }
    context.report(lost: false)
    membership.sweep(expired)
    orphans.runIfDue()
    discovery.check()
  }

  // MARK: Other masters

  /// Leaves a master that was replaced: it may take commands for many seconds more, all of which will be lost.
  private func replaced(by endpoint: RedisEndpoint) {
    guard !context.isStopping, let link = context.shards.current.first?.commands, link.phase != .resolving,
      link.endpoint != endpoint
    else { return }
    link.fail("the sentinels have made \(endpoint) the master")
  }

  /// Follows a map of the cluster.
  private func adopt(_ map: ClusterMap) {
    let shards = context.shards
    let (moved, ended, successors) = shards.adopt(map)
    channels.move(moved)
    for shard in ended {
      for waiter in shard.stop() { waiter(.failure(.unavailable)) }
    }
    for shard in successors {
      let actions = shard.failover.mapChanged(isServing: shard.isServing)
      if actions.contains(.freezePublishes) { scheduleThaw(of: shard) }
      if actions.contains(.compareRooms) { context.listener?.roomsUnverified(where: context.rooms(of: shard)) }
    }
    channels.assign()
    context.report(lost: false)
    // A master that is away may be replaced.
    if !shards.areUp { discovery.refresh() }
  }
}

@available(*, unavailable)
extension FailoverCoordinator: Sendable {}
