import Realtime

/// Logs a warning when nodes of a version with other keys use the same Redis and prefix: they form a cluster of their own.
final class SchemaCheck {
  private var isDone = false
  private let context: BrokerContext

  init(_ context: BrokerContext) { self.context = context }

  /// Looks for live nodes of all schemas before this one, once, when this node is first available.
  func run() {
    guard !isDone else { return }
    isDone = true
    for schema in [nil] + (2..<RedisKeys.schema).map({ $0 }) {
      let former = RedisKeys(prefix: context.configuration.prefix, schema: schema)
      context.scripts.runLiveNodes(former) { [context] nodes in
        guard let nodes, nodes.count > 0 else { return }
        let ids = stride(from: 0, to: nodes.count, by: 2).map { nodes[$0].text }.joined(separator: ", ")
        context.log(
          .warning,
          "Redis holds live nodes of \(schema.map { "schema \($0)" } ?? "the first schema") (\(ids)), older than schema "
            + "\(RedisKeys.schema): they share no room with this node. "
            + "Stop them, or give this version its own --redis-prefix until they are replaced")
      }
    }
  }
}

@available(*, unavailable)
extension SchemaCheck: Sendable {}
