import JSONCore

/// What one look of `roost doctor` found.
struct Finding: Equatable {
  enum Verdict: String {
    case ok, warn, fail
  }

  let verdict: Verdict
  /// What was looked at, such as `open files`.
  let name: String
  /// What was seen.
  let seen: String
  /// What to change; empty when nothing is.
  let change: String

  static func ok(_ name: String, _ seen: String) -> Finding {
    Finding(verdict: .ok, name: name, seen: seen, change: "")
  }

  static func warn(_ name: String, _ seen: String, _ change: String) -> Finding {
    Finding(verdict: .warn, name: name, seen: seen, change: change)
  }

  static func fail(_ name: String, _ seen: String, _ change: String) -> Finding {
    Finding(verdict: .fail, name: name, seen: seen, change: change)
  }

  /// One line, and one more with what to change.
  var text: String {
    let word = verdict.rawValue + String(repeating: " ", count: 4 - verdict.rawValue.count)
    let first = "\(word)  \(name): \(seen)\n"
    return change.isEmpty ? first : first + "      \(change)\n"
  }

  /// All findings as one JSON object.
  static func json(_ findings: [Finding]) -> [UInt8] {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("findings")
    writer.beginArray()
    for finding in findings {
      writer.beginObject()
      for (key, value): (StaticString, String) in [
        ("verdict", finding.verdict.rawValue), ("name", finding.name), ("seen", finding.seen),
        ("change", finding.change),
      ] {
        writer.key(key)
        writer.string(value)
      }
      writer.endObject()
    }
    writer.endArray()
    writer.endObject()
    return writer.finish()
  }
}
