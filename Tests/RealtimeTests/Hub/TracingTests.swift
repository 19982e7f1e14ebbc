import ClientProtocol
import Testing

@testable import Realtime

/// What becomes of a trace in the hub.
@Suite("Traces in the hub")
struct TracingTests {
  private static let sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
  private static let unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"

  private static let context = TraceContext(Array(sent.utf8).span)

  private final class Seen {
    var envelopes: [[UInt8]] = []
    var filled = 0
  }

  private func tracer(share: Double = 0, brokerSpan: StaticString? = "redis publish") -> Tracer {
    var now: UInt64 = 1000
    return Tracer(share: share, brokerSpan: brokerSpan, seed: 1) {
      now += 1
      return now
    }
  }

  private func bench(_ tracer: Tracer?) -> (HubBench, Seen) {
    let (bench, seen) = (HubBench(), Seen())
    bench.hub.tracer = tracer
    bench.hub.observers.add(.messages) {
      if case .published(_, _, let envelope) = $0 { seen.envelopes.append(envelope) }
    }
    return (bench, seen)
  }

  private func trace(_ envelope: [UInt8]) -> String? {
    Envelope(envelope.span)?.traceContext(in: envelope.span).map { String(decoding: $0.text, as: UTF8.self) }
  }

  private func attribute(_ span: TraceSpan?, _ name: String) -> TraceSpan.Value? {
    span?.attributes.first { "\($0.key)" == name }?.value
  }

  @Test("a sampled publish has spans of the operation, the broker and the delivery, each caused by the one before")
  func spans() throws {
    let tracer = tracer()
    let (bench, seen) = bench(tracer)
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    for client in [ann, bob] { client.join() }
    _ = (ann.take(), bob.take())
    ann.publish(#""n":1,"traceparent":"\#(Self.sent)""#)
    // The sender gets no copy of its own message, and the receiver the member as it was written.
    #expect(ann.take().isEmpty)
    #expect(bob.take().map(\.description).first?.hasSuffix(#""n":1,"traceparent":"\#(Self.sent)"}"#) == true)
    let spans = tracer.take()
    try #require(spans.map { "\($0.name)" } == ["redis publish", "publish", "deliver"])
    let (broker, publish, deliver) = (spans[0], spans[1], spans[2])
    #expect(publish.parent == 0xb7ad_6b71_6920_3331 && publish.kind == .server)
    #expect(broker.parent == publish.context.span && broker.kind == .producer)
    #expect(deliver.parent == broker.context.span && deliver.kind == .consumer)
    #expect(Set(spans.map(\.context.span)).count == 3)
    for span in spans {
      #expect(span.context.traceHigh == 0x0af7_6519_16cd_43dd && span.context.isSampled)
      #expect(span.start <= span.end && span.problem == nil)
      #expect(attribute(span, "messaging.destination.name") == .text(Array("r".utf8)))
    }
    #expect(attribute(publish, "roost.offset") == .number(1))
    #expect(attribute(deliver, "roost.connections") == .number(2))
    #expect(attribute(deliver, "messaging.batch.message_count") == .number(1))
    #expect(seen.envelopes.compactMap(trace) == [String(decoding: broker.context.text, as: UTF8.self)])
  }

  @Test("without an exporter, or not sampled, a trace passes through as it came")
  func passesThrough() {
    for (tracer, sent) in [(nil, Self.sent), (nil, Self.unsampled), (tracer(share: 1), Self.unsampled)] {
      let (bench, seen) = bench(tracer)
      let ann = bench.open("ann")
      ann.join()
      ann.publish(#""traceparent":"\#(sent)""#)
      _ = ann.take()
      #expect(seen.envelopes.compactMap(trace) == [sent])
      #expect(tracer?.count ?? 0 == 0)
    }
  }

  @Test(
    "a publish without a trace, or with one that is to be ignored, has none, and begins one where that is asked for")
  func sampling() {
    for (share, expected) in [(0.0, 0...0), (1.0, 300...300), (0.5, 100...200)] {
      let tracer = tracer(share: share)
      let (bench, seen) = bench(tracer)
      let ann = bench.open("ann")
      ann.join()
      for n in 0..<300 { ann.publish(n % 2 == 0 ? #""n":1"# : #""traceparent":"00-zero""#) }
      _ = ann.take()
      #expect(seen.envelopes.count == 300)
      #expect(expected.contains(seen.envelopes.compactMap(trace).count), "share \(share)")
      var spans: [TraceSpan] = []
      while tracer.count > 0 { spans += tracer.take() }
      let roots = spans.filter { "\($0.name)" == "publish" }
      #expect(expected.contains(roots.count) && roots.allSatisfy { $0.parent == nil })
      #expect(Set(roots.map { [$0.context.traceHigh, $0.context.traceLow] }).count == roots.count)
    }
  }

  @Test("what one tick brings is delivered with one span, which names the other traces up to a bound")
  func batches() throws {
    let tracer = tracer(brokerSpan: nil)
    let (bench, _) = bench(tracer)
    let ann = bench.open("ann")
    ann.join()
    let count = TraceLimits.linksMax + 5
    for n in 1...count {
      let id = String(repeating: "0", count: 30) + (n < 10 ? "0\(n)" : "\(n)")
      ann.post(#"{"type":"message","room":"r","traceparent":"00-\#(id)-b7ad6b7169203331-01"}"#)
    }
    _ = ann.take()
    let spans = tracer.take()
    let deliveries = spans.filter { "\($0.name)" == "deliver" }
    try #require(deliveries.count == 1)
    #expect(spans.count == count + 1)
    #expect(deliveries[0].links.count == TraceLimits.linksMax)
    // Without a broker elsewhere the operation itself is the cause.
    #expect(deliveries[0].parent == spans.first { "\($0.name)" == "publish" }?.context.span)
    #expect(attribute(deliveries[0], "messaging.batch.message_count") == .number(count))
    ann.publish(#""n":1"#)
    _ = ann.take()
    #expect(tracer.count == 0)
  }

  @Test("ephemeral, direct, broadcast and backends' messages are traced, too")
  func others() throws {
    let tracer = tracer()
    let (bench, seen) = bench(tracer)
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    for client in [ann, bob] { client.join() }
    func names(_ act: () throws -> Void) rethrows -> [String] {
      try act()
      _ = (ann.take(), bob.take())
      let spans = tracer.take()
      #expect(Set(spans.map(\.context.traceLow)).count == 1)
      return spans.map { "\($0.name)" }.sorted()
    }
    let all = ["deliver", "publish", "redis publish"]
    let member = #""traceparent":"\#(Self.sent)""#
    #expect(names { ann.send(#"{"type":"message","room":"r","ephemeral":true,\#(member)}"#) } == all)
    #expect(names { ann.send(#"{"type":"direct","to":"bob",\#(member)}"#) } == all)
    #expect(names { ann.send(#"{"type":"broadcast",\#(member)}"#) } == all)
    let context = try #require(Self.context)
    let data = Array("{}".utf8)
    #expect(
      try names {
        try bench.hub.publish(room: Array("r".utf8), data: data.span, idempotencyKey: nil, trace: context) { _ in }
      } == all)
    #expect(
      try names {
        try bench.hub.send(data: data.span, to: .everyone, idempotencyKey: nil, trace: context) { _ in }
      } == all)
    #expect(seen.envelopes.count == 1)
    let caller = RequestCaller(
      user: Array("eve".utf8), identity: nil, address: Array("127.0.0.1".utf8), trace: context
    ) { _, _ in }
    let text = Array(#"{"type":"message","room":"r"}"#.utf8)
    #expect(names { bench.hub.perform(text.span, by: caller) } == all)
  }

  @Test("a publish that fails says so")
  func failure() throws {
    let tracer = tracer()
    let (bench, _) = bench(tracer)
    let ann = bench.open("ann")
    ann.join()
    bench.broker.goAway()
    ann.publish(#""traceparent":"\#(Self.sent)""#)
    let spans = tracer.take()
    #expect(spans.map { "\($0.name)" } == ["redis publish", "publish"])
    #expect(spans.allSatisfy { $0.problem == "unavailable" })
  }

  @Test("spans beyond the queue are dropped and counted, and nobody is waited for")
  func overflow() {
    let (tracer, seen) = (tracer(), Seen())
    tracer.filled = { seen.filled += 1 }
    let context = TraceContext(traceHigh: 1, traceLow: 1, span: 1, isSampled: true)
    for _ in 0..<(TraceLimits.queueMax + 7) {
      tracer.record(TraceSpan("s", .client, context, parent: nil, from: 2, to: 1))
    }
    #expect(tracer.count == TraceLimits.queueMax && tracer.dropped == 7 && seen.filled > 0)
    let taken = tracer.take()
    #expect(taken.count == TraceLimits.batchMax && tracer.count == TraceLimits.queueMax - taken.count)
    #expect(taken[0].end == 2, "a clock that was set makes no span that ends before it begins")
    tracer.record(TraceSpan("s", .client, context, parent: nil, from: 1, to: 1))
    #expect(tracer.dropped == 7)
  }

  @Test("an envelope with a trace reads as before to a node that knows no traces")
  func oldNodes() throws {
    var plain: [UInt8] = []
    Envelope.begin(
      .message, timestamp: 1_700_000_000_000, origin: Array("n1-7".utf8), userJSON: Array(#""a b""#.utf8), into: &plain)
    plain += Array(#""text":"; 00-""#.utf8)
    let context = try #require(Self.context)
    var traced = plain
    Envelope.insert(context, into: &traced)
    #expect(
      String(decoding: traced, as: UTF8.self)
        == "m 1700000000000 n1-7;\(Self.sent) \"a b\"\n\"text\":\"; 00-\"")
    // As version 0.1 read it: fields by spaces, the line by its end.
    let line = traced[..<(traced.firstIndex(of: 0x0A) ?? 0)].split(separator: 0x20, maxSplits: 3)
    #expect(line.count == 4 && line[3].elementsEqual(#""a b""#.utf8))
    // What stands in the place of the sender's name names no connection, so nobody is left out.
    let bench = HubBench()
    #expect(bench.hub.session(named: Array(line[2])) == nil)
    for bytes in [plain, traced] {
      let read = Envelope(bytes.span)
      let envelope = try #require(read)
      #expect(bytes[envelope.origin].elementsEqual("n1-7".utf8))
      #expect(bytes[envelope.user].elementsEqual(#""a b""#.utf8))
      #expect(bytes[envelope.body].elementsEqual(#""text":"; 00-""#.utf8))
      #expect(envelope.traceContext(in: bytes.span) == (bytes == plain ? nil : context))
    }
  }
}
