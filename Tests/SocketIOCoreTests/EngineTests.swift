import JSONCore
import Randomness
import SocketIOCore
import Testing

@Suite("Engine.IO packets and payloads (protocol revision 4)")
struct EngineTests {
  @Test("a type is a digit")
  func digits() {
    #expect(EnginePacketType.allCases.map(\.digit) == bytes("0123456"))
    #expect(SocketPacketType.allCases.map(\.digit) == bytes("0123456"))
  }

  @Test(
    "reads a text frame",
    arguments: [
      ("0{}", .open, "{}"), ("1", .close, ""), ("2probe", .ping, "probe"), ("3probe", .pong, "probe"),
      ("4hello", .message, "hello"), ("4", .message, ""), ("5", .upgrade, ""), ("6", .noop, ""),
      ("4é\u{1E}", .message, "é\u{1E}"),
    ] as [(String, EnginePacketType, String)])
  func readsFrames(_ frame: String, _ type: EnginePacketType, _ data: String) throws {
    let frame = bytes(frame)
    let packet = try EnginePacket(parsing: frame.span)
    #expect(packet.type == type)
    #expect(text(frame[packet.data]) == data)
    #expect(!packet.isBase64)
  }

  @Test(
    "refuses what is no packet",
    arguments: [("", .emptyPacket), ("7", .unknownEngineType), ("abc", .unknownEngineType), ("/", .unknownEngineType)]
      as [(String, PacketFault)])
  func refusesFrames(_ frame: String, _ fault: PacketFault) {
    #expect(throws: fault) { try EnginePacket(parsing: bytes(frame).span) }
    #expect(throws: fault) { try packets(of: bytes(frame)) }
  }

  @Test(
    "reads a payload",
    arguments: [
      ("4hello", ["4hello"]), ("4test1\u{1E}4test2\u{1E}4test3", ["4test1", "4test2", "4test3"]),
      ("4hello\u{1E}2\u{1E}4world", ["4hello", "2", "4world"]), ("4hello\u{1E}bAQIDBA==", ["4hello", "bAQIDBA=="]),
      ("4€", ["4€"]),
    ])
  func readsPayloads(_ payload: String, _ expected: [String]) throws {
    #expect(try packets(of: bytes(payload)) == expected)
  }

  @Test(
    "refuses a payload with an empty packet, with an unknown type, or that is not UTF-8",
    arguments: [
      (bytes("\u{1E}"), .emptyPacket), (bytes("4a\u{1E}"), .emptyPacket), (bytes("4a\u{1E}\u{1E}4b"), .emptyPacket),
      (bytes("4a\u{1E}x"), .unknownEngineType), ([0x34, 0xFF], .invalidUTF8),
      (bytes("4a\u{1E}") + [0x34, 0xC3], .invalidUTF8),
    ] as [([UInt8], PacketFault)])
  func refusesPayloads(_ payload: [UInt8], _ fault: PacketFault) {
    #expect(throws: fault) { try packets(of: payload) }
  }

  @Test("the packet that opens a session is the document's")
  func open() {
    var output: [UInt8] = []
    EngineWriter.appendOpen(
      sid: bytes("lv_VI97HAXpY6yYWAAAC").span, upgrades: true, pingInterval: 25000, pingTimeout: 20000,
      maxPayload: 1_000_000, to: &output)
    #expect(
      text(output)
        == #"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
    )
    output = []
    EngineWriter.appendOpen(
      sid: bytes("a").span, upgrades: false, pingInterval: 300, pingTimeout: 200, maxPayload: 1, to: &output)
    #expect(text(output) == #"0{"sid":"a","upgrades":[],"pingInterval":300,"pingTimeout":200,"maxPayload":1}"#)
  }

  @Test("what is written as a payload is read as the same packets", arguments: [41, 42, 43] as [UInt64])
  func roundTrips(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<300 {
      var written = EncodedPackets()
      var expected: [(isBinary: Bool, [UInt8])] = []
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        let content = random.bytes(Int.random(in: 0...40, using: &random))
        let isBinary = Bool.random(using: &random)
        if isBinary {
          written.addBinary(content.span)
          expected.append((true, content))
        } else {
          let letters = content.map { $0 & 0x3F + 0x20 }
          written.addText { $0 += bytes("4") + letters }
          expected.append((false, letters))
        }
      }
      let first = Int.random(in: 0..<expected.count, using: &random)
      var payload: [UInt8] = []
      written.appendPayload(0..<first, to: &payload)
      written.appendPayload(first..<expected.count, to: &payload)
      var reader = EnginePayloadReader(payload.span)
      for (isBinary, content) in expected {
        let packet = try #require(try reader.next())
        #expect(packet.type == .message)
        #expect(packet.isBase64 == isBinary)
        let data = Array(payload[packet.data])
        #expect((isBinary ? Base64.decode(data.span) : data) == content, "seed \(seed)")
      }
      #expect(try reader.next() == nil)
    }
  }

  private func packets(of payload: [UInt8]) throws -> [String] {
    var reader = EnginePayloadReader(payload.span)
    var found: [String] = []
    while let packet = try reader.next() {
      found.append(text([packet.isBase64 ? UInt8(ascii: "b") : packet.type.digit] + payload[packet.data]))
    }
    return found
  }
}
