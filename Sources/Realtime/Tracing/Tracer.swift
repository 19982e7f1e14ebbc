import ClientProtocol

/// Makes the spans of a node and keeps them until they are taken: at most `TraceLimits.queueMax`, what comes then is dropped and
/// counted. It waits for nobody. Confined to the loop that created it.
public final class Tracer {
  /// The name of the span of giving a message to the broker; nil: it takes no time worth one.
  let brokerSpan: StaticString?
  private let share: Double
  private let clock: () -> UInt64
  private var spans: [TraceSpan] = []
  private var state: UInt64
  /// Spans that were dropped because too many waited.
  public private(set) var dropped: UInt64 = 0
  /// Called when as many spans wait as are posted at once, or more.
  public var filled: () -> Void = {}

  /// - Parameters:
  ///   - share: of the publishes that are part of no trace, the share that begins one: 0 to 1.
  ///   - brokerSpan: what giving a message to the broker is called; nil: that is no span.
  ///   - seed: of the ids; at random by default.
  ///   - clock: nanoseconds since 1970.
  public init(
    share: Double, brokerSpan: StaticString?, seed: UInt64 = .random(in: 0 ... .max), clock: @escaping () -> UInt64
  ) {
    (self.share, self.brokerSpan, self.clock) = (share, brokerSpan, clock)
    state = seed
  }

  /// Whether publishes that are part of no trace may begin one.
  var beginsTraces: Bool { share > 0 }
  /// Spans that wait.
  public var count: Int { spans.count }
  /// Nanoseconds since 1970.
  public var now: UInt64 { clock() }

  /// A number that is not 0; SplitMix64 (Steele, Lea, Flood 2014). Ids need to be unique, not secret.
  public func makeID() -> UInt64 {
    while true {
      state &+= 0x9E37_79B9_7F4A_7C15
      var id = state
      id = (id ^ (id &>> 30)) &* 0xBF58_476D_1CE4_E5B9
      id = (id ^ (id &>> 27)) &* 0x94D0_49BB_1331_11EB
      id ^= id &>> 31
      if id != 0 { return id }
    }
  }

  /// Begins the spans of a publish; nil: it is not recorded.
  ///
  /// - Parameter parent: what its sender says; nil: nothing, so that the share decides.
  func begin(_ parent: TraceContext?) -> PublishTrace? {
    if let parent { return parent.isSampled ? PublishTrace(parent, parent: parent.span, self) : nil }
    // 53 bits make every fraction that a Double tells apart.
    guard Double(makeID() &>> 11) < share * 0x1p53 else { return nil }
    let context = TraceContext(traceHigh: makeID(), traceLow: makeID(), span: makeID(), isSampled: true)
    return PublishTrace(context, parent: nil, self)
  }

  /// Keeps a span that has ended.
  public func record(_ span: TraceSpan) {
    guard spans.count < TraceLimits.queueMax else {
      dropped += 1
      return
    }
    spans.append(span)
    if spans.count >= TraceLimits.batchMax { filled() }
  }

  /// Takes the oldest spans: as many as are posted at once.
  public func take() -> [TraceSpan] {
    let count = min(spans.count, TraceLimits.batchMax)
    defer { spans.removeFirst(count) }
    return Array(spans[..<count])
  }
}

/// The spans of one publish that is recorded: of the operation, and within it of the broker.
final class PublishTrace {
  private let tracer: Tracer
  private let context: TraceContext
  private let parent: UInt64?
  private let start: UInt64
  private let brokerID: UInt64

  /// - Parameters:
  ///   - trace: the trace; its span counts for nothing.
  ///   - parent: the span of its sender; nil: the trace begins here.
  init(_ trace: TraceContext, parent: UInt64?, _ tracer: Tracer) {
    self.tracer = tracer
    self.parent = parent
    context = trace.at(tracer.makeID())
    brokerID = tracer.brokerSpan == nil ? context.span : tracer.makeID()
    start = tracer.now
  }

  /// What the message carries: those who receive it are caused by this.
  var carried: TraceContext { context.at(brokerID) }

  /// Records the spans, now that the broker has answered.
  ///
  /// - Parameters:
  ///   - error: why it failed; nil: it did not.
  ///   - room: where it was published; nil: outside of rooms.
  ///   - position: of the message; nil: it has none.
  ///   - bytes: of the message with what stands before it between nodes.
  func end(_ error: BrokerError?, room: [UInt8]? = nil, at position: Position? = nil, bytes: Int) {
    let end = tracer.now
    let problem = error.map { "\($0)" }
    var attributes: [(key: StaticString, value: TraceSpan.Value)] = [
      ("messaging.system", .text(Array("roost".utf8))), ("messaging.message.envelope.size", .number(bytes)),
    ]
    if let room { attributes.append(("messaging.destination.name", .text(room))) }
    if let position { attributes.append(("roost.offset", .number(Int(position.offset)))) }
    if let name = tracer.brokerSpan {
      record(TraceSpan(name, .producer, carried, parent: context.span, from: start, to: end), attributes, problem)
    }
    record(TraceSpan("publish", .server, context, parent: parent, from: start, to: end), attributes, problem)
  }

  private func record(
    _ span: TraceSpan, _ attributes: [(key: StaticString, value: TraceSpan.Value)], _ problem: String?
  ) {
    var span = span
    (span.attributes, span.problem) = (attributes, problem)
    tracer.record(span)
  }
}

@available(*, unavailable)
extension Tracer: Sendable {}
