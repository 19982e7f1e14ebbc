import LoopCore

/// Renews a node's lease: the only upkeep of presence, and what tells that the command link is alive.
/// Confined to the loop that created it.
final class LeaseKeeper {
  enum Standing: Int {
    case held
    /// Redis knows neither the lease nor a sweep: it was restarted empty.
    case forgotten
    /// Others took this node for dead and removed its members.
    case swept
  }

  /// Told of every renewal: how the lease stood, whose has run out, and who has handed over.
  var renewed: (Standing, _ expired: [[UInt8]], _ leaving: [[UInt8]]) -> Void = { _, _, _ in }
  /// Told when a renewal was refused: this Redis does not serve.
  var refused: () -> Void = {}

  private let loop: EventLoop
  private let scripts: ScriptRunner
  private let keys: RedisKeys
  private let node: [UInt8]
  private let makeReport: () -> [UInt8]
  private var isFirst = true
  /// Whether the connection died before a renewal was answered.
  private var isAnswerLost = false
  private var timer: EventLoop.TimerID?

  init(
    loop: EventLoop, scripts: ScriptRunner, keys: RedisKeys, node: [UInt8], makeReport: @escaping () -> [UInt8]
  ) {
    self.loop = loop
    self.scripts = scripts
    self.keys = keys
    self.node = node
    self.makeReport = makeReport
  }

  /// Renews now and from then on. After `startOver` the next renewal takes the lease without asking how it stood.
  func renew() {
    pause()
    let report = makeReport()
    let isFirst = isFirst
    let answer: ScriptRunner.Handler = { [weak self] reply in self?.answered(reply) }
    scripts.run(.renew, keys: 4, parts: 10, answer) { [keys, node] writer in
      writer.bulk(keys.leases)
      writer.bulk(keys.report, node, "")
      writer.bulk(keys.swept)
      writer.bulk(keys.leaving)
      writer.bulk(node)
      writer.bulk(RedisLimits.leaseMilliseconds)
      writer.bulk(report)
      writer.bulk(isFirst)
      writer.bulk(RedisLimits.sweptMarkMilliseconds)
      writer.bulk(RedisLimits.claimMilliseconds)
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
    guard reply.count == 3, let standing = Standing(rawValue: reply[0].integer) else { return refused() }
    // The answer that was lost may have said so, and Redis says it once.
    let wasToldBefore = isAnswerLost && !isFirst && standing == .held
    isAnswerLost = false
    isFirst = false
    schedule()
    renewed(wasToldBefore ? .swept : standing, others(reply[1]), others(reply[2]))
  }

  private func others(_ nodes: Reply) -> [[UInt8]] { (0..<nodes.count).map { nodes[$0].copy }.filter { $0 != node } }

  private func schedule() {
    pause()
    let jitter = RedisLimits.renewalMilliseconds * RedisLimits.renewalJitterPercent / 100
    let wait = RedisLimits.renewalMilliseconds + Int.random(in: -jitter...jitter)
    timer = loop.after(milliseconds: wait) { [weak self] in self?.renew() }
  }
}
