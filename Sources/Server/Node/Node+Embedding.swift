// For programs that run a node inside them.

extension Node {
  /// Logs what went wrong in the program around the node.
  package func warn(_ message: String, handler: String, reason: String, count: Int) {
    log.warn(message, ("handler", handler), ("reason", reason), ("count", count))
  }
}
