import Testing

@testable import JSONCore

@Suite("JSON scanner")
struct JSONScannerTests {
  @Test(
    "accepts every text of the grammar (RFC 8259 sections 2 to 7)",
    arguments: [
      "{}", "[]", " \t\r\n{ } \n", "null", "true", "false", "0", "-0", "12", "-1.5", "1e5", "1E+5", "1.25e-10",
      "\"\"", "\"abcdefghijklmnop\"", #""\"\\\/\b\f\n\r\t\u00e9""#, #""\ud800""#, #""\uDC00x""#, "\"é€😀\u{7F}\"",
      "[1,2,[3,{\"a\":[]}]]", #"{"a":{"b":[true,false,null]},"c":"d"}"#, "[ 1 , 2 ]", "{ \"a\" : 1 , \"b\" : 2 }",
      "18446744073709551616", "\"a\\u0000b\"", "[[],[[]],{}]", "{\"\":0}",
    ])
  func accepts(_ text: String) throws {
    try JSONScanner.validate(Array(text.utf8).span)
  }

  @Test(
    "refuses what the grammar does not contain and says where (RFC 8259 sections 2 to 7)",
    arguments: [
      ("", .unexpectedEnd, 0), ("  ", .unexpectedEnd, 2), ("{", .unexpectedEnd, 1), ("[1", .unexpectedEnd, 2),
      ("nul", .expectedValue, 0), ("True", .expectedValue, 0), ("nullx", .trailingBytes, 4),
      ("{} {}", .trailingBytes, 3), ("[1,]", .expectedValue, 3), ("[,1]", .expectedValue, 1),
      ("{,}", .expectedKey, 1), ("{\"a\":1,}", .expectedKey, 7), ("{\"a\" 1}", .expectedColon, 5),
      ("{\"a\":}", .expectedValue, 5), ("{a:1}", .expectedKey, 1), ("{\"a\":1 \"b\":2}", .expectedCommaOrClose, 7),
      ("[1 2]", .expectedCommaOrClose, 3), ("[1}", .expectedCommaOrClose, 2), ("{\"a\":1]", .expectedCommaOrClose, 6),
      ("01", .invalidNumber, 1), ("-", .unexpectedEnd, 1), ("-a", .invalidNumber, 1), ("1.", .unexpectedEnd, 2),
      ("1.x", .invalidNumber, 2), ("1e", .unexpectedEnd, 2), ("1e+", .unexpectedEnd, 3), (".5", .expectedValue, 0),
      ("+1", .expectedValue, 0), ("-01", .invalidNumber, 2), ("NaN", .expectedValue, 0), ("'a'", .expectedValue, 0),
      ("\"abc", .unexpectedEnd, 4), ("\"a\nb\"", .controlCharacter, 2), ("\"12345678\u{1F}\"", .controlCharacter, 9),
      (#""\x""#, .invalidEscape, 1), (#""\u12G4""#, .invalidEscape, 5), (#""\u12"#, .unexpectedEnd, 5),
      ("\"\\", .unexpectedEnd, 2), ("// x\n1", .expectedValue, 0), ("\u{FEFF}{}", .expectedValue, 0),
    ] as [(String, JSONError.Reason, Int)])
  func refuses(_ text: String, _ reason: JSONError.Reason, _ offset: Int) {
    #expect(throws: JSONError(reason, at: offset)) { try JSONScanner.validate(Array(text.utf8).span) }
  }

  @Test("accepts 512 levels of nesting and refuses 513 (RFC 8259 section 9)", arguments: ["[", "{\"a\":"])
  func limitsDepth(_ opening: String) throws {
    let closing = opening == "[" ? "]" : "}"
    func text(_ depth: Int) -> [UInt8] {
      Array((String(repeating: opening, count: depth - 1) + "[]" + String(repeating: closing, count: depth - 1)).utf8)
    }
    try JSONScanner.validate(text(512).span)
    #expect(throws: JSONError(.tooDeep, at: 512 * opening.utf8.count)) { try JSONScanner.validate(text(513).span) }
    let million = [UInt8](repeating: UInt8(ascii: "["), count: 1_000_000)
    #expect(throws: JSONError(.tooDeep, at: 512)) { try JSONScanner.validate(million.span) }
  }

  @Test("counts the top-level object as the first level when members are pulled")
  func limitsDepthOfMembers() throws {
    func text(_ depth: Int) -> [UInt8] {
      Array("{\"a\":\(String(repeating: "[", count: depth - 1))\(String(repeating: "]", count: depth - 1))}".utf8)
    }
    #expect(try members(of: text(512)).count == 1)
    #expect(throws: JSONError(.tooDeep, at: 5 + 511)) { _ = try members(of: text(513)) }
  }

  @Test("hands out the members of an object with their ranges as written")
  func handsOutMembers() throws {
    let text = Array(#" { "a" : "x\ny" ,"\u0062":[1, 2],"c":{"d":1},"e":-1.5e3,"f":true,"g":false,"h":null } "#.utf8)
    let found = try members(of: text)
    #expect(found.map { string(text, $0.key.contents) } == ["a", "\\u0062", "c", "e", "f", "g", "h"])
    #expect(found.map(\.kind) == [.string, .array, .object, .number, .true, .false, .null])
    #expect(
      found.map { string(text, $0.value) } == [
        #""x\ny""#, "[1, 2]", #"{"d":1}"#, "-1.5e3", "true", "false", "null",
      ])
    #expect(found.map(\.valueHasEscapes) == [true, false, false, false, false, false, false])
    #expect(found.map(\.key.hasEscapes) == [false, true, false, false, false, false, false])
    #expect(string(text, found[0].range) == #""a" : "x\ny""#)
    #expect(found[0].string?.decoded(in: text.span) == Array("x\ny".utf8))
    #expect(found[1].key.equals("b", in: text.span) == true)
    #expect(found[1].key.equals("c", in: text.span) == false)
    #expect(found[1].string == nil)
  }

  @Test(
    "gives no end of members before the whole text was checked",
    arguments: ["{\"a\":1} x", "{\"a\":1", "{\"a\":1,", "{\"a\":1,\"b\"}", "{}{}", "{\"a\":1}}"])
  func checksToTheEnd(_ text: String) {
    #expect(throws: JSONError.self) { _ = try members(of: Array(text.utf8)) }
  }

  @Test("says that an object is missing for every other kind", arguments: ["[]", "1", "\"a\"", "null", "x"])
  func wantsObject(_ text: String) {
    #expect(throws: JSONError(.expectedObject, at: 0)) { _ = try members(of: Array(text.utf8)) }
  }

  @Test("finds the end of strings of every length at every alignment")
  func findsEveryStringEnd() throws {
    for length in 0..<40 {
      for tail in 0..<20 {
        let body = String(repeating: "x", count: length)
        let text = Array("{\"k\":\"\(body)\"\(String(repeating: " ", count: tail))}".utf8)
        #expect(try members(of: text).first?.value.count == length + 2)
      }
    }
  }

  @Test("marks the first byte that is a quote, a backslash or a control character, for every byte in every place")
  func marksSpecialBytes() {
    for byte in UInt8.min...UInt8.max {
      for place in 0..<8 {
        let filler: UInt64 = 0x7878_7878_7878_7878
        let shift = UInt64(place * 8)
        let word = filler & ~(0xFF << shift) | UInt64(byte) << shift
        let marks = JSONScanner.specialBytes(in: word)
        #expect((marks == 0) == !JSONScanner.isSpecial(byte))
        if marks != 0 { #expect(marks.trailingZeroBitCount >> 3 == place) }
      }
    }
  }

  @Test("tells UTF-8 from other bytes (RFC 3629 section 4)")
  func checksUTF8() {
    #expect(JSONScanner.isValidUTF8(Array("aé€😀".utf8).span) == true)
    #expect(JSONScanner.isValidUTF8([UInt8]().span) == true)
    for bytes: [UInt8] in [[0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0x80], [0xE2, 0x82]] {
      #expect(JSONScanner.isValidUTF8(bytes.span) == false)
    }
  }
}

func members(of text: [UInt8]) throws -> [JSONMember] {
  var scanner = JSONScanner(text.span)
  var found: [JSONMember] = []
  while let member = try scanner.nextMember() { found.append(member) }
  return found
}

func string(_ text: [UInt8], _ range: Range<Int>) -> String { String(decoding: text[range], as: UTF8.self) }
