import JSONCore

/// The value of a field of a log entry: in JSON a number is a number and a truth value one, everything else a string.
public protocol LogValue {
  /// Writes the value as JSON.
  func write(to writer: inout JSONWriter)
  /// The value for people.
  var logText: String { get }
}

extension String: LogValue {
  public func write(to writer: inout JSONWriter) { writer.string(self) }

  /// Quoted as JSON where it could be taken for more than one field.
  public var logText: String {
    if !isEmpty, !contains(where: { $0 == " " || $0 == "\"" || $0 == "=" }) { return self }
    var quoted: [UInt8] = []
    JSONString.append(Array(utf8).span, to: &quoted)
    return String(decoding: quoted, as: UTF8.self)
  }
}

extension Int: LogValue {
  public func write(to writer: inout JSONWriter) { writer.integer(self) }
  public var logText: String { String(self) }
}

extension UInt64: LogValue {
  public func write(to writer: inout JSONWriter) { writer.unsigned(self) }
  public var logText: String { String(self) }
}

extension Bool: LogValue {
  public func write(to writer: inout JSONWriter) { writer.bool(self) }
  public var logText: String { self ? "true" : "false" }
}
