import JSONCore
import Testing

@testable import ClientProtocol

/// The vectors are those of the W3C's test suite for Trace Context (test/test.py of w3c/trace-context), level 1.
@Suite("Trace context")
struct TraceContextTests {
  private static let trace = "12345678901234567890123456789012"
  private static let span = "1234567890123456"

  private func read(_ text: String) -> TraceContext? { TraceContext(Array(text.utf8).span) }

  @Test(
    "reads what is valid, also of a later version",
    arguments: [
      ("00-\(trace)-\(span)-01", true), ("00-\(trace)-\(span)-00", false), ("00-\(trace)-\(span)-02", false),
      ("00-\(trace)-\(span)-03", true), ("00-\(trace)-\(span)-ff", true), ("cc-\(trace)-\(span)-01", true),
      ("cc-\(trace)-\(span)-01-what-the-future-will-be-like", true), ("01-\(trace)-\(span)-00-", false),
    ])
  func valid(text: String, isSampled: Bool) throws {
    let context = try #require(read(text))
    #expect(context.isSampled == isSampled)
    #expect(context.traceHigh == 0x1234_5678_9012_3456 && context.traceLow == 0x7890_1234_5678_9012)
    #expect(context.span == 0x1234_5678_9012_3456)
    // What goes on is of version 00, with the flags that it defines.
    #expect(String(decoding: context.text, as: UTF8.self) == "00-\(Self.trace)-\(Self.span)-0\(isSampled ? 1 : 0)")
    #expect(context.text.count == TraceContext.byteCount)
  }

  @Test(
    "ignores what is not",
    arguments: [
      "", "00", "foo", "00-\(trace)-\(span)", "00-\(trace)-\(span)-",
      "ff-\(trace)-\(span)-01", ".0-\(trace)-\(span)-01", "0.-\(trace)-\(span)-01",
      "000-\(trace)-\(span)-01", "0000-\(trace)-\(span)-01", "0-\(trace)-\(span)-01",
      "cc-\(trace)-\(span)-01.what-the-future-will-not-be-like",
      "00-\(trace)-\(span)-01-what-the-future-will-not-be-like", "00-\(trace)-\(span)-01.", "00-\(trace)-\(span)-01-",
      "00-\(trace)-\(span)-01 ", " 00-\(trace)-\(span)-01",
      "00-00000000000000000000000000000000-\(span)-01", "00-.2345678901234567890123456789012-\(span)-01",
      "00-1234567890123456789012345678901.-\(span)-01", "00-123456789012345678901234567890123-\(span)-01",
      "00-1234567890123456789012345678901-\(span)-01", "00-4BF92F3577B34DA6A3CE929D0E0E4736-\(span)-01",
      "00-\(trace)-0000000000000000-01", "00-\(trace)-.234567890123456-01", "00-\(trace)-123456789012345.-01",
      "00-\(trace)-12345678901234567-01", "00-\(trace)-123456789012345-01", "00-\(trace)-123456789012345A-01",
      "00-\(trace)-\(span)-.0", "00-\(trace)-\(span)-0.", "00-\(trace)-\(span)-001", "00-\(trace)-\(span)-1",
      "00-\(trace)-\(span)-0X", "00_\(trace)-\(span)-01", "00-\(trace)_\(span)-01", "00-\(trace)-\(span)_01",
      "00-\(trace)-\(span)-01, 00-\(trace)-\(span)-01",
    ])
  func invalid(text: String) { #expect(read(text) == nil) }

  @Test("goes on as another step of the same trace, and writes leading zeros")
  func steps() throws {
    let context = try #require(read("00-00000000000000000000000000000001-\(Self.span)-01"))
    let next = context.at(0xA)
    #expect(String(decoding: next.text, as: UTF8.self) == "00-00000000000000000000000000000001-000000000000000a-01")
    #expect(read(String(decoding: next.text, as: UTF8.self)) == next)
    #expect(next != context && next.traceLow == 1 && next.traceHigh == 0)
  }

  @Test(
    "is a member of what is published, passed on as it was written",
    arguments: [
      (#"{"type":"message","room":"r","a":1,"traceparent":"TP"}"#, true, #""a":1,"traceparent":"TP""#),
      (#"{"traceparent":"TP","type":"direct","to":"u","a":1}"#, true, #""traceparent":"TP","a":1"#),
      (#"{"type":"broadcast","trace\u0070arent":"TP"}"#, true, #""trace\u0070arent":"TP""#),
      (#"{"type":"request","action":"a","traceparent":"TP"}"#, true, ""),
      (#"{"type":"message","room":"r","traceparent":"TP","traceparent":"none"}"#, false, nil),
      (#"{"type":"message","room":"r","traceparent":"none"}"#, false, #""traceparent":"none""#),
      (#"{"type":"message","room":"r","traceparent":7}"#, false, #""traceparent":7"#),
      (#"{"type":"message","room":"r","traceparent":null}"#, false, #""traceparent":null"#),
      (#"{"type":"message","room":"r","traceparenT":"TP"}"#, false, #""traceparenT":"TP""#),
      (#"{"type":"message","room":"r","tracestate":"a=b"}"#, false, #""tracestate":"a=b""#),
      (#"{"type":"join","room":"r","traceparent":"TP"}"#, false, ""),
    ] as [(String, Bool, String?)])
  func member(text: String, isTraced: Bool, passed: String?) throws {
    func filled(_ text: String) -> String {
      text.split(separator: "TP", omittingEmptySubsequences: false).joined(
        separator: "00-\(Self.trace)-\(Self.span)-01")
    }
    let bytes = Array(filled(text).utf8)
    let operation = try ClientOperation(parsing: bytes.span)
    #expect((operation.trace != nil) == isTraced)
    guard let passed else { return }
    var output: [UInt8] = []
    operation.passThrough.appendMembers(of: bytes.span, to: &output)
    #expect(String(decoding: output, as: UTF8.self) == filled(passed))
  }

  @Test("is read where the string is spelled with escapes")
  func escapes() throws {
    let text = Array(
      #"{"type":"message","room":"r","traceparent":"\u00300-12345678901234567890123456789012-1234567890123456-01"}"#
        .utf8)
    #expect(try ClientOperation(parsing: text.span).trace?.isSampled == true)
  }
}
