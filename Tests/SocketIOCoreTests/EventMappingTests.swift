import JSONCore
import Randomness
import SocketIOCore
import Testing

@Suite("Events and native messages")
struct EventMappingTests {
  @Test(
    "an event becomes members of a native message",
    arguments: [
      (#"2["chat message","hi"]"#, #""event":"chat message","args":["hi"]"#), (#"2["a"]"#, #""event":"a","args":[]"#),
      (#"2[ "a" , 1,{"x" : [2]} ]"#, #""event":"a","args":[1,{"x" : [2]}]"#),
      (#"51-["a",{"b":[{"_placeholder":true,"num":0}]}]"#, #""event":"a","args":[{"b":[{"$binary":"AQID"}]}]"#),
      (
        #"52-["a",{"num":1,"_placeholder":true},"x",{"_placeholder":true,"num":0}]"#,
        #""event":"a","args":[{"$binary":""},"x",{"$binary":"AQID"}]"#
      ),
      (#"2["a",{"_placeholder":true,"num":0}]"#, #""event":"a","args":[{"_placeholder":true,"num":0}]"#),
    ])
  func members(_ packet: String, _ expected: String) throws {
    let (parsed, arguments, bytes) = try parsed(packet)
    var output: [UInt8] = []
    let attachments = Array([[1, 2, 3], []].prefix(parsed.attachmentCount)) as [[UInt8]]
    EventMapping.appendMembers(of: try #require(arguments), in: bytes.span, attachments: attachments, to: &output)
    #expect(text(output) == expected)
  }

  @Test(
    "a native message with event and args arrives as that event",
    arguments: [
      (#"{"type":"message","event":"a","args":["hi",1]}"#, [#"42["a","hi",1]"#]),
      (#"{"args":[ ],"event":"a"}"#, [#"42["a"]"#]),
      (#"{"event":"a","args":[ 1 , 2 ]}"#, [#"42["a",1 , 2]"#]), (#"{"event":"join","args":[]}"#, [#"42["join"]"#]),
      (
        #"{"event":"a","args":[{"$binary":"AQID"},[{"x":{ "$binary" : "/w" }}]]}"#,
        [
          #"452-["a",{"_placeholder":true,"num":0},[{"x":{"_placeholder":true,"num":1}}]]"#, "<010203>", "<ff>",
        ]
      ),
      (#"{"event":"a","args":[{"$binary":""}]}"#, [#"451-["a",{"_placeholder":true,"num":0}]"#, "<>"]),
      // No attachments: what only looks like one, in whatever way.
      (
        #"{"event":"a","args":[{"$binary":"A"},{"$binary":1},{"$binary":"AA==","x":1},"$binary"]}"#,
        [
          #"42["a",{"$binary":"A"},{"$binary":1},{"$binary":"AA==","x":1},"$binary"]"#
        ]
      ),
      (#"{"event":"a","args":[{"_placeholder":true,"num":0}]}"#, [#"42["a",{"_placeholder":true,"num":0}]"#]),
      (#"{"event":"x","event":"a","args":1,"args":[2]}"#, [#"42["a",2]"#]),
    ])
  func events(_ native: String, _ expected: [String]) {
    let (output, isEvent) = event(native)
    #expect(isEvent)
    #expect(shown(output) == expected)
  }

  @Test(
    "any other native message arrives whole, and so does what decoders would refuse or what could pose as the server's",
    arguments: [
      #"{"type":"message","text":"hi"}"#, #"{"event":"push","hook":"github"}"#, #"{"event":1,"args":[]}"#,
      #"{"event":"a","args":{}}"#, #"{"args":[]}"#, #"{"event":"connect","args":[]}"#,
      #"{"event":"newListener","args":[]}"#,
      #"{"event":"d\u0069sconnect","args":[]}"#, #"{"event":"user_joined","args":[{}]}"#,
      #"{"event":"message","args":[{}]}"#,
      #"{"event":"broadcast","args":[{}]}"#, #"{"event":"\ud800","args":[]}"#,
      #"{"event":"a","args":[{"$binary":"AQID"},{"_placeholder":true,"num":9}]}"#,
      #"{"event":"a","args":[{"$binary":"AQID"},{"\u005fplaceholder":true,"x":1}]}"#,
      #"{"event":"a","args":[{"$binary":"AQID"},{"_placeholder":"yes","num":9}]}"#,
      #"{"event":"a","args":["# + Array(repeating: #"{"$binary":"AQID"}"#, count: 11).joined(separator: ",") + "]}",
    ])
  func fallback(_ native: String) {
    let (output, isEvent) = event(native, namespace: "/chat", offset: "e:7")
    #expect(!isEvent)
    #expect(shown(output) == ["42/chat,[\"message\",\(native),\"e:7\"]"])
  }

  @Test("ten attachments are as many as decoders take")
  func tenAttachments() {
    let native =
      #"{"event":"a","args":["# + Array(repeating: #"{"$binary":"AQID"}"#, count: 10).joined(separator: ",") + "]}"
    let (output, isEvent) = event(native)
    #expect(isEvent)
    #expect(output.entries.count == 11)
  }

  @Test("the offset is one more argument, a string")
  func offset() {
    var output = EncodedPackets()
    for native in [
      #"{"event":"a","args":[]}"#, #"{"event":"a","args":["x"]}"#, #"{"event":"a","args":[{"$binary":"AQID"}]}"#,
    ] {
      EventMapping.appendEvent(
        native: bytes(native).span, namespace: bytes("/c").span, fallback: "message", offset: bytes("e:7"), to: &output)
    }
    #expect(
      shown(output) == [
        #"42/c,["a","e:7"]"#, #"42/c,["a","x","e:7"]"#, #"451-/c,["a",{"_placeholder":true,"num":0},"e:7"]"#,
        "<010203>",
      ])
  }

  @Test("what a client emits arrives as it was emitted", arguments: [61, 62, 63] as [UInt64])
  func roundTrips(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    for round in 0..<500 {
      let (event, attachments) = randomEvent(&random)
      var assembler = PacketAssembler(bytesMax: 1 << 20)
      var packet = try assembler.addText(bytes(event).span)
      for attachment in attachments { packet = try assembler.addBinary(attachment.span)?.packet ?? packet }
      let whole = try #require(packet)
      let found = whole.arguments
      let arguments = try #require(found)
      var native = bytes(#"{"type":"message","room":"socketio","#)
      EventMapping.appendMembers(of: arguments, in: bytes(event).span, attachments: attachments, to: &native)
      native.append(UInt8(ascii: "}"))
      try JSONScanner.validate(native.span)
      let (output, isEvent) = self.event(text(native))
      #expect(isEvent)
      let binary = attachments.map { "<" + $0.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + ">" }
      #expect(shown(output) == ["4" + event] + binary, "seed \(seed) round \(round)")
    }
  }

  /// What a native message arrives as, and whether it is as an event of its own.
  private func event(_ native: String, namespace: String = "", offset: String? = nil) -> (EncodedPackets, Bool) {
    var output = EncodedPackets()
    let isEvent = EventMapping.appendEvent(
      native: Array(native.utf8).span, namespace: Array(namespace.utf8).span, fallback: "message",
      offset: offset.map { Array($0.utf8) }, to: &output)
    return (output, isEvent)
  }

  private func randomEvent(_ random: inout SeededGenerator) -> (String, [[UInt8]]) {
    var attachments: [[UInt8]] = []
    func value(_ depth: Int, _ random: inout SeededGenerator) -> String {
      switch Int.random(in: 0..<(depth > 3 ? 4 : 7), using: &random) {
      case 0: return "\(Int.random(in: -9...9, using: &random))"
      case 1:
        return #""\#(["", "é", "\\u0024binary", "_placeholder", "a\\\"b", "{"].randomElement(using: &random) ?? "")""#
      case 2: return "null"
      case 3:
        guard attachments.count < SocketPacket.attachmentsMax else { return "true" }
        attachments.append(random.bytes(Int.random(in: 0...5, using: &random)))
        return #"{"_placeholder":true,"num":\#(attachments.count - 1)}"#
      case 4, 5:
        let elements = (0..<Int.random(in: 0...3, using: &random)).map { _ in value(depth + 1, &random) }
        return "[" + elements.joined(separator: ",") + "]"
      default:
        let members = (0..<Int.random(in: 0...3, using: &random)).map { "\"k\($0)\":" + value(depth + 1, &random) }
        return "{" + members.joined(separator: ",") + "}"
      }
    }
    let list = (0..<Int.random(in: 0...4, using: &random)).map { _ in "," + value(0, &random) }.joined()
    let head = attachments.isEmpty ? "2" : "5\(attachments.count)-"
    return ("\(head)[\"news\"\(list)]", attachments)
  }
}
