import JSONCore

/// What a run found.
struct Outcome {
  let scenario: Scenario
  let settings: BenchSettings
  /// What one operation is, in the plural.
  let unit: StaticString
  var measurement: Measurement?
  var check: SequenceCheck?
  var memory: MemoryFigures?
  var openingSeconds: Double?

  /// The share of one core above which the generator is taken for the limit.
  private static let ownShareMax = 0.9

  /// Whether the generator was too busy to say anything about the server.
  var isGeneratorLimit: Bool { (measurement?.ownShare ?? 0) > Outcome.ownShareMax }
  /// Whether messages were lost, came twice or out of order.
  var isClean: Bool { check?.isClean ?? true }

  /// Lays the figures out for people.
  func table() -> String {
    var rows: [(String, String)] = [("scenario", "\(scenario.rawValue) (\(settings.dialect.rawValue)), \(shape)")]
    if let measurement {
      let perSecond = measurement.seconds > 0 ? Double(measurement.operations) / measurement.seconds : 0
      rows.append(("\(unit)", "\(measurement.operations) in \(Figures.fixed(measurement.seconds, 2)) s"))
      rows.append(("a second", Figures.grouped(UInt64(perSecond.rounded()))))
      let latency = measurement.latency
      rows.append(("latency p50", Figures.milliseconds(latency.quantile(0.5))))
      rows.append(("latency p99", Figures.milliseconds(latency.quantile(0.99))))
      rows.append(("latency p99.9", Figures.milliseconds(latency.quantile(0.999))))
      rows.append(("latency max", Figures.milliseconds(latency.maximum)))
      rows.append(("generator", "\(Figures.fixed(measurement.ownShare * 100, 1)) % of a core"))
      if !settings.processes.isEmpty, measurement.serverSeconds > 0 {
        rows.append(("server", "\(Figures.fixed(measurement.serverSeconds, 2)) CPU-seconds"))
        let perCPUSecond = Double(measurement.operations) / measurement.serverSeconds
        rows.append(("a CPU-second", Figures.grouped(UInt64(perCPUSecond.rounded()))))
      }
    }
    if let check {
      rows.append(("lost", "\(check.lost)"))
      rows.append(("duplicates", "\(check.duplicates)"))
      rows.append(("reordered", "\(check.reordered)"))
    }
    if let memory { rows += memoryRows(memory) }
    let width = rows.map(\.0.count).max() ?? 0
    var text = rows.map { $0.0 + String(repeating: " ", count: width + 2 - $0.0.count) + $0.1 + "\n" }.joined()
    if isGeneratorLimit { text += "The generator, not the server, was the limit: it used over 90 % of its core.\n" }
    return text
  }

  private var shape: String {
    switch scenario {
    case .rooms, .fanout:
      "\(settings.rooms) rooms x \(settings.membersPerRoom) members, \(pace), \(settings.messageBytes) bytes"
    case .echo: "\(settings.connections) connections, \(pace), \(settings.messageBytes) bytes"
    case .connect: "\(settings.connections) at a time"
    case .idle, .raw: "\(settings.connections) connections"
    }
  }

  private var pace: String { settings.rate > 0 ? "\(settings.rate) messages a second" : "window \(settings.window)" }

  private func memoryRows(_ memory: MemoryFigures) -> [(String, String)] {
    func bytes(_ value: Int?) -> String { value.map { "\(Figures.grouped(UInt64($0))) bytes" } ?? "unknown" }
    let each = memory.perConnection(settings.connections).map { "\(Figures.fixed($0, 0)) bytes" } ?? "unknown"
    return [
      ("opened in", "\(Figures.fixed(openingSeconds ?? 0, 2)) s"), ("resident before", bytes(memory.before)),
      ("resident open", bytes(memory.open)), ("a connection", each), ("resident closed", bytes(memory.closed)),
    ]
  }

  /// Writes the figures as one JSON object; durations are in microseconds, memory in bytes.
  func json() -> String {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("scenario")
    writer.string(scenario.rawValue)
    writer.key("dialect")
    writer.string(settings.dialect.rawValue)
    for (name, value) in inputs { write(name, value, to: &writer) }
    if let measurement { write(measurement, to: &writer) }
    if let check {
      write("lost", Double(check.lost), to: &writer)
      write("duplicates", Double(check.duplicates), to: &writer)
      write("reordered", Double(check.reordered), to: &writer)
    }
    if let memory {
      write("residentBytesBefore", memory.before.map { Double($0) }, to: &writer)
      write("residentBytesOpen", memory.open.map { Double($0) }, to: &writer)
      write("residentBytesClosed", memory.closed.map { Double($0) }, to: &writer)
      write("bytesPerConnection", memory.perConnection(settings.connections), to: &writer)
      write("openingSeconds", openingSeconds, to: &writer)
    }
    writer.endObject()
    return String(decoding: writer.finish(), as: UTF8.self) + "\n"
  }

  private var inputs: [(StaticString, Double)] {
    let connections: [(StaticString, Double)] = [("connections", Double(settings.connections))]
    let rooms: [(StaticString, Double)] = [
      ("rooms", Double(settings.rooms)), ("members", Double(settings.membersPerRoom)),
    ]
    let pace: [(StaticString, Double)] = [
      ("size", Double(settings.messageBytes)), ("rate", Double(settings.rate)), ("window", Double(settings.window)),
    ]
    switch scenario {
    case .rooms, .fanout: return connections + rooms + pace
    case .echo: return connections + pace
    case .connect, .idle, .raw: return connections
    }
  }

  private func write(_ measurement: Measurement, to writer: inout JSONWriter) {
    let perSecond = measurement.seconds > 0 ? Double(measurement.operations) / measurement.seconds : 0
    write("seconds", measurement.seconds, to: &writer)
    write("operations", Double(measurement.operations), to: &writer)
    write("operationsPerSecond", perSecond, to: &writer)
    write("p50", Double(measurement.latency.quantile(0.5)) / 1000, to: &writer)
    write("p99", Double(measurement.latency.quantile(0.99)) / 1000, to: &writer)
    write("p999", Double(measurement.latency.quantile(0.999)) / 1000, to: &writer)
    write("max", Double(measurement.latency.maximum) / 1000, to: &writer)
    write("generatorShare", measurement.ownShare, to: &writer)
    write("serverSeconds", settings.processes.isEmpty ? nil : measurement.serverSeconds, to: &writer)
    writer.key("generatorWasLimit")
    writer.bool(isGeneratorLimit)
  }

  /// Whole numbers are written without a point; what is unknown is null.
  private func write(_ name: StaticString, _ value: Double?, to writer: inout JSONWriter) {
    writer.key(name)
    guard let value else { return writer.null() }
    if value == value.rounded(), abs(value) < 1e15 { writer.integer(Int(value)) } else { writer.double(value) }
  }
}

/// Writes numbers for people.
enum Figures {
  /// Writes a whole number with a comma between thousands.
  static func grouped(_ value: UInt64) -> String {
    var text = ""
    for (index, digit) in "\(value)".reversed().enumerated() {
      if index > 0, index % 3 == 0 { text.append(",") }
      text.append(digit)
    }
    return String(text.reversed())
  }

  /// Writes a number with so many decimals.
  static func fixed(_ value: Double, _ decimals: Int) -> String {
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let scaled = (abs(value) * scale).rounded()
    guard scaled < 1e18 else { return "\(value)" }
    let whole = UInt64(scaled) / UInt64(scale)
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard decimals > 0 else { return sign + "\(whole)" }
    let part = "\(UInt64(scaled) % UInt64(scale))"
    return sign + "\(whole)." + String(repeating: "0", count: decimals - part.count) + part
  }

  /// Writes nanoseconds as milliseconds.
  static func milliseconds(_ nanoseconds: UInt64) -> String { fixed(Double(nanoseconds) / 1e6, 3) + " ms" }
}
