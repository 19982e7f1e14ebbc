import ClientProtocol
import LoopCore
import Realtime
import TestSupport
import Testing
import TimeCore

@testable import Telemetry

@Suite("The exporter of spans, a real collector", .serialized)
struct SpanExporterTests {
  private final class Lines {
    var all: [String] = []
  }

  private let loop: EventLoop
  private let collector: TraceCollector
  private let tracer: Tracer
  private let lines = Lines()

  init() throws {
    loop = try EventLoop()
    collector = try TraceCollector()
    tracer = Tracer(share: 0, brokerSpan: nil, clock: Clock.wallNanoseconds)
  }

  private func exporter() -> SpanExporter {
    SpanExporter(loop, url: collector.url, tracer: tracer, node: Array("n1".utf8), version: "1.2.3") { [lines] in
      lines.all.append(($0 ? "warn " : "info ") + $1)
    }
  }

  private func record(_ count: Int = 1) {
    for _ in 0..<count {
      let context = TraceContext(
        traceHigh: tracer.makeID(), traceLow: tracer.makeID(), span: tracer.makeID(), isSampled: true)
      tracer.record(TraceSpan("publish", .server, context, parent: nil, from: tracer.now, to: tracer.now))
    }
  }

  private func drive(within seconds: Double = 30, until isSo: () throws -> Bool) throws {
    let deadline = Deadline(within: seconds)
    while try !isSo() {
      guard deadline.millisecondsLeft > 0 else {
        throw TestFailure("the loop did not come that far within \(seconds) s")
      }
      loop.tick(waitMillisecondsMax: 20)
    }
  }

  @Test("a URL without a path gets that of OTLP")
  func url() {
    for (given, complete) in [
      ("http://h:4318", "http://h:4318/v1/traces"), ("https://h/", "https://h/v1/traces"),
      ("http://h/otlp/v1/traces", "http://h/otlp/v1/traces"), ("http://h/x/", "http://h/x/"),
    ] {
      #expect(SpanExporter.complete(given) == complete)
    }
  }

  @Test("posts spans with all that they hold, as the protocol asks")
  func form() throws {
    defer { loop.close() }
    let exporter = exporter()
    let context = TraceContext(traceHigh: 0x0af7_6519_16cd_43dd, traceLow: 1, span: 0xAB, isSampled: true)
    var span = TraceSpan(
      "deliver", .consumer, context, parent: 7, from: 1_700_000_000_000_000_000, to: 1_700_000_000_000_000_001)
    span.attributes = [("room", .text(Array("a\"é".utf8))), ("count", .number(-3))]
    span.links = [context.at(9)]
    span.problem = "status 500"
    tracer.record(span)
    exporter.start()
    try drive { exporter.exported == 1 }
    #expect(collector.problems.isEmpty, "\(collector.problems)")
    let taken = try #require(try collector.spans().first)
    #expect(taken.node == "n1" && taken.name == "deliver" && taken.kind == 5)
    #expect(taken.trace == "0af7651916cd43dd0000000000000001" && taken.id == "00000000000000ab")
    #expect(taken.parent == "0000000000000007")
    #expect(taken.json["startTimeUnixNano"]?.asString == "1700000000000000000")
    #expect(taken.attribute("room") == "a\"é" && taken.attribute("count") == "-3")
    #expect(taken.json["links"]?.asArray?.first?["spanId"]?.asString == "0000000000000009")
    #expect(taken.json["status"]?["message"]?.asString == "status 500")
  }

  @Test("a full queue is posted at once, in pieces, and nothing twice")
  func pieces() throws {
    defer { loop.close() }
    let exporter = exporter()
    exporter.start()
    let count = TraceLimits.queueMax
    record(count)
    try drive { exporter.exported == UInt64(count) }
    #expect(exporter.dropped == 0 && collector.problems.isEmpty)
    #expect(Set(try collector.spans().map(\.id)).count == count)
    #expect(collector.postCount == count / TraceLimits.batchMax)
  }

  @Test("while the collector takes its time nothing waits, and what is too much is dropped and counted")
  func stalled() throws {
    defer { loop.close() }
    try collector.folder.write("stall", [])
    let exporter = exporter()
    exporter.start()
    record(TraceLimits.batchMax)
    try drive { collector.postCount == 1 }
    record(TraceLimits.queueMax + 100)
    // The loop goes on: a post is under way, and no other is begun.
    loop.tick(waitMillisecondsMax: 0)
    #expect(exporter.dropped == 100 && exporter.exported == 0 && collector.postCount == 1)
    try collector.folder.remove("stall")
    try drive { exporter.exported == UInt64(TraceLimits.batchMax + TraceLimits.queueMax) }
    #expect(exporter.dropped == 100 && lines.all.isEmpty)
  }

  @Test("what was not answered, or with 503, is posted again; what was refused is not; one line tells of each change")
  func failures() throws {
    defer { loop.close() }
    collector.stop()
    let exporter = exporter()
    exporter.start()
    record()
    try drive { lines.all.count == 1 }
    #expect(lines.all[0].hasPrefix("warn the collector of traces fails"))
    try collector.folder.write("status", Array("503".utf8))
    try collector.start()
    try drive { collector.postCount >= 1 }
    #expect(exporter.exported == 0 && exporter.dropped == 0)
    try collector.folder.remove("status")
    try drive { exporter.exported == 1 }
    #expect(lines.all.count == 2 && lines.all[1] == "info the collector of traces is back")
    try collector.folder.write("status", Array("400".utf8))
    record(3)
    try drive { exporter.dropped == 3 }
    try collector.folder.remove("status")
    try collector.folder.write("body", Array(#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"no"}}"#.utf8))
    record(5)
    try drive { exporter.exported == 4 }
    #expect(exporter.dropped == 5)
    #expect(collector.problems.isEmpty)
  }

  @Test("at the end posts what is left, and waits for a collector that takes it, but not for one that fails")
  func end() throws {
    defer { loop.close() }
    let exporter = exporter()
    exporter.start()
    record(TraceLimits.batchMax * 2 + 1)
    var isDone = false
    exporter.stop(within: .seconds(20)) { isDone = true }
    try drive { isDone }
    #expect(exporter.exported == UInt64(TraceLimits.batchMax * 2 + 1))
    let other = self.exporter()
    collector.stop()
    other.start()
    record()
    isDone = false
    other.stop(within: .seconds(20)) { isDone = true }
    try drive { isDone }
    #expect(other.dropped == 1)
    other.stop(within: .zero) { isDone = false }
    #expect(!isDone)
  }
}
