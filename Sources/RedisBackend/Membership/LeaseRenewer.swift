import LoopCore

/// Renews a node's lease: the only upkeep of presence, and a check that the command link is alive.
/// Confined to the loop that created it.
final class LeaseRenewer {
  enum Status: Int {
    case held
    /// Redis knows neither the lease nor a sweep: it was restarted empty.
    case forgotten
    /// Others took this node for dead and removed its members.
    case swept
    /// Another process has the node's id: nothing was renewed.
    case taken
  }

  /// Called with every renewal: how the lease stood, whose lease has expired, and which nodes have handed over.
  var renewed: (Status, _ expired: [[UInt8]], _ leaving: [[UInt8]]) -> Void = { _, _, _ in }
  /// Called after `renewed` when another node has found members of this one that it may not know.
  var resyncRequested: () -> Void = {}
  /// Called before `renewed` when the clock of Redis was set forward since the last renewal: leases of living nodes may have
  /// expired.
  var clockJumped: () -> Void = {}
  /// Called when another process has the node's id. Nothing is renewed until `renew`.
  var taken: () -> Void = {}
  /// Called when a renewal was refused: this Redis does not serve.
  var refused: () -> Void = {}

  private let loop: EventLoop
  private let scripts: ScriptRunner
  private let keys: RedisKeys
  private let node: [UInt8]
  private let process: [UInt8]
  private let makeReport: () -> [UInt8]
  private var isFirst = true
  /// Whether the connection died before a renewal was answered.
  private var isAnswerLost = false
  private var drift = ClockJumpDetector(toleranceMilliseconds: RedisLimits.clockJumpMilliseconds)
  private var timer: EventLoop.TimerID?
  /// When the last renewal was sent, in nanoseconds.
  private var sentAt: UInt64 = 0

  init(
    loop: EventLoop, scripts: ScriptRunner, keys: RedisKeys, node: [UInt8], process: [UInt8],
    makeReport: @escaping () -> [UInt8]
  ) {
    self.loop = loop
    self.scripts = scripts
    self.keys = keys
    self.node = node
    self.process = process
    self.makeReport = makeReport
  }

  /// Renews now and from then on. After `startOver` the next renewal takes the lease without asking how it stood.
  func renew() {
    pause()
    sentAt = loop.now
    let report = makeReport()
    let isFirst = isFirst
    let answer: ScriptRunner.Handler = { [weak self] reply in self?.answered(reply) }
    scripts.run(.renew, keys: 5, parts: 13, answer) { [keys, node, process] writer in
      writer.bulk(keys.leases)
      writer.bulk(keys.report, node, "")
      writer.bulk(keys.swept)
      writer.bulk(keys.leaving)
      writer.bulk(keys.owner, node, "")
      writer.bulk(node)
      writer.bulk(RedisLimits.leaseMilliseconds)
      writer.bulk(report)
      writer.bulk(isFirst)
      writer.bulk(RedisLimits.sweptMarkMilliseconds)
      writer.bulk(RedisLimits.claimMilliseconds)
      writer.bulk(RedisLimits.handOverMillisecondsMax)
      writer.bulk(process)
    }
  }

  /// Renews now, unless a renewal is under way.
  func renewSoon() { if timer != nil { renew() } }

  /// Makes the next renewal a first one: there is no presence that could have been lost.
  func startOver() { isFirst = true }

  /// Stops renewing until `renew`.
  func pause() {
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  private func answered(_ reply: Reply?) {
    guard let reply else {
      isAnswerLost = true
      return refused()
    }
    guard reply.count == 5, let status = Status(rawValue: reply[0].integer) else { return refused() }
    guard status != .taken else {
      pause()
      return taken()
    }
    let known = LeaseRenewer.status(status, isFirst: isFirst, isAnswerLost: isAnswerLost)
    let mayNeedResync = reply[4].integer == 1 || isAnswerLost
    isAnswerLost = false
    isFirst = false
    schedule()
    if drift.isAhead(reply[3].integer, at: loop.now) { clockJumped() }
    renewed(known, others(reply[1]), others(reply[2]))
    if mayNeedResync { resyncRequested() }
  }

  /// How the lease stands, given that an answer may have been lost before this one: it may have reported a sweep, which
  /// Redis does once. A first renewal has nothing that could have been lost.
  static func status(_ reported: Status, isFirst: Bool, isAnswerLost: Bool) -> Status {
    isAnswerLost && !isFirst && reported == .held ? .swept : reported
  }

  private func others(_ nodes: Reply) -> [[UInt8]] { (0..<nodes.count).map { nodes[$0].copy }.filter { $0 != node } }

  /// Sets the time of the next renewal, counted from when this one was sent: after an answer that has waited, because this
  /// process was paused, the lease may have expired already. It is then renewed in the same tick, before anything that
  /// this tick enters in Redis could remain after a death.
  private func schedule() {
    pause()
    let jitter = RedisLimits.renewalMilliseconds * RedisLimits.renewalJitterPercent / 100
    let wait = RedisLimits.renewalMilliseconds + Int.random(in: -jitter...jitter)
    let passed = Int((loop.now - sentAt) / 1_000_000)
    guard passed < wait else { return renew() }
    timer = loop.after(milliseconds: wait - passed) { [weak self] in self?.renew() }
  }
}
