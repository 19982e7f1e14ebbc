/// The scripts, each a file that opens with its KEYS and ARGV.
enum Script: Int, CaseIterable {
  case publish, position, compare, history, enter, leave, renew, liveNodes, sweepBegin, sweepRoom, sweepEnd, sendOnce
  case revoke, handOver

  var source: [UInt8] {
    switch self {
    case .publish: PackageResources.publish_lua
    case .position: PackageResources.position_lua
    case .compare: PackageResources.compare_lua
    case .history: PackageResources.history_lua
    case .enter: PackageResources.enter_lua
    case .leave: PackageResources.leave_lua
    case .renew: PackageResources.renew_lua
    case .liveNodes: PackageResources.live_nodes_lua
    case .sweepBegin: PackageResources.sweep_begin_lua
    case .sweepRoom: PackageResources.sweep_room_lua
    case .sweepEnd: PackageResources.sweep_end_lua
    case .sendOnce: PackageResources.send_once_lua
    case .handOver: PackageResources.hand_over_lua
    case .revoke: PackageResources.revoke_lua
    }
  }
}

/// Runs scripts by their hash and loads them when Redis does not know them.
final class ScriptRunner {
  /// Takes a reply that is no error, or nil when the command failed in any way.
  typealias Handler = (Reply?) -> Void

  private let link: RedisLink
  private let log: RedisBroker.Log
  /// The hashes that Redis answered SCRIPT LOAD with, by the script's number.
  private var hashes = [[UInt8]](repeating: [], count: Script.allCases.count)
  private var lastError = ""

  init(link: RedisLink, log: @escaping RedisBroker.Log) {
    self.link = link
    self.log = log
  }

  /// Loads all scripts in one pipeline. A refusal fails the link.
  func load(_ loaded: @escaping () -> Void) {
    for script in Script.allCases {
      let isLast = script == Script.allCases.last
      load(script) { hasLoaded in if isLast, hasLoaded { loaded() } }
    }
  }

  private func load(_ script: Script, _ reply: @escaping (Bool) -> Void) {
    link.request({ [weak self] answer in
      guard let self, let answer else { return reply(false) }
      guard answer.kind == .string else {
        link.fail(RedisLink.refusal(of: "SCRIPT LOAD", answer))
        return reply(false)
      }
      hashes[script.rawValue] = answer.copy
      reply(true)
    }) { writer in
      writer.command(parts: 3)
      writer.bulk("SCRIPT")
      writer.bulk("LOAD")
      writer.bulk(script.source)
    }
  }

  /// Runs a script. `write` writes its keys, then its arguments: `parts` bulks in all; it is called again when Redis has
  /// forgotten the script (SCRIPT FLUSH, failover), so that the command is not lost.
  func run(
    _ script: Script, keys: Int, parts: Int, _ reply: @escaping Handler,
    _ write: @escaping (inout CommandWriter) -> Void
  ) {
    send(script, keys, parts, write) { [weak self] answer in
      guard let answer, answer.isError else { return reply(answer) }
      guard let self, answer.begins(with: "NOSCRIPT") else {
        self?.report(script, answer)
        return reply(nil)
      }
      load(script) { [weak self] hasLoaded in
        guard let self, hasLoaded else { return reply(nil) }
        send(script, keys, parts, write) { [weak self] answer in
          if let answer, answer.isError { self?.report(script, answer) }
          reply(answer.flatMap { $0.isError ? nil : $0 })
        }
      }
    }
  }

  private func send(
    _ script: Script, _ keys: Int, _ parts: Int, _ write: (inout CommandWriter) -> Void, _ reply: @escaping Handler
  ) {
    link.request(reply) { writer in
      writer.command(parts: 3 + parts)
      writer.bulk("EVALSHA")
      writer.bulk(hashes[script.rawValue])
      writer.bulk(keys)
      write(&writer)
    }
  }

  private func report(_ script: Script, _ answer: Reply) {
    let text = RedisLink.refusal(of: "EVALSHA (\(script))", answer)
    if text != lastError { log(.warning, "Redis at \(link.endpoint): \(text)") }
    lastError = text
  }
}
