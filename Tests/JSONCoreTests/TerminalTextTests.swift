import JSONCore
import Testing

@Suite("Text for terminals")
struct TerminalTextTests {
  @Test(
    "escapes what steers a terminal or does not show itself",
    arguments: [
      0x00, 0x07, 0x08, 0x0A, 0x0D, 0x1B, 0x7F, 0x80, 0x85, 0x9B, 0x9D, 0x9F, 0xAD, 0x034F, 0x061C, 0x115F, 0x180E,
      0x200B,
      0x200C, 0x200D, 0x200E, 0x200F, 0x2028, 0x2029, 0x202A, 0x202B, 0x202C, 0x202D, 0x202E, 0x2060, 0x2066, 0x2067,
      0x2068, 0x2069, 0x3164, 0xFE0F, 0xFEFF, 0xFFA0, 0xE0041, 0xE0100,
    ])
  func escapes(_ value: UInt32) throws {
    let scalar = try #require(Unicode.Scalar(value))
    let escaped = TerminalText.line("a\(scalar)b")
    #expect(escaped.unicodeScalars.allSatisfy { (0x20...0x7E).contains($0.value) }, "\(escaped)")
    #expect(escaped.hasPrefix("a\\u") && escaped.hasSuffix("b"))
    // A parser of JSON reads it back.
    #expect(try JSONValue.parse(Array("\"\(escaped)\"".utf8).span).asString == "a\(scalar)b")
  }

  @Test(
    "leaves alone what people write",
    arguments: ["", "plain ~", "naïve 日本 ελληνικά", "e\u{301}", "👩‍👩‍👧 ❤️ 🇩🇪 👍🏽", "שלום", "مرحبا", "a\\u202e"])
  func keeps(_ text: String) { #expect(TerminalText.line(text) == text) }

  @Test("keeps the line ends of a text of several lines, and nothing else")
  func lines() { #expect(TerminalText.lines("a\nb\r\u{9B}") == "a\nb\\u000d\\u009b") }

  @Test("puts JSON on one line with the same value")
  func json() throws {
    let text = "{\n\t\"a\": \"x\u{202E}y\u{9B}2J\u{7F}\",\r\n \"é\": [1, \"👩‍👩‍👧\"]\n}"
    let line = TerminalText.json(Array(text.utf8))
    #expect(String(decoding: line, as: UTF8.self).contains("x\\u202ey\\u009b2J\\u007f"))
    #expect(!line.contains(0x0A) && !line.contains(0x0D) && !line.contains(0x09))
    #expect(try JSONValue.parse(line.span) == JSONValue.parse(Array(text.utf8).span))
  }
}
