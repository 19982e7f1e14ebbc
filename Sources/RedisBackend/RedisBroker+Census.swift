import Realtime

// What is done when Redis has lost data: this node's members are asserted again, and those of nodes that died meanwhile,
// whom their own sweep would not find, are looked for.

extension RedisBroker {
  /// Notes that a master of a cluster has forgotten what it knew, or that another one stands in its place.
  func forgot(_ shard: Shard) {
    mustAssert = true
    shard.mustAudit = true
    scheduleCensus()
  }

  /// Notes that a master was flushed while everything stood.
  func flushed(_ shard: Shard) {
    log(.warning, "Redis at \(shard.commands.endpoint) has lost what it held")
    forgot(shard)
    renewSoon()
  }

  /// Has members of nodes looked for that nobody knows any more, once every living node has had time to renew its lease.
  func scheduleCensus() {
    lossAt = loop.now
    (censusTryAt, censusPause) = (0, RedisLimits.censusBackoffMilliseconds.lowerBound)
    loop.after(milliseconds: RedisLimits.returnMilliseconds) { [weak self] in self?.takeCensus() }
  }

  /// Whether leases tell who lives.
  private func isCensusDue(for loss: UInt64) -> Bool {
    let isQuiet = loop.now >= max(loss + UInt64(RedisLimits.returnMilliseconds) * 1_000_000, trustsLeasesAt)
    return lossAt == loss && isQuiet && isAvailable && isLeaseHeld && !isStopping && masters.areServing
  }

  /// Takes the census that is due, or leaves it to the next renewal.
  func takeCensus() {
    guard let loss = lossAt, loop.now >= censusTryAt, isCensusDue(for: loss), !census.isRunning else { return }
    let age = Int((loop.now - loss) / 1_000_000)
    census.run(
      lossMillisecondsAgo: age, mayBury: { [weak self] in self?.isCensusDue(for: loss) == true }
    ) { [weak self] outcome in
      guard let self, !isStopping else { return }
      switch outcome {
      case .postponed:
        censusTryAt = loop.now + UInt64(censusPause) * 1_000_000
        censusPause = min(censusPause * 2, RedisLimits.censusBackoffMilliseconds.upperBound)
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
