import Randomness
import Testing

@testable import JSONCore

@Suite("JSON strings, numbers, writer and tree")
struct JSONTextTests {
  @Test(
    "resolves every escape (RFC 8259 section 7)",
    arguments: [
      ("plain", "plain"), (#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{C}\n\r\t"), (#"\u0041\u00e9\u20AC"#, "Aé€"),
      (#"\ud83d\ude00"#, "😀"), (#"a\u0000b"#, "a\u{0}b"), (#"\uFFFF"#, "\u{FFFF}"), (#"\uDBFF\uDFFF"#, "\u{10FFFF}"),
    ])
  func unescapes(_ contents: String, _ value: String) {
    #expect(JSONString.unescape(Array(contents.utf8).span) == Array(value.utf8))
  }

  @Test(
    "has no value for half of a surrogate pair (RFC 8259 section 8.2)",
    arguments: [
      #"\ud800"#, #"\udc00"#, #"\ud800x"#, #"\ud800\n"#, #"\ud800\ud800"#, #"\udc00\ud800"#, #"\ud800\u0041"#,
    ])
  func refusesHalves(_ contents: String) {
    #expect(JSONString.unescape(Array(contents.utf8).span) == nil)
  }

  @Test("escapes exactly what must be escaped (RFC 8259 section 7)")
  func escapes() {
    var output: [UInt8] = []
    JSONString.append(Array("a\"b\\c\u{0}\u{1F}\n/é\u{2028}\u{7F}".utf8).span, to: &output)
    #expect(String(decoding: output, as: UTF8.self) == "\"a\\\"b\\\\c\\u0000\\u001f\\u000a/é\u{2028}\u{7F}\"")
  }

  @Test("unescaping undoes escaping", arguments: [31, 32] as [UInt64])
  func roundTrips(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<2000 {
      let scalars = (0..<Int.random(in: 0...30, using: &random)).map { _ in
        Unicode.Scalar(UInt32.random(in: 0...0x10FFFF, using: &random)) ?? "\\"
      }
      let value = Array(String(String.UnicodeScalarView(scalars)).utf8)
      var output: [UInt8] = []
      JSONString.append(value.span, to: &output)
      #expect(JSONString.unescape(output.span.extracting(1..<(output.count - 1))) == value)
    }
  }

  @Test("reads whole numbers up to the last digit that fits")
  func readsNumbers() {
    func unsigned(_ text: String) -> UInt64? { JSONNumber.unsigned(Array(text.utf8).span) }
    func integer(_ text: String) -> Int? { JSONNumber.integer(Array(text.utf8).span) }
    #expect(unsigned("0") == 0)
    #expect(unsigned("18446744073709551615") == .max)
    for text in ["18446744073709551616", "", "00", "01", "-1", "+1", "1.0", "1e3", " 1", "99999999999999999999999"] {
      #expect(unsigned(text) == nil)
    }
    #expect(integer("-9223372036854775808") == .min)
    #expect(integer("9223372036854775807") == .max)
    #expect(integer("-9223372036854775809") == nil)
    #expect(integer("9223372036854775808") == nil)
    #expect(integer("-") == nil)
    #expect(integer("--1") == nil)
  }

  @Test("writes numbers as they read back")
  func writesNumbers() {
    for value in [0, 1, -1, 9, 10, 1234567890, Int.max, Int.min] {
      var output: [UInt8] = []
      JSONNumber.append(value, to: &output)
      #expect(String(decoding: output, as: UTF8.self) == "\(value)")
    }
    var output: [UInt8] = []
    JSONNumber.append(UInt64.max, to: &output)
    #expect(String(decoding: output, as: UTF8.self) == "18446744073709551615")
  }

  @Test("the writer sets commas and escapes by itself")
  func writes() throws {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("a")
    writer.beginArray()
    writer.integer(-1)
    writer.unsigned(.max)
    writer.double(1.5)
    writer.double(.infinity)
    writer.beginObject()
    writer.endObject()
    writer.beginArray()
    writer.endArray()
    writer.bool(true)
    writer.null()
    writer.endArray()
    writer.key("b")
    writer.string("x\"" as String)
    writer.raw([])
    writer.raw(Array(#""c":1,"d":2"#.utf8))
    writer.key(bytes: Array("é\n".utf8).span)
    writer.string("lit" as StaticString)
    writer.endObject()
    let text = writer.finish()
    let expected =
      #"{"a":[-1,18446744073709551615,1.5,null,{},[],true,null],"b":"x\"","c":1,"d":2,"é\u000a":"lit"}"#
    #expect(String(decoding: text, as: UTF8.self) == expected)
    try JSONScanner.validate(text.span)
    var second = JSONWriter(appendingTo: Array("data: ".utf8))
    second.beginArray()
    second.endArray()
    #expect(String(decoding: second.finish(), as: UTF8.self) == "data: []")
  }

  @Test("the writer writes a tree as it was read, between other values too")
  func writesTrees() throws {
    let text = #"{"a":[null,true,false,1.50e2,-0,[],{}],"é\"":{"a":"x\\y","a":12345678901234567890},"":""}"#
    var writer = JSONWriter()
    writer.beginArray()
    writer.integer(1)
    writer.value(try JSONValue.parse(Array(text.utf8).span))
    writer.value(.null)
    writer.endArray()
    #expect(String(decoding: writer.finish(), as: UTF8.self) == "[1,\(text),null]")
  }

  @Test("every finite double is written as valid JSON that reads back", arguments: [41] as [UInt64])
  func writesDoubles(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<5000 {
      let value = Double(bitPattern: random.next())
      guard value.isFinite else { continue }
      var writer = JSONWriter()
      writer.double(value)
      #expect(try JSONValue.parse(writer.bytes.span).asDouble == value)
    }
  }

  @Test("the tree keeps order and digits, and the last of repeated keys wins (RFC 8259 section 4)")
  func parsesTrees() throws {
    let text = #"{"a":1,"b":[true,null,"é\n"],"a":12345678901234567890,"c":{"d":-2.5}}"#
    let value = try JSONValue.parse(Array(text.utf8).span)
    #expect(value["a"] == .number(Array("12345678901234567890".utf8)))
    #expect(value["a"]?.asInt == nil)
    #expect(value["b"]?.asArray == [.bool(true), .null, .string(Array("é\n".utf8))])
    #expect(value["c"]?["d"]?.asDouble == -2.5)
    #expect(value["x"] == nil)
    #expect(value["b"]?["x"] == nil)
    #expect(value.asObject?.map { String(decoding: $0.key, as: UTF8.self) } == ["a", "b", "a", "c"])
    #expect(try JSONValue.parse(Array("-42".utf8).span).asInt == -42)
    #expect(try JSONValue.parse(Array("1e400".utf8).span).asDouble == nil)
  }

  @Test("the tree refuses what it cannot hold")
  func refusesTrees() {
    func reason(_ bytes: [UInt8], depthMax: Int = 128) -> JSONError.Reason? {
      do {
        _ = try JSONValue.parse(bytes.span, depthMax: depthMax)
        return nil
      } catch { return error.reason }
    }
    #expect(reason([0x22, 0xFF, 0x22]) == .invalidUTF8)
    #expect(reason(Array(#""\ud800""#.utf8)) == .loneSurrogate)
    #expect(reason(Array("[[[]]]".utf8), depthMax: 2) == .tooDeep)
    #expect(reason(Array("[[[]]]".utf8), depthMax: 3) == nil)
    #expect(reason([UInt8](repeating: UInt8(ascii: "["), count: 100_000)) == .tooDeep)
    #expect(reason(Array("[1,]".utf8)) == .expectedValue)
    #expect(reason(Array("[1] 2".utf8)) == .trailingBytes)
  }
}
