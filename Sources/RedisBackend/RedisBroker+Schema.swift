import Realtime

extension RedisBroker {
  /// Logs a warning when nodes of a version with other keys use the same Redis and prefix: they form a cluster of their own.
  /// Done once, when this node is first available.
  func lookForOtherSchemas() {
    guard !hasLookedForOthers else { return }
    hasLookedForOthers = true
    let former = RedisKeys(prefix: configuration.prefix, schema: nil)
    let answer: ScriptRunner.Handler = { [weak self] nodes in
      guard let self, let nodes, nodes.count > 0 else { return }
      let ids = stride(from: 0, to: nodes.count, by: 2).map { nodes[$0].text }.joined(separator: ", ")
      log(
        .warning,
        "Redis holds live nodes of a version before schema \(RedisKeys.schema) (\(ids)): they share no room with this node. "
          + "Stop them, or give this version its own --redis-prefix until they are replaced")
    }
    scripts.run(.liveNodes, keys: 2, parts: 3, answer) { writer in
      writer.bulk(former.leases)
      writer.bulk(former.leaving)
      writer.bulk(former.report)
    }
  }
}
