import LoopCore
import Realtime

/// This node's place in the cluster: its id, its lease, and the sweep of nodes whose lease has expired.
final class Membership {
  /// Called with every renewal of the lease.
  var renewed: (_ status: LeaseRenewer.Status, _ expired: [[UInt8]]) -> Void = { _, _ in }
  /// Called when another node has found members of this one that it may not know.
  var resyncRequested: () -> Void = {}

  let nodes: NodeStates
  private let presence: PresenceWriter
  private let lease: LeaseRenewer
  private let claim: NodeClaim
  private let sweeper: Sweeper
  /// Whether members that an earlier process with this id may have left were removed.
  private var hasCleanStart = false
  private var isCleaning = false
  /// When the lease was last renewed, and from when on an expired lease means a dead node. In nanoseconds.
  private var renewedAt: UInt64 = 0
  private(set) var trustsLeasesAt: UInt64 = 0
  private let context: BrokerContext

  init(_ context: BrokerContext, nodes: NodeStates, presence: PresenceWriter) {
    self.context = context
    self.nodes = nodes
    self.presence = presence
    claim = NodeClaim(scripts: context.scripts, keys: context.keys, node: context.node, log: context.log)
    lease = LeaseRenewer(
      loop: context.loop, scripts: context.scripts, keys: context.keys, node: context.node, process: claim.process
    ) { [weak context] in
      context?.listener?.nodeReport() ?? Array("{}".utf8)
    }
    sweeper = Sweeper(
      loop: context.loop, router: context.commands, scripts: context.scripts, keys: context.keys, node: context.node,
      graceMilliseconds: context.configuration.graceMilliseconds, events: context.events)
    sweeper.swept = { [nodes] in nodes.remove($0) }
    sweeper.graceBegan = { [weak context] in context?.listener?.graceBegan(in: $0, milliseconds: $1) }
    lease.renewed = { [weak self] in self?.renewed($0, expired: $1, leaving: $2) }
    lease.resyncRequested = { [weak self] in self?.resyncRequested() }
    lease.taken = { [weak self] in self?.idIsTaken() }
    lease.refused = { [weak self] in self?.leaseRefused() }
    lease.clockJumped = { [weak self] in self?.distrustLeases() }
  }

  /// What is wrong while another process has this node's id; nil: this one has it.
  var conflict: String? { claim.isTaken ? claim.problem : nil }

  // MARK: The lease

  /// Begins to renew the lease, once the master with the leases takes commands. Before the first renewal everything is
  /// removed that an earlier process with this id has left.
  func begin(isLeaseMaster: Bool) {
    if !hasCleanStart {
      if context.leaseShard?.isServing == true { cleanStart() }
    } else if isLeaseMaster {
      lease.renew()
    }
  }

  /// Renews the lease without waiting for its time.
  func renewSoon() { if context.isAvailable { lease.renewSoon() } }

  /// Stops renewing until `begin`.
  func pause() { lease.pause() }

  private func renewed(_ status: LeaseRenewer.Status, expired: [[UInt8]], leaving: [[UInt8]]) {
    guard !context.isStopping else { return }
    let now = context.loop.now
    let outage = now - renewedAt
    if outage >= UInt64(RedisLimits.outageMilliseconds + RedisLimits.renewalMilliseconds) * 1_000_000 {
      distrustLeases()
    }
    renewedAt = now
    // After an outage the others' leases have expired like ours: they are given time to come back.
    let expired = now >= trustsLeasesAt ? expired : []
    nodes.update(expired: expired, leaving: leaving)
    renewed(status, expired)
  }

  /// Takes no node for dead until every living one has had time to renew its lease.
  private func distrustLeases() {
    trustsLeasesAt = context.loop.now + UInt64(RedisLimits.returnMilliseconds) * 1_000_000
  }

  private func leaseRefused() {
    guard context.shards.isSharded else {
      context.shards.current.first?.commands.fail("the lease could not be renewed")
      return
    }
    context.loop.after(milliseconds: RedisLimits.mapMilliseconds) { [weak self] in
      guard let self, !context.isStopping, context.leaseShard?.isServing == true else { return }
      lease.renew()
    }
  }

  // MARK: The id

  /// Claims this node's id, removes all that Redis has of this node, then begins with a fresh lease.
  private func cleanStart() {
    guard !isCleaning else { return }
    isCleaning = true
    claim.claim(at: context.loop.now) { [weak self] outcome in
      guard let self else { return }
      switch outcome {
      case .held: sweepOwn()
      case .taken:
        isCleaning = false
        idIsTaken()
      case .failed:
        isCleaning = false
        cleanStartFailed()
      }
    }
  }

  private func sweepOwn() {
    sweeper.sweep(own: context.node) { [weak self] isComplete in
      guard let self else { return }
      isCleaning = false
      guard isComplete else { return cleanStartFailed() }
      hasCleanStart = true
      lease.startOver()
      lease.renew()
    }
  }

  /// Old presence could not be removed, so the lease cannot be taken.
  private func cleanStartFailed() {
    let refusal = sweeper.refusal
    guard context.shards.isSharded else {
      // The link's next opening comes here again.
      context.shards.current.first?.commands.fail(refusal ?? "old presence could not be removed")
      return
    }
    if let refusal { context.leaseShard?.commands.fail(refusal) }
    retryCleanStart(afterMilliseconds: RedisLimits.mapMilliseconds)
  }

  private func retryCleanStart(afterMilliseconds wait: Int, _ isDue: @escaping () -> Void = {}) {
    context.loop.after(milliseconds: wait) { [weak self] in
      isDue()
      guard let self, !context.isStopping, !hasCleanStart, context.leaseShard?.isServing == true else { return }
      cleanStart()
    }
  }

  /// Another process has this node's id: nothing is done under it, and clients are refused, until that process has ended or
  /// its lease has expired. Then this one starts over.
  private func idIsTaken() {
    guard !context.isStopping else { return }
    claim.lose(at: context.loop.now)
    context.becameUnavailable()
    context.leaseLost()
    hasCleanStart = false
    // The other process has removed what this one had entered.
    presence.requireReassertion()
    lease.pause()
    context.report(lost: true)
    guard !claim.isRetryDue else { return }
    claim.isRetryDue = true
    retryCleanStart(afterMilliseconds: RedisLimits.claimRetryMilliseconds) { [weak self] in
      self?.claim.isRetryDue = false
    }
  }

  // MARK: Dead nodes

  /// Removes what dead nodes have left.
  func sweep(_ dead: some Sequence<[UInt8]>) { for node in dead { sweeper.sweep(dead: node) } }

  // MARK: The end

  /// Gives up the lease and everything that Redis has of this node.
  func leave(_ done: @escaping () -> Void) {
    sweeper.sweep(own: context.node, releasing: claim.process) { _ in done() }
  }

  /// Lets the lease end after a grace, until which the members of this node stay.
  func drain(forMilliseconds grace: Int, _ done: @escaping () -> Void) {
    context.scripts.run(.drainLease, keys: 4, parts: 7, { _ in done() }) {
      [keys = context.keys, node = context.node, process = claim.process] writer in
      writer.bulk(keys.leases)
      writer.bulk(keys.report, node, "")
      writer.bulk(keys.leaving)
      writer.bulk(keys.owner, node, "")
      writer.bulk(node)
      writer.bulk(grace)
      writer.bulk(process)
    }
  }
}

@available(*, unavailable)
extension Membership: Sendable {}
