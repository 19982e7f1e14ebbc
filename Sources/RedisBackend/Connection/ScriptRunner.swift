/// The scripts, each a file that opens with its KEYS and ARGV.
enum Script: Int, CaseIterable {
  case publish, position, verifyPosition, history, presence, members, users, endGraces, renew, liveNodes, sweepBegin,
    sweepFind, sweepEnd, publishIdempotent
  case revoke, drainLease, requestResync, orphanScan, expireOrphanLeases, leaderEpoch, claim, ids, deliveries
  case eventsAdd, eventsTake, bridgeShares

  var source: [UInt8] {
    switch self {
    case .publish: PackageResources.publish_lua
    case .position: PackageResources.position_lua
    case .verifyPosition: PackageResources.verify_position_lua
    case .history: PackageResources.history_lua
    case .presence:
      PackageResources.presence_enter_lua + PackageResources.room_events_lua + PackageResources.presence_lua
    case .members: PackageResources.members_lua
    case .users: PackageResources.users_lua
    case .endGraces: PackageResources.room_events_lua + PackageResources.end_graces_lua
    case .renew: PackageResources.renew_lua
    case .liveNodes: PackageResources.live_nodes_lua
    case .sweepBegin: PackageResources.sweep_begin_lua
    case .sweepFind: PackageResources.sweep_find_lua
    case .sweepEnd: PackageResources.sweep_end_lua
    case .publishIdempotent: PackageResources.publish_idempotent_lua
    case .drainLease: PackageResources.drain_lease_lua
    case .revoke: PackageResources.revoke_lua
    case .requestResync: PackageResources.request_resync_lua
    case .orphanScan: PackageResources.orphan_scan_lua
    case .expireOrphanLeases: PackageResources.expire_orphan_leases_lua
    case .leaderEpoch: PackageResources.leader_epoch_lua
    case .claim: PackageResources.claim_lua
    case .ids: PackageResources.ids_lua
    case .deliveries: PackageResources.deliveries_lua
    case .eventsAdd: PackageResources.room_events_lua + PackageResources.events_add_lua
    case .eventsTake: PackageResources.events_take_lua
    case .bridgeShares: PackageResources.bridge_shares_lua
    }
  }
}

/// Runs scripts by their hash, and by their text where Redis does not know them.
final class ScriptRunner {
  /// Takes a reply that is no error, or nil when the command failed in any way.
  typealias Handler = (Reply?) -> Void

  private let router: CommandRouter
  /// Whether messages go through sharded channels.
  private let isSharded: Bool
  private let log: RedisBroker.Log
  /// The hashes that Redis answered SCRIPT LOAD with, by the script's number.
  private var hashes = [[UInt8]](repeating: [], count: Script.allCases.count)
  private var lastError = ""
  /// Called with keys, one of which has a wrong type.
  var reportWrongType: (_ keys: [[UInt8]]) -> Void = { _ in }

  init(router: CommandRouter, isSharded: Bool, log: @escaping RedisBroker.Log) {
    self.router = router
    self.isSharded = isSharded
    self.log = log
  }

  /// Loads all scripts into the Redis of a link in one pipeline. A refusal fails the link.
  func load(into link: RedisLink, _ loaded: @escaping () -> Void) {
    for script in Script.allCases {
      let isLast = script == Script.allCases.last
      load(script, into: link) { hasLoaded in if isLast, hasLoaded { loaded() } }
    }
  }

  private func load(_ script: Script, into link: RedisLink, _ reply: @escaping (Bool) -> Void) {
    link.request({ [weak self, weak link] answer in
      guard let self, let answer else { return reply(false) }
      guard answer.kind == .string else {
        link?.fail(RedisLink.refusal(of: "SCRIPT LOAD", answer))
        return reply(false)
      }
      hashes[script.rawValue] = answer.copy
      reply(true)
    }) { writer in
      writer.command(parts: 3)
      writer.bulk("SCRIPT")
      writer.bulk("LOAD")
      writer.bulk(source(of: script))
    }
  }

  /// The scripts call PUBLISH; in a cluster a channel is sharded like the keys.
  private func source(of script: Script) -> [UInt8] {
    guard isSharded else { return script.source }
    let (plain, sharded) = (Array("'PUBLISH'".utf8), Array("'SPUBLISH'".utf8))
    return Array(script.source.split(separator: plain).joined(separator: sharded))
  }

  /// Runs a script. `write` writes its keys, then its arguments: `parts` bulks in all; it is called again when Redis has
  /// forgotten the script (SCRIPT FLUSH, failover), so that the command is not lost.
  ///
  /// - Parameter isGathered: whether it carries what a batch has gathered; everything else has the batches sent first.
  func run(
    _ script: Script, keys: Int, parts: Int, isGathered: Bool = false, _ reply: @escaping Handler,
    _ write: @escaping (inout CommandWriter) -> Void
  ) {
    send(script, byText: false, isGathered, keys, parts, write) { [weak self] answer in
      guard let self, let answer, answer.begins(with: "NOSCRIPT") else {
        reply(self?.checked(script, answer) { ScriptRunner.keys(keys, write) })
        return
      }
      send(script, byText: true, isGathered, keys, parts, write) { [weak self] answer in
        reply(self?.checked(script, answer) { ScriptRunner.keys(keys, write) })
      }
    }
  }

  private func send(
    _ script: Script, byText: Bool, _ isGathered: Bool, _ keys: Int, _ parts: Int,
    _ write: (inout CommandWriter) -> Void, _ reply: @escaping Handler
  ) {
    router.request(isGathered: isGathered, reply) { writer in
      writer.command(parts: 3 + parts)
      writer.bulk(byText ? "EVAL" : "EVALSHA")
      writer.bulk(byText ? source(of: script) : hashes[script.rawValue])
      writer.bulk(keys)
      write(&writer)
    }
  }

  /// The keys that a script was given, for the log.
  private static func keys(_ count: Int, _ write: (inout CommandWriter) -> Void) -> [[UInt8]] {
    var writer = CommandWriter()
    writer.command(parts: count)
    write(&writer)
    return HashSlot.parts(ofCommand: writer.bytes, atMost: count)
  }

  /// Returns an answer, or nil for an error, which is logged. That a key has a wrong type is an answer: it does not mean that
  /// Redis is out of reach. It is logged once, with the `keys`.
  func checked(_ script: Script, _ answer: Reply?, keys: () -> [[UInt8]]) -> Reply? {
    guard let answer, answer.isError else { return answer }
    guard !answer.isWrongType else {
      reportWrongType(keys())
      return answer
    }
    let text = RedisLink.refusal(of: "EVALSHA (\(script))", answer)
    if text != lastError { log(.warning, "Redis: \(text)") }
    lastError = text
    return nil
  }
}
