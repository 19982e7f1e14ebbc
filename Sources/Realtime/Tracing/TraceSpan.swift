import ClientProtocol

/// A step of a trace that has ended: what was done, from when to when, because of which other step.
public struct TraceSpan: Sendable {
  /// Which side of an exchange it is; the raw values are those of OTLP (`SpanKind`).
  public enum Kind: Int, Sendable {
    /// The answer to a request.
    case server = 2
    /// A request to somebody else.
    case client = 3
    /// A message given to a broker.
    case producer = 4
    /// Messages taken from a broker.
    case consumer = 5
  }

  /// The value of an attribute.
  public enum Value: Equatable, Sendable {
    /// Valid UTF-8.
    case text([UInt8])
    case number(Int)
  }

  /// One of a few names, never made of what clients send.
  public let name: StaticString
  public let kind: Kind
  /// The trace, and this step's own id.
  public let context: TraceContext
  /// The id of the step that caused it; nil: the trace begins with it.
  public let parent: UInt64?
  /// Nanoseconds since 1970.
  public let start: UInt64
  /// Nanoseconds since 1970.
  public let end: UInt64
  public var attributes: [(key: StaticString, value: Value)] = []
  /// Steps of other traces that it was done for, too.
  public var links: [TraceContext] = []
  /// What went wrong; nil: nothing.
  public var problem: String?

  /// Makes a step; one that would end before its start, because the clock was set, ends with it.
  public init(
    _ name: StaticString, _ kind: Kind, _ context: TraceContext, parent: UInt64?, from start: UInt64, to end: UInt64
  ) {
    (self.name, self.kind, self.context, self.parent) = (name, kind, context, parent)
    (self.start, self.end) = (start, max(start, end))
  }
}

/// The fixed limits of traces.
public enum TraceLimits {
  /// Spans that wait for the collector: about a megabyte. One more is dropped and counted.
  public static let queueMax = 2048
  /// Spans that are posted at once: a fraction of a millisecond of the loop to write.
  public static let batchMax = 256
  /// Other traces that one span names. A batch holds what one tick brings; whom the rest belongs to is in their own spans.
  public static let linksMax = 16
}
