import Settings

/// One event of a node. No entry ever holds a token, a secret or a query string.
public struct LogEntry {
  /// How serious it is.
  public let level: LogLevel
  /// The node's id.
  public let node: String
  /// What happened, always in the same words.
  public let message: String
  /// The details, by name.
  public let fields: [(StaticString, any LogValue)]
}

/// Takes what a node logs. The program that starts a node chooses one.
public protocol LogHandler: AnyObject {
  /// Whether entries of a level are wanted: others are not made.
  func takes(_ level: LogLevel) -> Bool
  /// Takes an entry. Must not wait: the node's only thread calls it.
  func write(_ entry: LogEntry)
  /// Entries that were lost since the start.
  var droppedCount: UInt64 { get }
}
