import LoopCore

/// This process' claim to its node's id: two processes with one id would each remove the other's members. Confined to the
/// loop of its broker.
final class NodeClaim {
  enum Outcome { case held, taken, failed }

  /// This process, as other processes see it in Redis.
  let process = Array(ProcessIdentity.make().utf8)
  private let scripts: ScriptRunner
  private let key: (prefix: [UInt8], node: [UInt8])
  private let log: RedisBroker.Log
  /// Whether a timer for the next attempt runs.
  var isRetryDue = false
  /// Since when another process has the id, and when it was last logged, in nanoseconds; nil: this one has it.
  private var conflict: (since: UInt64, toldAt: UInt64)?

  init(scripts: ScriptRunner, keys: RedisKeys, node: [UInt8], log: @escaping RedisBroker.Log) {
    self.scripts = scripts
    self.log = log
    key = (keys.owner, node)
  }

  /// Whether another process has the id.
  var isTaken: Bool { conflict != nil }

  /// What is wrong while another process has the id.
  var problem: String {
    "another process has the node id \"\(name)\" in this Redis: this one serves nothing until that one has ended. "
      + "Give every node a --node-id of its own, or leave it out"
  }

  private var name: String { String(decoding: key.node, as: UTF8.self) }

  /// Claims the id, also from a process that is known to have ended. Answers `failed` when Redis did not answer.
  func claim(at now: UInt64, _ done: @escaping (Outcome) -> Void) { claim(overriding: [], at: now, done) }

  private func claim(overriding ended: [UInt8], at now: UInt64, _ done: @escaping (Outcome) -> Void) {
    let answered: ScriptRunner.Handler = { [weak self] reply in
      guard let self, let reply, reply.kind == .string else { return done(.failed) }
      let owner = reply.copy
      guard !owner.isEmpty else {
        conflictEnded()
        return done(.held)
      }
      // Asked once for each process: another one may have come meanwhile.
      if owner != ended, ProcessIdentity.hasEnded(String(decoding: owner, as: UTF8.self)) {
        return claim(overriding: owner, at: now, done)
      }
      lose(at: now)
      done(.taken)
    }
    scripts.run(.claim, keys: 1, parts: 4, answered) { [key, process] writer in
      writer.bulk(key.prefix, key.node, "")
      writer.bulk(process)
      writer.bulk(RedisLimits.leaseMilliseconds)
      writer.bulk(ended)
    }
  }

  /// Notes that another process has the id; logs it at once, and again once a minute.
  func lose(at now: UInt64) {
    guard let known = conflict else {
      conflict = (now, now)
      return log(.error, problem)
    }
    guard now >= known.toldAt + UInt64(RedisLimits.conflictReminderMilliseconds) * 1_000_000 else { return }
    conflict = (known.since, now)
    log(.error, "\(problem) (for \((now - known.since) / 1_000_000_000) s now)")
  }

  private func conflictEnded() {
    guard conflict != nil else { return }
    conflict = nil
    log(.info, "the other process has ended: this one has the node id \"\(name)\" now")
  }
}
