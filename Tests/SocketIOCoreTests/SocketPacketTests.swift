import JSONCore
import Randomness
import SocketIOCore
import Testing

@Suite("Socket.IO packets (protocol revision 5)")
struct SocketPacketTests {
  struct Example: Sendable, CustomTestStringConvertible {
    let packet: String
    let type: SocketPacketType
    var namespace = ""
    var id: UInt64?
    var attachments = 0
    var payload: String?
    var testDescription: String { packet }
  }

  @Test(
    "reads the packets of the protocol's document",
    arguments: [
      Example(packet: "0", type: .connect),
      Example(packet: #"0{"sid":"wZX3"}"#, type: .connect, payload: #"{"sid":"wZX3"}"#),
      Example(packet: "0/admin,", type: .connect, namespace: "/admin"),
      Example(packet: "0/admin", type: .connect, namespace: "/admin"),
      Example(packet: #"0/admin,{"sid":"oSO0"}"#, type: .connect, namespace: "/admin", payload: #"{"sid":"oSO0"}"#),
      Example(
        packet: #"4{"message":"Not authorized"}"#, type: .connectError, payload: #"{"message":"Not authorized"}"#),
      Example(packet: #"4"Unauthorized""#, type: .connectError, payload: #""Unauthorized""#),
      Example(packet: #"2["foo"]"#, type: .event, payload: #"["foo"]"#),
      Example(packet: #"2/admin,["bar"]"#, type: .event, namespace: "/admin", payload: #"["bar"]"#),
      Example(
        packet: #"51-["baz",{"_placeholder":true,"num":0}]"#, type: .binaryEvent, attachments: 1,
        payload: #"["baz",{"_placeholder":true,"num":0}]"#),
      Example(
        packet: #"52-/admin,["baz",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#, type: .binaryEvent,
        namespace: "/admin", attachments: 2,
        payload: #"["baz",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#),
      Example(packet: #"212["foo"]"#, type: .event, id: 12, payload: #"["foo"]"#),
      Example(packet: "312[]", type: .ack, id: 12, payload: "[]"),
      Example(packet: #"2/admin,13["foo"]"#, type: .event, namespace: "/admin", id: 13, payload: #"["foo"]"#),
      Example(packet: #"3/admin,13["bar"]"#, type: .ack, namespace: "/admin", id: 13, payload: #"["bar"]"#),
      Example(
        packet: #"61-15["bar",{"_placeholder":true,"num":0}]"#, type: .binaryAck, id: 15, attachments: 1,
        payload: #"["bar",{"_placeholder":true,"num":0}]"#),
      Example(packet: "1", type: .disconnect),
      Example(packet: "1/admin,", type: .disconnect, namespace: "/admin"),
      // Not in the document, but taken by the official decoder.
      Example(packet: "2[1,\"a\",{}]", type: .event, payload: "[1,\"a\",{}]"),
      Example(packet: "20[\"a\"]", type: .event, id: 0, payload: "[\"a\"]"),
      Example(packet: "29007199254740991[\"a\"]", type: .event, id: 9_007_199_254_740_991, payload: "[\"a\"]"),
      Example(packet: "3[]", type: .ack, payload: "[]"),
      Example(packet: "2/,[\"a\"]", type: .event, namespace: "/", payload: "[\"a\"]"),
    ])
  func reads(_ example: Example) throws {
    let (packet, _, bytes) = try parsed(example.packet)
    #expect(packet.type == example.type)
    #expect(text(bytes[packet.namespace]) == example.namespace)
    #expect(packet.ackID == example.id)
    #expect(packet.attachmentCount == example.attachments)
    #expect(packet.payload.map { text(bytes[$0]) } == example.payload)
  }

  @Test(
    "refuses what the official decoder refuses",
    arguments: [
      ("", .emptyPacket), ("999", .unknownType), ("abc", .unknownType), ("442[\"some\",\"data\"", .invalidPayload),
      ("0/admin,\"invalid\"", .invalidPayload), ("0[]", .invalidPayload), ("0null", .invalidPayload),
      ("1/admin,{}", .invalidPayload),
      ("2/admin,\"invalid", .invalidPayload), ("2/admin,{}", .invalidPayload), ("2{}", .invalidPayload),
      ("2[{\"toString\":\"foo\"}]", .invalidPayload), ("2[true,\"foo\"]", .invalidPayload),
      ("2[null,\"bar\"]", .invalidPayload),
      ("2[]", .invalidPayload), ("2", .invalidPayload), ("3", .invalidPayload), ("3{}", .invalidPayload),
      ("4[]", .invalidPayload), ("4", .invalidPayload), ("2abc[\"a\"]", .invalidPayload),
      ("2[\"a\"]x", .invalidPayload),
      ("5", .invalidAttachmentCount), ("51", .invalidAttachmentCount), ("50-[\"a\"]", .invalidAttachmentCount),
      ("5a-[\"a\"]", .invalidAttachmentCount), ("51.23-[\"a\"]", .invalidAttachmentCount),
      ("5-[\"a\"]", .invalidAttachmentCount),
      ("5[\"a\"]", .invalidAttachmentCount), ("511-[\"a\"]", .tooManyAttachments),
      ("599999999999999999999-[\"a\"]", .invalidAttachmentCount), ("51-", .invalidPayload),
      ("29007199254740992[\"a\"]", .invalidAckID), ("299999999999999999999[\"a\"]", .invalidAckID),
    ] as [(String, PacketFault)])
  func refuses(_ packet: String, _ fault: PacketFault) {
    #expect(throws: fault) { try SocketPacket(parsing: bytes(packet).span) }
  }

  @Test("takes arguments that nest 510 levels, which is what a native message may hold, and refuses one more")
  func depth() throws {
    func event(_ depth: Int) -> String {
      "2[\"a\"," + String(repeating: "[", count: depth) + String(repeating: "]", count: depth) + "]"
    }
    let (_, arguments, bytes) = try parsed(event(510))
    var native: [UInt8] = [UInt8(ascii: "{")]
    EventMapping.appendMembers(of: try #require(arguments), in: bytes.span, attachments: [], to: &native)
    native.append(UInt8(ascii: "}"))
    try JSONScanner.validate(native.span)
    #expect(throws: PacketFault.invalidPayload) { try SocketPacket(parsing: Array(event(511).utf8).span) }
  }

  @Test(
    "finds the name and the arguments",
    arguments: [
      (#"2["a"]"#, #""a""#, "", 0, ""), (#"2[ "a" , 1 , {"b":[2]} ]"#, #""a""#, #"1 , {"b":[2]}"#, 2, "1"),
      (#"3[]"#, "", "", 0, ""), (#"37[null,"x"]"#, "", #"null,"x""#, 2, "null"), ("2[7,8]", "7", "8", 1, "8"),
      (#"2/n,3["é\n","b"]"#, #""é\n""#, #""b""#, 1, #""b""#),
    ])
  func findsArguments(_ packet: String, _ name: String, _ list: String, _ count: Int, _ first: String) throws {
    let (_, arguments, bytes) = try parsed(packet)
    let found = try #require(arguments)
    #expect(found.name.map { text(bytes[$0.value]) } ?? "" == name)
    #expect(text(bytes[found.list]) == list)
    #expect(found.count == count)
    #expect(found.first.map { text(bytes[$0.value]) } ?? "" == first)
  }

  @Test("other packets have no arguments", arguments: ["0", "1", "0{}", "4{}"])
  func noArguments(_ packet: String) throws {
    #expect(try parsed(packet).arguments == nil)
  }

  @Test("reads what a client says of itself when it connects")
  func connect() throws {
    let (packet, _, bytes) = try parsed(#"0/n,{"token":"t\n","user":"é","pid":"p","offset":"o","x":{"token":"no"}}"#)
    let payload = ConnectPayload(of: packet, in: bytes.span)
    let decoded = [payload.token, payload.user, payload.pid, payload.offset].map {
      $0?.decoded(in: bytes.span).map { text($0) }
    }
    #expect(decoded == ["t\n", "é", "p", "o"])
    let (other, _, otherBytes) = try parsed(#"0{"token":1,"user":null,"pid":["p"]}"#)
    let none = ConnectPayload(of: other, in: otherBytes.span)
    #expect(none.token == nil && none.user == nil && none.pid == nil && none.offset == nil)
  }

  @Test("random bytes never trap, and what is accepted has a valid payload", arguments: [51, 52, 53] as [UInt64])
  func survivesNoise(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let seeds = [
      #"52-/admin,13["baz",{"_placeholder":true,"num":0},{"num":1,"_placeholder":true}]"#, #"0/a,{"token":"b"}"#,
      "312[]",
    ]
    for round in 0..<3000 {
      var packet = bytes(seeds.randomElement(using: &random) ?? "")
      for _ in 0..<Int.random(in: 1...3, using: &random) where !packet.isEmpty {
        packet[Int.random(in: 0..<packet.count, using: &random)] = UInt8.random(in: 0x20...0x7E, using: &random)
      }
      guard let read = try? SocketPacket(parsing: packet.span) else { continue }
      if let payload = read.payload {
        let json = Array(packet[payload])
        #expect(throws: Never.self, "seed \(seed) round \(round)") { try JSONScanner.validate(json.span) }
      }
      #expect(
        (read.arguments != nil) == ![.connect, .disconnect, .connectError].contains(
          read.type))
    }
  }
}
