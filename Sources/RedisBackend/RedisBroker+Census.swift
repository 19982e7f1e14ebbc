import Realtime

// What is done when Redis has lost data: this node's members are asserted again, and those of nodes that died meanwhile,
// whom their own sweep would not find, are looked for.

extension RedisBroker {
  /// Notes that a master of a cluster has forgotten what it knew, or that another one stands in its place.
  func forgot(_ shard: Shard) {
    mustAssert = true
    shard.mustAudit = true
    scheduleOrphanScan()
  }

  /// Notes that a master was flushed while everything stood.
  func flushed(_ shard: Shard) {
    log(.warning, "Redis at \(shard.commands.endpoint) has lost what it held")
    forgot(shard)
    renewSoon()
  }

  /// Has members of nodes looked for that nobody knows any more, once every living node has had time to renew its lease.
  func scheduleOrphanScan() {
    lossAt = loop.now
    (orphanScanTryAt, orphanScanPause) = (0, RedisLimits.orphanScanBackoffMilliseconds.lowerBound)
    loop.after(milliseconds: RedisLimits.returnMilliseconds) { [weak self] in self?.startOrphanScan() }
  }

  /// Whether leases tell who lives.
  private func isOrphanScanDue(for loss: UInt64) -> Bool {
    let isQuiet = loop.now >= max(loss + UInt64(RedisLimits.returnMilliseconds) * 1_000_000, trustsLeasesAt)
    return lossAt == loss && isQuiet && isAvailable && isLeaseHeld && !isStopping && masters.areServing
  }

  /// Takes the census that is due, or leaves it to the next renewal.
  func startOrphanScan() {
    guard let loss = lossAt, loop.now >= orphanScanTryAt, isOrphanScanDue(for: loss), !orphanScan.isRunning else {
      return
    }
    let age = Int((loop.now - loss) / 1_000_000)
    orphanScan.run(
      lossMillisecondsAgo: age, canTrustLeases: { [weak self] in self?.isOrphanScanDue(for: loss) == true }
    ) { [weak self] outcome in
      guard let self, !isStopping else { return }
      switch outcome {
      case .postponed:
        orphanScanTryAt = loop.now + UInt64(orphanScanPause) * 1_000_000
        orphanScanPause = min(orphanScanPause * 2, RedisLimits.orphanScanBackoffMilliseconds.upperBound)
        return
      case .refused(let reason):
        log(.warning, "members that forgotten nodes left in Redis may stay: \(reason)")
      case .done(let dead, let unlisted):
        expiredNodes.formUnion(dead)
        for node in dead { sweeper.sweep(dead: node) }
        if unlisted.contains(node) { auditEverything() }
      }
      // What was lost meanwhile is looked for once more.
      if lossAt == loss { lossAt = nil }
    }
  }

  /// Looks on every master who of this node's members in Redis is here.
  func auditEverything() {
    for shard in masters.shards { shard.mustAudit = true }
    auditPresence()
  }
}
