import JSONCore

/// What a field of a log line holds: in JSON a number is a number and a truth value one, everything else a string.
protocol LogValue {
  /// Writes the value as JSON.
  func write(to writer: inout JSONWriter)
  /// The value for people.
  var logText: String { get }
}

extension String: LogValue {
  func write(to writer: inout JSONWriter) { writer.string(self) }

  /// Quoted as JSON where it could be taken for more than one field.
  var logText: String {
    if !isEmpty, !contains(where: { $0 == " " || $0 == "\"" || $0 == "=" }) { return self }
    var quoted: [UInt8] = []
    JSONString.append(Array(utf8).span, to: &quoted)
    return String(decoding: quoted, as: UTF8.self)
  }
}

extension Int: LogValue {
  func write(to writer: inout JSONWriter) { writer.integer(self) }
  var logText: String { String(self) }
}

extension UInt64: LogValue {
  func write(to writer: inout JSONWriter) { writer.unsigned(self) }
  var logText: String { String(self) }
}

extension Bool: LogValue {
  func write(to writer: inout JSONWriter) { writer.bool(self) }
  var logText: String { self ? "true" : "false" }
}
