import ClientProtocol
import JSONCore
import LoopCore
import Realtime
import TestSupport
import Testing
import TimeCore

@testable import Webhooks

@Suite("Traces of webhooks", .serialized)
struct EventTraceTests {
  private static let sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

  private static let context = TraceContext(Array(sent.utf8).span)
  private static let position = Position(text: Array("1f:7".utf8).span)

  @Test("an event of a message has the trace that its envelope carries, at its end")
  func event() throws {
    for (origin, expected) in [("n1-7", nil), ("n1-7;\(Self.sent)", Self.sent), ("-;\(Self.sent)", Self.sent)] {
      for (kind, body) in [("m", #""traceparent":"x""#), ("b", "\u{1}")] {
        let envelope = Array("\(kind) 1700000000000 \(origin) \"ann\"\n\(body)".utf8)
        let position = try #require(Self.position)
        let event = try #require(EventText.message(room: Array("r".utf8), position, envelope: envelope))
        #expect(EventText.trace(of: event).map { String(decoding: $0.text, as: UTF8.self) } == expected)
        #expect(try JSONValue.parse(event.span)["traceparent"]?.asString == expected)
      }
    }
  }

  @Test(
    "what a sender wrote is no trace of its event",
    arguments: [
      #"{"id":"1","data":{"a":1,"traceparent":"TP"}}"#, #"{"id":"1","info":",\"traceparent\":\"TP"}"#,
      #"{"id":"1","traceparent":"none"}"#, #","traceparent":"TP"}"#, "", "{}",
    ])
  func forged(text: String) {
    let filled = text.split(separator: "TP", omittingEmptySubsequences: false).joined(separator: Self.sent)
    #expect(EventText.trace(of: Array(filled.utf8)) == nil)
  }

  @Test("the receiver gets a traceparent: of the post's own span where it is recorded, else as it came")
  func header() throws {
    let loop = try EventLoop()
    defer { loop.close() }
    let receiver = try WebhookReceiver()
    let tracer = Tracer(share: 0, brokerSpan: nil, clock: Clock.wallNanoseconds)
    let context = try #require(Self.context)
    let unsampled = TraceContext(traceHigh: 1, traceLow: 2, span: 3, isSampled: false)
    func post(_ traces: [TraceContext], _ tracer: Tracer?) throws -> String? {
      let client = WebhookClient(
        loop, url: receiver.url, secrets: [Array("s".utf8)], timeout: .seconds(10), tracer: tracer)
      let before = receiver.requests().count
      var isDone = false
      client.post(Array("{}".utf8), traces: traces) { _ in isDone = true }
      let deadline = Deadline(within: 20)
      while !isDone, deadline.millisecondsLeft > 0 { loop.tick(waitMillisecondsMax: 20) }
      return receiver.requests()[before].headers["traceparent"]
    }
    #expect(try post([], tracer) == nil)
    #expect(try post([context], nil) == Self.sent)
    #expect(try post([unsampled], tracer) == String(decoding: unsampled.text, as: UTF8.self))
    #expect(tracer.count == 0)
    try receiver.folder.write("status", Array("500".utf8))
    let header = try #require(try post([context, unsampled, context.at(9)], tracer))
    let span = try #require(tracer.take().first)
    #expect(header == String(decoding: span.context.text, as: UTF8.self))
    #expect(span.parent == context.span && span.context.span != context.span && span.kind == .client)
    #expect(span.links == [context.at(9)] && span.problem == "status 500")
  }
}
