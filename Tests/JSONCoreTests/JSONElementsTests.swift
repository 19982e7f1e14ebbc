import Randomness
import Testing

@testable import JSONCore

@Suite("JSON arrays and base64")
struct JSONElementsTests {
  @Test(
    "hands out the elements of an array as written",
    arguments: [
      ("[]", []), (" [ ] ", []), (#"[1,"a\n",null,{"b":[2]}]"#, ["1", #""a\n""#, "null", #"{"b":[2]}"#]),
      ("[ 1 , 2 ]\n", ["1", "2"]),
    ] as [(String, [String])])
  func elements(_ text: String, _ expected: [String]) throws {
    #expect(try elements(of: Array(text.utf8)) == expected)
  }

  @Test(
    "refuses what is no array",
    arguments: [
      ("{}", .expectedArray, 0), ("1", .expectedArray, 0), ("", .unexpectedEnd, 0), ("[", .unexpectedEnd, 1),
      ("[1", .unexpectedEnd, 2),
      ("[1,]", .expectedValue, 3), ("[1 2]", .expectedCommaOrClose, 3), ("[1]x", .trailingBytes, 3),
      ("[,1]", .expectedValue, 1),
    ] as [(String, JSONError.Reason, Int)])
  func refuses(_ text: String, _ reason: JSONError.Reason, _ offset: Int) {
    #expect(throws: JSONError(reason, at: offset)) { _ = try elements(of: Array(text.utf8)) }
  }

  @Test("a text that will stand inside others may nest less")
  func depth() throws {
    func text(_ depth: Int) -> [UInt8] {
      Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
    }
    for outer in [0, 1, 100] {
      var scanner = JSONScanner(text(512 - outer).span, outerDepth: outer)
      while try scanner.nextElement() != nil {}
      let tooDeep = text(513 - outer)
      #expect(throws: JSONError(.tooDeep, at: 512 - outer)) {
        var scanner = JSONScanner(tooDeep.span, outerDepth: outer)
        while try scanner.nextElement() != nil {}
      }
    }
  }

  @Test("decoding base64 undoes encoding it, with and without padding", arguments: [71, 72] as [UInt64])
  func roundTrips(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for count in 0..<100 {
      let bytes = random.bytes(count)
      let digits = Base64.encode(bytes.span)
      #expect(Base64.decode(digits.span) == bytes)
      let bare = digits.filter { $0 != UInt8(ascii: "=") }
      #expect(Base64.decode(bare.span) == bytes)
    }
  }

  @Test(
    "refuses what no bytes are written as",
    arguments: ["A", "AAAAA", "=", "====", "A===", "AA=", "AAA==", "AB==", "AAB=", "AA-_", "AA AA", "AA==AA==", "é"])
  func refusesBase64(_ text: String) {
    var output: [UInt8] = [7]
    #expect(!Base64.append(decoding: Array(text.utf8).span, to: &output))
    #expect(output == [7])
  }

  private func elements(of text: [UInt8]) throws -> [String] {
    var scanner = JSONScanner(text.span)
    var found: [String] = []
    while let element = try scanner.nextElement() { found.append(String(decoding: text[element.value], as: UTF8.self)) }
    #expect(try scanner.nextElement() == nil)
    return found
  }
}
