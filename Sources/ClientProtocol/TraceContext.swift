import JSONCore

/// A place in a distributed trace, as `traceparent` carries it: the trace, the step that caused what follows, and whether the
/// trace is recorded (W3C Trace Context, Recommendation of 2021-11-23).
public struct TraceContext: Hashable, Sendable {
  /// The first and the last 8 bytes of the trace's id; not both 0.
  public let traceHigh: UInt64
  public let traceLow: UInt64
  /// The id of the step, a span; not 0.
  public let span: UInt64
  /// Whether its sender records the trace.
  public let isSampled: Bool

  /// Bytes of its text: version, trace, span and flags in hexadecimal digits, with a dash between them.
  public static let byteCount = 55

  /// Makes a place of its numbers, which must not be 0.
  public init(traceHigh: UInt64, traceLow: UInt64, span: UInt64, isSampled: Bool) {
    (self.traceHigh, self.traceLow, self.span, self.isSampled) = (traceHigh, traceLow, span, isSampled)
  }

  /// Reads the value of a `traceparent`; nil for what the Recommendation has receivers ignore (section 3.2.2): upper case,
  /// other lengths, ids of zeros, version ff. A version after 00 is read as far as 00 defines it (section 3.2.4).
  public init?(_ text: Span<UInt8>) {
    guard text.count >= TraceContext.byteCount, text[2] == TraceContext.dash, text[35] == TraceContext.dash,
      text[52] == TraceContext.dash, let version = TraceContext.number(text, 0..<2), version != 0xFF,
      let high = TraceContext.number(text, 3..<19), let low = TraceContext.number(text, 19..<35), high | low != 0,
      let span = TraceContext.number(text, 36..<52), span != 0, let flags = TraceContext.number(text, 53..<55)
    else { return nil }
    if text.count > TraceContext.byteCount {
      guard version > 0, text[TraceContext.byteCount] == TraceContext.dash else { return nil }
    }
    self.init(traceHigh: high, traceLow: low, span: span, isSampled: flags & 1 == 1)
  }

  /// The same of a JSON string.
  public init?(_ string: JSONStringRange, in text: Span<UInt8>) {
    if string.hasEscapes {
      guard let decoded = string.decoded(in: text) else { return nil }
      self.init(decoded.span)
    } else {
      self.init(text.extracting(string.contents))
    }
  }

  /// The same trace at another of its steps.
  public func at(_ span: UInt64) -> TraceContext {
    TraceContext(traceHigh: traceHigh, traceLow: traceLow, span: span, isSampled: isSampled)
  }

  /// Writes the value of a `traceparent` of version 00: ``byteCount`` bytes.
  public func append(to output: inout [UInt8]) {
    output.append("00-")
    appendTraceID(to: &output)
    output.append(TraceContext.dash)
    TraceContext.append(span, to: &output)
    output.append(isSampled ? "-01" : "-00")
  }

  /// Writes the trace's id as 32 hexadecimal digits.
  public func appendTraceID(to output: inout [UInt8]) {
    TraceContext.append(traceHigh, to: &output)
    TraceContext.append(traceLow, to: &output)
  }

  /// Writes an id of 8 bytes as 16 hexadecimal digits.
  public static func append(_ id: UInt64, to output: inout [UInt8]) {
    for shift in stride(from: 60, through: 0, by: -4) {
      let digit = UInt8(truncatingIfNeeded: id &>> UInt64(shift)) & 15
      output.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit)
    }
  }

  /// The value of a `traceparent`.
  public var text: [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(TraceContext.byteCount)
    append(to: &output)
    return output
  }

  private static let dash = UInt8(ascii: "-")

  /// Reads digits of a number, at most 16; nil where there is another byte.
  private static func number(_ text: Span<UInt8>, _ range: Range<Int>) -> UInt64? {
    var value: UInt64 = 0
    for index in range {
      let byte = text[index]
      let digit: UInt8
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      default: return nil
      }
      value = value &<< 4 | UInt64(digit)
    }
    return value
  }
}
