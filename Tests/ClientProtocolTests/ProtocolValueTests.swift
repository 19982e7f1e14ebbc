import Randomness
import Testing

@testable import ClientProtocol

@Suite("Protocol values: rooms, positions, binary envelopes, error codes")
struct ProtocolValueTests {
  private func isValid(_ name: [UInt8]) -> Bool { RoomName.isValid(name.span) }

  @Test("a room is 1 to 200 bytes of UTF-8 without control characters")
  func judgesRooms() {
    for name in ["a", "chat:é€😀", " ", "\"", "{x}", "\u{A0}", "\u{E080}", String(repeating: "x", count: 200)] {
      #expect(isValid(Array(name.utf8)), "\(name)")
    }
    for name in ["", "a\n", "\u{0}", "\u{1F}", "\u{7F}", "\u{80}", "x\u{9F}", String(repeating: "é", count: 101)] {
      #expect(!isValid(Array(name.utf8)), "\(name)")
    }
    for bytes: [UInt8] in [[0xFF], [0x61, 0xC2], [0x85], [0xED, 0xA0, 0x80]] { #expect(!isValid(bytes)) }
  }

  @Test("agrees with Unicode's category Cc for every scalar below U+1000")
  func judgesScalars() {
    for value in 0..<UInt32(0x1000) {
      guard let scalar = Unicode.Scalar(value) else { continue }
      #expect(isValid(Array(String(scalar).utf8)) == (scalar.properties.generalCategory != .control))
    }
  }

  @Test("an epoch is 1 to 16 lower-case hexadecimal digits without padding")
  func readsEpochs() {
    func epoch(_ text: String) -> UInt64? { Epoch(text: Array(text.utf8).span)?.value }
    #expect(epoch("1") == 1)
    #expect(epoch("1f") == 0x1F)
    #expect(epoch("ffffffffffffffff") == .max)
    for text in ["", "0", "01", "1F", "g", "0x1", " 1", "-1", "10000000000000000"] { #expect(epoch(text) == nil) }
    #expect(Epoch(0) == nil)
  }

  @Test("a position reads EPOCH:OFFSET and nothing else")
  func readsPositions() throws {
    func position(_ text: String) -> Position? { Position(text: Array(text.utf8).span) }
    let epoch = try #require(Epoch(0x2A))
    #expect(position("2a:0") == Position(epoch: epoch, offset: 0))
    #expect(position("2a:9007199254740991") == Position(epoch: epoch, offset: Position.offsetMax))
    for text in ["", ":", "2a", "2a:", ":1", "2a:01", "2a:1:2", "2a:-1", "2a:18446744073709551616", "2A:1", "2a:1 "] {
      #expect(position(text) == nil, "\(text)")
    }
  }

  @Test("positions read back as they were written", arguments: [51, 52] as [UInt64])
  func writesPositions(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<3000 {
      let epoch = try #require(Epoch(max(1, random.next() >> UInt64.random(in: 0...63, using: &random))))
      let written = Position(epoch: epoch, offset: random.next() >> UInt64.random(in: 0...63, using: &random))
      var text: [UInt8] = []
      written.append(to: &text)
      #expect(Position(text: text.span) == written)
      #expect(String(decoding: text, as: UTF8.self) == "\(String(epoch.value, radix: 16)):\(written.offset)")
    }
  }

  @Test("a binary message is 1, the room with its length, the payload")
  func readsEnvelopes() throws {
    let message: [UInt8] = [1, 2, 0x61, 0x62, 9, 8]
    let envelope = try BinaryEnvelope(parsing: message.span)
    #expect(envelope.room == 2..<4)
    #expect(envelope.payload == 4..<6)
    let bare: [UInt8] = [1, 1, 0x61]
    #expect(try BinaryEnvelope(parsing: bare.span).payload.isEmpty)
  }

  @Test("refuses other binary messages")
  func refusesEnvelopes() {
    func code(_ bytes: [UInt8]) -> ErrorCode? {
      do throws(ProtocolError) {
        _ = try BinaryEnvelope(parsing: bytes.span)
        return nil
      } catch { return error.code }
    }
    for bytes: [UInt8] in [[], [1], [0, 1, 0x61], [2, 1, 0x61], [1, 2, 0x61], [1, 255, 0x61]] {
      #expect(code(bytes) == .badRequest)
    }
    for bytes: [UInt8] in [
      [1, 0], [1, 0, 1], [1, 1, 0xFF], [1, 1, 0x0A], [1, 201] + [UInt8](repeating: 0x61, count: 201),
    ] {
      #expect(code(bytes) == .badRoom)
    }
  }

  @Test("a binary header names room and user with their lengths, or is not written")
  func writesEnvelopes() {
    var output: [UInt8] = [7]
    let room = Array("r".utf8)
    let user = [UInt8](repeating: 0x75, count: 255)
    #expect(BinaryEnvelope.appendHeader(room: room.span, user: user.span, to: &output) == true)
    #expect(output == [7, 1, 1, 0x72, 255] + user)
    let longer = user + [0x75]
    #expect(BinaryEnvelope.appendHeader(room: room.span, user: longer.span, to: &output) == false)
    #expect(BinaryEnvelope.appendHeader(room: [UInt8]().span, user: room.span, to: &output) == false)
    #expect(output.count == 5 + 255)
  }

  @Test("every error code has one name and a status of its class")
  func namesErrors() {
    for code in ErrorCode.allCases {
      #expect(code.wireName.description == code.rawValue)
      #expect((400...503).contains(code.httpStatus))
    }
    #expect(ErrorCode.unavailable.httpStatus == 503)
  }

  @Test("no position holds an offset that cannot be counted on from")
  func offsetBound() throws {
    let epoch = try #require(Epoch(1))
    for offset in [Position.offsetMax, Position.offsetMax + 1, .max] {
      #expect(Position(epoch: epoch, offset: offset).offset == Position.offsetMax)
    }
    #expect(Position(text: Array("1:9007199254740991".utf8).span)?.offset == Position.offsetMax)
    #expect(Position(text: Array("1:9007199254740992".utf8).span) == nil)
    #expect(Position(text: Array("1:18446744073709551615".utf8).span) == nil)
  }
}
