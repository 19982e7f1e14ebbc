import LoopCore
import Realtime

/// Decides when members of nodes without a lease are scanned for: after Redis has lost data, once every living node has had
/// time to renew its lease.
final class OrphanScanScheduler {
  private let scan: OrphanScan
  private let membership: Membership
  private let reconciler: PresenceReconciler
  /// When Redis was found to have lost data, in nanoseconds, until a scan is done; nil: nothing was lost.
  private var lossAt: UInt64?
  /// When the next attempt may begin, in nanoseconds, and the pause after it, in milliseconds.
  private var tryAt: UInt64 = 0
  private var pause = 0
  private let context: BrokerContext

  init(_ context: BrokerContext, membership: Membership, reconciler: PresenceReconciler) {
    self.context = context
    self.membership = membership
    self.reconciler = reconciler
    scan = OrphanScan(
      shards: context.shards, router: context.commands, scripts: context.scripts, keys: context.keys,
      node: context.node)
  }

  /// Whether nothing was lost that was not scanned for since.
  var isIdle: Bool { lossAt == nil }

  /// Notes that Redis has lost data.
  func schedule() {
    lossAt = context.loop.now
    (tryAt, pause) = (0, RedisLimits.orphanScanBackoffMilliseconds.lowerBound)
    context.loop.after(milliseconds: RedisLimits.returnMilliseconds) { [weak self] in self?.runIfDue() }
  }

  /// Whether leases tell which nodes live.
  private func canTrustLeases(after loss: UInt64) -> Bool {
    let quietAt = max(loss + UInt64(RedisLimits.returnMilliseconds) * 1_000_000, membership.trustsLeasesAt)
    return lossAt == loss && context.loop.now >= quietAt && context.isAvailable && context.isLeaseHeld
      && !context.isStopping && context.shards.areServing
  }

  /// Begins the scan that is due, or leaves it to the next renewal.
  func runIfDue() {
    guard let loss = lossAt, context.loop.now >= tryAt, canTrustLeases(after: loss), !scan.isRunning else { return }
    let age = Int((context.loop.now - loss) / 1_000_000)
    scan.run(
      lossMillisecondsAgo: age, canTrustLeases: { [weak self] in self?.canTrustLeases(after: loss) == true }
    ) { [weak self] outcome in
      guard let self, !context.isStopping else { return }
      switch outcome {
      case .postponed:
        tryAt = context.loop.now + UInt64(pause) * 1_000_000
        pause = min(pause * 2, RedisLimits.orphanScanBackoffMilliseconds.upperBound)
        return
      case .refused(let reason):
        context.log(.warning, "members of nodes without a lease may stay in Redis: \(reason)")
      case .done(let dead, let unlisted):
        membership.nodes.add(expired: dead)
        membership.sweep(dead)
        if unlisted.contains(context.node) { reconciler.reconcileAll() }
      }
      // What was lost meanwhile is scanned for once more.
      if lossAt == loss { lossAt = nil }
    }
  }
}

@available(*, unavailable)
extension OrphanScanScheduler: Sendable {}
