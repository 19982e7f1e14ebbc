import Realtime

// What is done when Redis has lost data: this node's members are asserted again, and those of nodes that died meanwhile,
// whom their own sweep would not find, are looked for.

extension RedisBroker {
  /// Notes that a master of a cluster has forgotten what it knew, or that another one stands in its place.
  func forgot(_ shard: Shard) {
    mustConfirm = true
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
    censusDueAt = loop.now + UInt64(RedisLimits.returnMilliseconds) * 1_000_000
    loop.after(milliseconds: RedisLimits.returnMilliseconds) { [weak self] in self?.takeCensus() }
  }

  /// Looks at once for what the sweep of a node has missed, when the node may have died before it had written its lists
  /// again.
  func swept(_ node: [UInt8]) {
    expiredNodes.remove(node)
    guard forgottenNodes.remove(node) == nil, let lossAt,
      loop.now < lossAt + UInt64(RedisLimits.handOverMillisecondsMax) * 1_000_000
    else { return }
    (censusDueAt, isCensusOwn) = (loop.now, true)
    takeCensus()
  }

  func takeCensus() {
    guard let due = censusDueAt, loop.now >= max(due, trustsLeasesAt), isAvailable, isLeaseHeld, !isStopping,
      masters.areServing, !census.isRunning
    else { return }
    census.run(isShared: !isCensusOwn) { [weak self] outcome in
      guard let self, !isStopping else { return }
      switch outcome {
      case .postponed: return
      case .refused(let reason):
        log(.warning, "members that a forgotten node left may stay: give the Redis user +scan (\(reason))")
      case .done(let dead, let unlisted):
        forgottenNodes = dead
        expiredNodes.formUnion(dead)
        for node in dead { sweeper.sweep(dead: node) }
        for node in unlisted { haveAudited(node) }
      }
      // What was lost meanwhile is looked for once more.
      if censusDueAt == due { (censusDueAt, isCensusOwn) = (nil, false) } else { takeCensus() }
    }
  }

  /// Has a node look who of its members in Redis is there: at once, or with its next renewal, which finds the mark.
  private func haveAudited(_ other: [UInt8]) {
    guard other != node else { return auditEverything() }
    scripts.run(.recall, keys: 1, parts: 2, { _ in }) { [keys] writer in
      writer.bulk(keys.swept)
      writer.bulk(other)
    }
  }

  func auditEverything() {
    for shard in masters.shards { shard.mustAudit = true }
    auditPresence()
  }
}
