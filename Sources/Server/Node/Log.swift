import Glibc
import JSONCore
import LoopCore
import Settings

/// Writes lines of log to standard error: text for people on a terminal, JSON for programs.
///
/// No line ever holds a token, a secret or a query string. Lines leave from a thread of their own, so a standard error that
/// nobody reads does not stop the node: what does not fit into the buffer is dropped and counted. Confined to the thread
/// that created it.
final class Log {
  /// Standard error of the process, for all that it logs.
  static let standardError = LineWriter(descriptor: 2)

  private let level: LogLevel
  private let isJSON: Bool
  private let node: String

  init(level: LogLevel, format: LogFormat, node: String) {
    self.level = level
    self.node = node
    isJSON = format == .json || (format == .auto && isatty(2) == 0)
  }

  /// Whether lines of a level are written.
  func isWritten(_ level: LogLevel) -> Bool { Log.rank(level) >= Log.rank(self.level) }

  func debug(_ message: String, _ fields: (StaticString, any LogValue)...) { write(.debug, message, fields) }
  func info(_ message: String, _ fields: (StaticString, any LogValue)...) { write(.info, message, fields) }
  func warn(_ message: String, _ fields: (StaticString, any LogValue)...) { write(.warn, message, fields) }
  func error(_ message: String, _ fields: (StaticString, any LogValue)...) { write(.error, message, fields) }

  private func write(_ level: LogLevel, _ message: String, _ fields: [(StaticString, any LogValue)]) {
    guard isWritten(level) else { return }
    let dropped = Log.standardError.takeUnreported()
    if dropped > 0 {
      enqueue(.warn, "dropped log lines: standard error was not read in time", [("lines", dropped)])
    }
    enqueue(level, message, fields)
  }

  private func enqueue(_ level: LogLevel, _ message: String, _ fields: [(StaticString, any LogValue)]) {
    var line = isJSON ? json(level, message, fields) : text(level, message, fields)
    line.append(UInt8(ascii: "\n"))
    Log.standardError.write(line)
  }

  private func json(_ level: LogLevel, _ message: String, _ fields: [(StaticString, any LogValue)]) -> [UInt8] {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("time")
    writer.string(Log.timestamp())
    writer.key("level")
    writer.string(level.rawValue)
    writer.key("node")
    writer.string(node)
    writer.key("message")
    writer.string(message)
    for (name, value) in fields {
      writer.key(name)
      value.write(to: &writer)
    }
    writer.endObject()
    return TerminalText.json(writer.finish())
  }

  private func text(_ level: LogLevel, _ message: String, _ fields: [(StaticString, any LogValue)]) -> [UInt8] {
    let details = fields.map { " \($0.0)=\($0.1.logText)" }.joined()
    // What came from outside must not forge a line or steer a terminal.
    return Array(
      TerminalText.line("\(Log.timestamp()) \(level.rawValue) \(node) \(message)\(details)").utf8)
  }

  private static func rank(_ level: LogLevel) -> Int { LogLevel.allCases.firstIndex(of: level) ?? 0 }

  /// RFC 3339 in UTC with milliseconds.
  private static func timestamp() -> String {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    var parts = tm()
    gmtime_r(&now.tv_sec, &parts)
    let fields = [Int(parts.tm_year) + 1900, Int(parts.tm_mon) + 1, Int(parts.tm_mday)].map { pad($0, 2) }
    let time = [Int(parts.tm_hour), Int(parts.tm_min), Int(parts.tm_sec)].map { pad($0, 2) }
    return "\(fields.joined(separator: "-"))T\(time.joined(separator: ":")).\(pad(now.tv_nsec / 1_000_000, 3))Z"
  }

  private static func pad(_ value: Int, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
