import TestSupport
import Testing
import WebSocketCore

/// A breach of the protocol and the close code that it earns.
struct Violation: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let code: UInt16
  let bytes: [UInt8]

  init(_ name: String, _ code: UInt16, _ bytes: [UInt8]) {
    testDescription = name
    self.code = code
    self.bytes = bytes
  }
}

/// Writes a frame with a masking key of zero, so that the payload stands as it is.
private func frame(_ first: UInt8, _ payload: [UInt8] = []) -> [UInt8] {
  precondition(payload.count < 65_536, "longer payloads need the long form")
  let length: [UInt8] =
    payload.count < 126
    ? [0x80 | UInt8(payload.count)] : [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
  let key: [UInt8] = [0, 0, 0, 0]
  return [first] + length + key + payload
}

@Suite("One node, breaches of the protocol")
struct ViolationTests {
  static let table = [
    Violation("an unmasked frame (RFC 6455 section 5.1)", 1002, [0x81, 2] + Array("{}".utf8)),
    Violation("RSV1 without an extension (section 5.2)", 1002, frame(0xC1, Array("{}".utf8))),
    Violation("RSV2 (section 5.2)", 1002, frame(0xA1, Array("{}".utf8))),
    Violation("RSV3 (section 5.2)", 1002, frame(0x91, Array("{}".utf8))),
    Violation("a reserved opcode for data (section 5.2)", 1002, frame(0x83)),
    Violation("a reserved opcode for control (section 5.2)", 1002, frame(0x8B)),
    Violation("a fragmented ping (section 5.5)", 1002, frame(0x09)),
    Violation("a ping of 126 bytes (section 5.5)", 1002, frame(0x89, [UInt8](repeating: 1, count: 126))),
    Violation("a continuation of nothing (section 5.4)", 1002, frame(0x80, [1])),
    Violation("a text inside a text (section 5.4)", 1002, frame(0x01, [0x61]) + frame(0x81, [0x61])),
    Violation("a length longer than needed (section 5.2)", 1002, [0x81, 0x80 | 126, 0, 2, 0, 0, 0, 0, 0x7B, 0x7D]),
    Violation("a close body of one byte (section 5.5.1)", 1002, frame(0x88, [3])),
    Violation("the close code 1005 (section 7.4.1)", 1002, frame(0x88, [3, 0xED])),
    Violation("the close code 999 (section 7.4.2)", 1002, frame(0x88, [3, 0xE7])),
    Violation("a close reason that is not UTF-8 (section 8.1)", 1007, frame(0x88, [3, 0xE8, 0xFF])),
    Violation("text that is not UTF-8 (section 8.1)", 1007, frame(0x81, [0x22, 0xC3, 0x28, 0x22])),
    Violation("a surrogate in UTF-8 (section 8.1)", 1007, frame(0x81, [0xED, 0xA0, 0x80])),
    Violation("text that ends inside a code point (section 8.1)", 1007, frame(0x81, [0x22, 0xE2, 0x82])),
    Violation("a message over max-message (section 7.4.1)", 1009, frame(0x81, [UInt8](repeating: 0x20, count: 5000))),
    Violation(
      "fragments that are over max-message together", 1009,
      frame(0x01, [UInt8](repeating: 0x20, count: 3000)) + frame(0x80, [UInt8](repeating: 0x20, count: 3000))),
    Violation("a length of 2^62 bytes", 1009, [0x82, 0xFF, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
  ]

  @Test("closes with the right code, in whatever pieces the bytes come, and leaves the others in the room alone")
  func violations() throws {
    let server = try RoostProcess(["--max-message", "4k"])
    let (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
    try ann.join("r")
    try bob.join("r")
    for (n, violation) in ViolationTests.table.enumerated() {
      for isCut in [false, true] {
        let wrong = try server.connect("wrong")
        try wrong.join("r")
        if isCut {
          // The server may have closed before the last piece.
          for byte in violation.bytes.prefix(200) { try? wrong.connection.send([byte]) }
          try? wrong.connection.send(Array(violation.bytes.dropFirst(200)))
        } else {
          try wrong.connection.send(violation.bytes)
        }
        #expect(try wrong.expectClose() == violation.code, "\(violation.testDescription)")
        try ann.expect("user_left")
      }
      try ann.publish("r", "\"n\":\(n)")
      #expect(try bob.expect("message").int("n") == n)
    }
    #expect(try server.metric("roost_protocol_errors_total") == Double(2 * ViolationTests.table.count))
  }

  static let badTexts: [(String, String)] = [
    ("", "bad_request"), ("{", "bad_request"), ("[]", "bad_request"), ("null", "bad_request"), ("{}", "bad_request"),
    (#"{"type":"message","room":"r","text":"a}"#, "bad_request"),
    (#"{"type":"message","room":"r","n":01}"#, "bad_request"),
    (#"{"type":"message","room":"r","n":1}}"#, "bad_request"),
    (#"{"type":"message","room":"r","s":"\u12"}"#, "bad_request"),
    (#"{"type":"message"}"#, "bad_request"),
    (#"{"type":"message","room":7}"#, "bad_request"),
    (#"{"type":"message","room":"r","id":7}"#, "bad_request"),
    (#"{"type":"message","room":"r","id":"\#(String(repeating: "i", count: 65))"}"#, "bad_request"),
    (#"{"type":7}"#, "bad_request"),
    (#"{"type":"dance"}"#, "unknown_type"),
    (#"{"type":"join","room":""}"#, "bad_room"),
    (#"{"type":"join","room":"\#(String(repeating: "r", count: 201))"}"#, "bad_room"),
    (#"{"type":"join","room":"a\u0000b"}"#, "bad_room"),
    (#"{"type":"message","room":"not joined"}"#, "not_joined"),
    (#"{"type":"direct","text":"to nobody"}"#, "bad_request"),
    (String(repeating: "[", count: 3000), "bad_request"),
    (
      #"{"type":"message","room":"r","deep":"# + String(repeating: "[", count: 1500)
        + String(repeating: "]", count: 1500) + "}", ""
    ),
  ]

  @Test("answers a wrong text with an error code, keeps the connection, and shows it to nobody else")
  func badTexts() throws {
    let server = try RoostProcess(["--max-message", "4k"])
    let (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
    try ann.join("r")
    try bob.join("r")
    _ = try ann.settle()
    for (text, code) in ViolationTests.badTexts {
      try ann.send(text)
      let answers = try ann.settle()
      // Where the code is empty both refusing and carrying it is sound; carried, it must arrive as JSON.
      if code.isEmpty { continue }
      #expect(answers.map { $0.string("code") } == [code], "\(text.prefix(100)): \(answers)")
    }
    try ann.publish("r", #""fence":true"#)
    let seen = try bob.settle().filter { $0.type == "message" }
    #expect(seen.last?["fence"]?.asBool == true)
    #expect(seen.count <= 3)
  }

  @Test("never passes on type, room, user, offset, ts, id and echo as the sender wrote them; everything else is")
  func smuggling() throws {
    let server = try RoostProcess()
    let (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
    try ann.join("r")
    try bob.join("r")
    let members =
      #""z":12345678901234567890,"a":"\u00e9\/","n":{"user":"kept","type":[1.0e+2]},"user":"root","\u0075ser":"x","offset":99,"ts":1,"echo":false"#
    try ann.publish("r", members)
    let message = try bob.expect("message")
    #expect(
      message.text.hasSuffix(#""z":12345678901234567890,"a":"\u00e9\/","n":{"user":"kept","type":[1.0e+2]}}"#),
      "\(message)")
    #expect(message["type"]?.asString == "message")
    for key in ["user", "offset", "ts", "type", "room"] {
      #expect(message.json.asObject?.filter { $0.key == Array(key.utf8) }.count == 1, "\(key)")
    }
    #expect(message.string("user") == "ann")
  }

  @Test("refuses more operations than --rate and more rooms than --max-rooms")
  func limits() throws {
    let server = try RoostProcess(["--rate", "20", "--max-rooms", "2"])
    let ann = try server.connect("ann")
    for room in ["a", "b"] { try ann.join(room) }
    #expect(try ann.ask(#""type":"join","room":"c""#).string("code") == "too_many_rooms")
    try ann.ask(#""type":"leave","room":"a""#)
    try ann.join("c")
    for n in 0..<60 { try ann.send(#"{"type":"request","action":"time","id":"r\#(n)"}"#) }
    #expect(try ann.expect("error").string("code") == "rate_limited")
    // Tokens come back with time: the connection was not closed.
    try eventually("an operation is allowed again") { try ann.ask(#""type":"ping""#).type == "pong" }
  }
}
