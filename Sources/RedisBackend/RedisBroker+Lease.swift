import Realtime

// Who lives: this node as Redis sees it, the others as their leases tell, and what Redis is told of presence afterwards.

extension RedisBroker {
  /// Takes the answer to a renewal: how the lease stands, whose has run out, and who has handed its members over.
  func renewed(_ standing: LeaseRenewer.Standing, expired: [[UInt8]], leaving: [[UInt8]]) {
    guard !isStopping else { return }
    let isNew = !isAvailable
    let outage = loop.now - renewedAt
    if outage >= UInt64(RedisLimits.outageMilliseconds + RedisLimits.renewalMilliseconds) * 1_000_000 {
      distrustLeases()
    }
    renewedAt = loop.now
    // After an outage the others' leases have run out like ours: they are given time to come back.
    let expired = loop.now >= trustsLeasesAt ? expired : []
    expiredNodes = Set(expired)
    leavingNodes = Set(leaving)
    isAvailable = true
    isLeaseHeld = true
    if isNew {
      if !masters.isSharded, let master = masters.shards.first {
        master.commands.confirm()
        if master.isPublishFrozen { listener?.doubted(where: nil) }
      }
      replay()
      resendUncertain()
    }
    if standing == .forgotten { scheduleOrphanScan() }
    if standing != .held || mustAssert { forgetPresence() }
    auditPresence()
    if isNew {
      for shard in masters.shards { settle(shard) }
      lookForOtherSchemas()
    }
    say(lost: false)
    for dead in expired { sweeper.sweep(dead: dead) }
    startOrphanScan()
    checkMaster()
  }

  /// Asks the sentinels, with every renewal, whether the master is still the one: their announcement may have been missed.
  private func checkMaster() {
    finder?.look()
    finder?.find { [weak self] found in if case .success(let endpoint) = found { self?.replaced(by: endpoint) } }
  }

  /// Leaves a master that was replaced: it may take commands for many seconds more, all of which will be lost.
  func replaced(by endpoint: RedisEndpoint) {
    guard !isStopping, let link = masters.shards.first?.commands, link.phase != .resolving, link.endpoint != endpoint
    else { return }
    link.fail("the sentinels have made \(endpoint) the master")
  }

  /// Takes nobody for dead until every living node has had time to renew its lease.
  func distrustLeases() {
    trustsLeasesAt = loop.now + UInt64(RedisLimits.returnMilliseconds) * 1_000_000
  }

  /// Removes all that Redis has of this node, then begins with a fresh lease.
  func takePresenceBack() {
    guard !isTakingBack else { return }
    isTakingBack = true
    claim.claim(at: loop.now) { [weak self] outcome in
      guard let self else { return }
      switch outcome {
      case .held: sweepOwn()
      case .taken:
        isTakingBack = false
        idIsTaken()
      case .failed:
        isTakingBack = false
        presenceIsStuck()
      }
    }
  }

  private func sweepOwn() {
    sweeper.sweep(own: node) { [weak self] isComplete in
      guard let self else { return }
      isTakingBack = false
      guard isComplete else { return presenceIsStuck() }
      hasCleanStart = true
      lease.startOver()
      lease.renew()
    }
  }

  /// Another process has this node's id: nothing is done under it, and clients are refused, until that process has ended or
  /// its lease has run out. Then this one begins anew.
  func idIsTaken() {
    guard !isStopping else { return }
    claim.lose(at: loop.now)
    (isAvailable, isLeaseHeld, hasCleanStart) = (false, false, false)
    // The other process has removed what this one had entered.
    mustAssert = true
    lease.pause()
    say(lost: true)
    guard !claim.isRetryDue else { return }
    claim.isRetryDue = true
    loop.after(milliseconds: RedisLimits.claimRetryMilliseconds) { [weak self] in
      self?.claim.isRetryDue = false
      guard let self, !isStopping, !hasCleanStart, isLeaseMasterServing else { return }
      takePresenceBack()
    }
  }

  /// Whether a node's lease was found run out: what it left behind must not show.
  func isDead(_ node: [UInt8]) -> Bool { expiredNodes.contains(node) }

  /// Renews the lease without waiting for its time.
  func renewSoon() { if isAvailable { lease.renewSoon() } }

  // MARK: Presence kept for later

  /// Tells Redis what happened while it was away, in the order in which it happened.
  func replay() {
    if backlog.hasOverflowed {
      // More happened than was kept: everything is looked at, once everybody is there.
      guard masters.areServing else { return }
      mustAssert = true
      for shard in masters.shards { shard.mustAudit = true }
    }
    for entry in backlog.takeAll() {
      switch entry {
      // Whoever has gone since is being taken out, or is in here once more.
      case .connect(let member): if isHere(member.name, in: nil) { connect(member) }
      case .disconnect(let member): disconnect(member)
      case .leave(let room, let member): leave(room: room, member)
      case .delist(let room): if !listedRooms.contains(room) { unlist(room) }
      }
    }
  }

  func forgetPresence() {
    mustAssert = false
    listedRooms = []
    log(.info, "asserting this node's presence in Redis again")
    listener?.presenceLost()
  }

  /// Keeps what Redis could not be told.
  func remember(_ entry: OfflineQueue.Entry) { if !isStopping { backlog.append(entry) } }
}
