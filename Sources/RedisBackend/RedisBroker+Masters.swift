import LoopCore
import Realtime

// How the broker follows its masters: connections that come and go, slots that move, channels that go with them.

extension RedisBroker {
  /// Who holds the leases: it decides who lives.
  private var leaseShard: Shard? { masters.shard(of: keys.leases) }
  var isLeaseMasterServing: Bool { leaseShard?.isServing == true }

  /// The rooms of a shard; nil, for all, without a cluster.
  private func rooms(of shard: Shard) -> RoomFilter? {
    guard masters.isSharded else { return nil }
    return { [masters, keys] room in masters.shard(of: keys.roomChannel(room)) === shard }
  }

  // MARK: Command links

  func opened(_ shard: Shard) {
    // After a failover the demoted master would still pass on what the new one publishes, until it does not.
    if shard.subscriber.phase == .open, shard.subscriber.endpoint != shard.commands.endpoint {
      shard.subscriber.fail("the master is now at \(shard.commands.endpoint)")
    }
    identify(shard)
    scripts.load(into: shard.commands) { [weak self] in self?.served(shard) }
  }

  private func served(_ shard: Shard) {
    guard !isStopping else { return }
    shard.isServing = true
    shard.look()
    // Nobody who does not say which process it is can be known to be the same.
    let isOther = shard.hasServed && (shard.run == nil || shard.run != shard.servedRun)
    if shard.isSuccessor || isOther {
      if masters.isSharded { forgot(shard) } else { (mustAssert, shard.mustAudit) = (true, true) }
    }
    beginLeaderEpoch(of: shard)
    // In a reign of its own nothing can stand where something else stood.
    if isOther, leaderEpochKey.isEmpty { shard.mustFreezePublishes = true }
    (shard.servedRun, shard.hasServed, shard.isSuccessor) = (shard.run, true, false)
    if masters.isSharded { shard.commands.confirm() }
    if shard.mustFreezePublishes { hold(shard) }
    if !hasCleanStart, leaseShard?.isServing == true {
      takePresenceBack()
    } else if hasCleanStart, leaseShard === shard {
      lease.renew()
    }
    guard masters.isSharded, isAvailable else { return }
    if shard.isPublishFrozen { listener?.doubted(where: rooms(of: shard)) }
    replay()
    resendUncertain()
    if mustAssert { forgetPresence() }
    auditPresence()
    settle(shard)
  }

  /// Publishes nothing for a moment at a master that took the place of another. Its first message would else stand where
  /// another stood for those who heard what it lacks, before one of their nodes has compared and a new epoch begun.
  private func hold(_ shard: Shard) {
    shard.mustFreezePublishes = false
    shard.isPublishFrozen = true
    let generation = shard.commands.generation
    loop.after(milliseconds: RedisLimits.publishFreezeMilliseconds) { [weak self, weak shard] in
      guard let self, let shard, shard.isPublishFrozen, shard.commands.generation == generation else { return }
      shard.isPublishFrozen = false
      resendUncertain()
      settle(shard)
    }
  }

  func commandsClosed(_ shard: Shard) {
    shard.isPublishFrozen = false
    shard.mustCompare = true
    if leaseShard === shard || !masters.isSharded {
      lease.pause()
      isLeaseHeld = false
    }
    // A master without slots matters to nobody.
    guard shard.slotCount > 0 else { return }
    if masters.areDown { isAvailable = false }
    say(lost: true)
    watcher?.refresh()
  }

  func leaseRefused() {
    guard masters.isSharded else {
      masters.shards.first?.commands.fail("the lease could not be renewed")
      return
    }
    loop.after(milliseconds: RedisLimits.mapMilliseconds) { [weak self] in
      guard let self, !isStopping, leaseShard?.isServing == true else { return }
      lease.renew()
    }
  }

  /// Old presence could not be taken back, so the lease cannot be taken.
  func presenceIsStuck() {
    let refusal = sweeper.refusal
    guard masters.isSharded else {
      // The link's next opening comes here again.
      masters.shards.first?.commands.fail(refusal ?? "taking back old presence broke off")
      return
    }
    if let refusal { leaseShard?.commands.fail(refusal) }
    loop.after(milliseconds: RedisLimits.mapMilliseconds) { [weak self] in
      guard let self, !isStopping, leaseShard?.isServing == true, !hasCleanStart else { return }
      takePresenceBack()
    }
  }

  /// Undoes an entering that failed with the connection, though Redis may have done it.
  func undoEntry(room: [UInt8], _ member: Member) {
    guard masters.shard(of: keys.roomChannel(room))?.isServing != true else { return }
    // The undoing may hit a member that was there before and is asserted again.
    mustAssert = true
    remember(.leave(room: room, member))
  }

  // MARK: Subscriber links

  func subscriberClosed(_ shard: Shard) {
    guard shard.slotCount > 0 else { return }
    listener?.subscriptionsLost(where: rooms(of: shard))
    say(lost: true)
    watcher?.refresh()
  }

  /// Has the rooms of a master compared that is back.
  func settle(_ shard: Shard) {
    guard !isStopping, isAvailable, shard.isUp else { return }
    if masters.isSharded, shard.mustCompare {
      shard.mustCompare = false
      listener?.brokerRestored(where: rooms(of: shard))
    }
    say(lost: false)
  }

  // MARK: Channels

  /// Whether the master that holds a channel takes commands.
  func isServed(_ channel: [UInt8]) -> Bool { masters.shard(of: channel)?.isServing == true }

  /// Starts hearing a channel; fails at once while nothing can be subscribed.
  func hear(_ channel: [UInt8], _ reply: @escaping BrokerReply<Void>) {
    guard let shard = masters.shard(of: channel), shard.isSubscribed else { return reply(.failure(.unavailable)) }
    if shard.want(channel, reply) { reply(.success(())) }
  }

  /// Starts hearing a channel as soon as that is possible.
  func hearEventually(_ channel: [UInt8]) {
    guard let shard = masters.shard(of: channel) else {
      unassigned.insert(channel)
      return
    }
    _ = shard.want(channel, nil)
  }

  func stopHearing(_ channel: [UInt8]) {
    unassigned.remove(channel)
    guard let shard = masters.shard(of: channel) else { return }
    for waiter in shard.giveUp(channel) { waiter(.failure(.unavailable)) }
  }

  /// Hears what was wanted before it was known where.
  func subscribeUnassigned() {
    for channel in unassigned {
      guard let shard = masters.shard(of: channel) else { continue }
      unassigned.remove(channel)
      _ = shard.want(channel, nil)
    }
  }

  // MARK: Slots

  /// Notes that a slot's channels are not heard any more where they were: it has moved.
  func lost(slot: Int) {
    listener?.subscriptionsLost(where: rooms(in: [slot]))
    watcher?.refresh()
  }

  private func rooms(in slots: Set<Int>) -> RoomFilter {
    { [keys] room in slots.contains(HashSlot.of(keys.roomChannel(room))) }
  }

  /// Follows a map of the cluster.
  func adopt(_ map: ClusterMap) {
    var (moved, ended) = masters.adopt(map)
    // Each shard has a probe of its own.
    moved.removeAll { keys.isProbe($0.0.channel) }
    for shard in masters.shards where shard.hasDroppedChannels {
      moved += shard.takeDropped().filter { !keys.isProbe($0.channel) }.map { ($0, shard) }
    }
    resubscribe(moved)
    for shard in ended {
      for waiter in shard.stop() { waiter(.failure(.unavailable)) }
    }
    for shard in masters.shards where shard.mustFreezePublishes && shard.isServing {
      hold(shard)
      listener?.doubted(where: rooms(of: shard))
    }
    assignProbes()
    subscribeUnassigned()
    say(lost: false)
    // Whoever is away may be replaced.
    if !masters.areUp { watcher?.refresh() }
  }

  /// Hears channels where their slots are now, then has their rooms compared.
  private func resubscribe(_ channels: [(Subscriptions<BrokerReply<Void>>.Released, Shard)]) {
    guard !channels.isEmpty else { return }
    let isAffected = rooms(in: Set(channels.map { HashSlot.of($0.0.channel) }))
    listener?.subscriptionsLost(where: isAffected)
    var left = channels.count
    for (released, shard) in channels {
      shard.adopt(released) { [weak self] _ in
        left -= 1
        // After a connection that was lost meanwhile, this is said once more when it is back.
        if left == 0 { self?.listener?.brokerRestored(where: isAffected) }
      }
    }
  }
}
