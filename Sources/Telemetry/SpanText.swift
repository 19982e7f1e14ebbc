import ClientProtocol
import JSONCore
import Realtime

/// Writes spans as the JSON of OTLP 1.x (`ExportTraceServiceRequest`): ids in hexadecimal, integers of 64 bits as strings.
public struct SpanText: Sendable {
  /// Everything up to the first span, which is the same in each request.
  private let begin: [UInt8]

  /// Makes a writer for the spans of a node.
  ///
  /// - Parameters:
  ///   - node: its id, the `service.instance.id`.
  ///   - version: of the program, the `service.version`.
  public init(node: [UInt8], version: String) {
    var writer = JSONWriter(capacity: 512)
    writer.beginObject()
    writer.key("resourceSpans")
    writer.beginArray()
    writer.beginObject()
    writer.key("resource")
    writer.beginObject()
    SpanText.write(
      [
        ("service.name", .text(Array("roost".utf8))), ("service.version", .text(Array(version.utf8))),
        ("service.instance.id", .text(node)),
      ], to: &writer)
    writer.endObject()
    writer.key("scopeSpans")
    writer.beginArray()
    writer.beginObject()
    writer.key("scope")
    writer.beginObject()
    writer.key("name")
    writer.string("roost")
    writer.endObject()
    writer.key("spans")
    begin = writer.finish()
  }

  /// The body of a request.
  public func body(of spans: [TraceSpan]) -> [UInt8] {
    var writer = JSONWriter(appendingTo: begin)
    writer.beginArray()
    for span in spans { SpanText.write(span, to: &writer) }
    writer.endArray()
    for _ in 0..<2 {
      writer.endObject()
      writer.endArray()
    }
    writer.endObject()
    return writer.finish()
  }

  private static func write(_ span: TraceSpan, to writer: inout JSONWriter) {
    writer.beginObject()
    write(span.context, to: &writer)
    if let parent = span.parent {
      writer.key("parentSpanId")
      writer.string(hexadecimal(parent))
    }
    writer.key("name")
    writer.string(span.name)
    writer.key("kind")
    writer.integer(span.kind.rawValue)
    writer.key("startTimeUnixNano")
    writer.string(String(span.start))
    writer.key("endTimeUnixNano")
    writer.string(String(span.end))
    write(span.attributes, to: &writer)
    if !span.links.isEmpty {
      writer.key("links")
      writer.beginArray()
      for link in span.links {
        writer.beginObject()
        write(link, to: &writer)
        writer.endObject()
      }
      writer.endArray()
    }
    if let problem = span.problem {
      writer.key("status")
      writer.beginObject()
      // STATUS_CODE_ERROR.
      writer.key("code")
      writer.integer(2)
      writer.key("message")
      writer.string(problem)
      writer.endObject()
    }
    writer.endObject()
  }

  private static func write(_ context: TraceContext, to writer: inout JSONWriter) {
    var id: [UInt8] = []
    context.appendTraceID(to: &id)
    writer.key("traceId")
    writer.string(id)
    writer.key("spanId")
    writer.string(hexadecimal(context.span))
  }

  private static func hexadecimal(_ id: UInt64) -> [UInt8] {
    var digits: [UInt8] = []
    TraceContext.append(id, to: &digits)
    return digits
  }

  private static func write(
    _ attributes: [(key: StaticString, value: TraceSpan.Value)], to writer: inout JSONWriter
  ) {
    writer.key("attributes")
    writer.beginArray()
    for attribute in attributes {
      writer.beginObject()
      writer.key("key")
      writer.string(attribute.key)
      writer.key("value")
      writer.beginObject()
      switch attribute.value {
      case .text(let text):
        writer.key("stringValue")
        writer.string(text)
      case .number(let number):
        writer.key("intValue")
        writer.string(String(number))
      }
      writer.endObject()
      writer.endObject()
    }
    writer.endArray()
  }
}
