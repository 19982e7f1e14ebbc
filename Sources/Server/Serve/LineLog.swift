import Glibc
import JSONCore
import LoopCore
import Settings

/// Writes a log as lines: text for people, JSON for programs.
///
/// Lines leave from a thread of their own, so a reader that does not read does not stop the node: what does not fit into
/// the buffer is dropped and counted.
package final class LineLog: LogHandler {
  /// The standard error of this process.
  static let standardError = LineWriter(descriptor: 2)

  /// Writes a line of a program that has no log yet.
  package static func writeStandardError(_ line: String) { standardError.write(Array(line.utf8)) }
  /// Waits until everything that was written is out.
  package static func drainStandardError() { standardError.drain() }

  private let level: LogLevel
  private let isJSON: Bool
  private let lines: LineWriter

  init(level: LogLevel, isJSON: Bool, to lines: LineWriter) {
    self.level = level
    self.isJSON = isJSON
    self.lines = lines
  }

  /// Makes the log that the settings ask for, on standard error: by default text on a terminal, and JSON elsewhere.
  package convenience init(_ settings: ServerSettings) {
    let isJSON = settings.logFormat == .json || (settings.logFormat == .auto && isatty(2) == 0)
    self.init(level: settings.logLevel, isJSON: isJSON, to: LineLog.standardError)
  }

  package var droppedCount: UInt64 { lines.droppedCount }

  /// Whether lines of a level are written.
  package func takes(_ level: LogLevel) -> Bool { LineLog.rank(level) >= LineLog.rank(self.level) }

  /// Queues the line of an entry.
  package func write(_ entry: LogEntry) {
    let dropped = lines.takeUnreported()
    if dropped > 0 {
      let message = "dropped log lines: standard error was not read in time"
      enqueue(LogEntry(level: .warn, node: entry.node, message: message, fields: [("lines", dropped)]))
    }
    enqueue(entry)
  }

  /// Writes an entry without fields, of a program that is no node.
  package func write(_ level: LogLevel, _ name: String, _ message: String) {
    guard takes(level) else { return }
    write(LogEntry(level: level, node: name, message: message, fields: []))
  }

  private func enqueue(_ entry: LogEntry) {
    var line = isJSON ? LineLog.json(entry) : LineLog.text(entry)
    line.append(UInt8(ascii: "\n"))
    lines.write(line)
  }

  private static func json(_ entry: LogEntry) -> [UInt8] {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("time")
    writer.string(timestamp())
    writer.key("level")
    writer.string(entry.level.rawValue)
    writer.key("node")
    writer.string(entry.node)
    writer.key("message")
    writer.string(entry.message)
    for (name, value) in entry.fields {
      writer.key(name)
      value.write(to: &writer)
    }
    writer.endObject()
    return TerminalText.json(writer.finish())
  }

  private static func text(_ entry: LogEntry) -> [UInt8] {
    let details = entry.fields.map { " \($0.0)=\($0.1.logText)" }.joined()
    // What came from outside must not forge a line or steer a terminal.
    return Array(
      TerminalText.line("\(timestamp()) \(entry.level.rawValue) \(entry.node) \(entry.message)\(details)").utf8)
  }

  /// How severe a level is, beside others.
  package static func rank(_ level: LogLevel) -> Int { LogLevel.allCases.firstIndex(of: level) ?? 0 }

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
