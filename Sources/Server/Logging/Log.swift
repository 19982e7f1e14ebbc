import Settings

/// The log of one node: gives what happens there to the program's log handler. Confined to the thread that created it.
final class Log {
  private let handler: any LogHandler
  private let node: String

  init(_ handler: any LogHandler, node: String) {
    self.handler = handler
    self.node = node
  }

  /// Entries that the handler has lost.
  var droppedCount: UInt64 { handler.droppedCount }

  /// Whether entries of a level are written.
  func isWritten(_ level: LogLevel) -> Bool { handler.takes(level) }

  func debug(_ message: String, _ fields: (StaticString, any LogValue)...) { write(.debug, message, fields) }
  func debug(_ message: String, _ fields: [(StaticString, any LogValue)]) { write(.debug, message, fields) }
  func info(_ message: String, _ fields: (StaticString, any LogValue)...) { write(.info, message, fields) }
  func warn(_ message: String, _ fields: (StaticString, any LogValue)...) { write(.warn, message, fields) }
  func error(_ message: String, _ fields: (StaticString, any LogValue)...) { write(.error, message, fields) }

  private func write(_ level: LogLevel, _ message: String, _ fields: [(StaticString, any LogValue)]) {
    if handler.takes(level) {
      handler.write(LogEntry(level: level, node: node, message: message, fields: fields))
    }
  }
}
