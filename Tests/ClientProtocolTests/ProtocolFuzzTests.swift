import JSONCore
import Randomness
import Testing

@testable import ClientProtocol

@Suite("Protocol fuzz")
struct ProtocolFuzzTests {
  private static let keys = [
    "type", "room", "user", "offset", "ts", "id", "echo", "to", "token", "since", "limit", "action", "payload", "a",
    "text", #"\u0074ype"#, #"u\u0073er"#, #"\ud800"#, "",
  ]
  private static let values = [
    "\"message\"", "\"direct\"", "\"broadcast\"", "\"r\"", "\"\"", "1", "-0.5e3", "true", "null", "[1, {}]",
    #"{"epoch":"1f","offset":3}"#, #""\u0061\n""#, #""\udc00""#, "\"é\"",
  ]

  @Test("what is passed on is valid JSON without a member of the protocol", arguments: [61, 62, 63] as [UInt64])
  func passesNothingReserved(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var accepted = 0
    for round in 0..<4000 {
      let type = ["message", "direct", "broadcast"].randomElement(using: &random) ?? ""
      var parts = (0..<Int.random(in: 0...12, using: &random)).map { _ in
        "\"\(Self.keys.randomElement(using: &random) ?? "")\":\(Self.values.randomElement(using: &random) ?? "0")"
      }
      parts += [#""type":"\#(type)""#, #""room":"r""#, #""to":"u""#, #""echo":true"#, #""id":"i""#].shuffled(
        using: &random)
      let text = Array("{\(parts.joined(separator: [",", " , "].randomElement(using: &random) ?? ","))}".utf8)
      guard let operation = try? ClientOperation(parsing: text.span) else { continue }
      accepted += 1
      var output = Array("{".utf8)
      operation.passThrough.appendMembers(of: text.span, to: &output)
      output.append(UInt8(ascii: "}"))
      var scanner = JSONScanner(output.span)
      var passedKeys: [String] = []
      while let member = try scanner.nextMember() {
        passedKeys.append(member.key.decoded(in: output.span).map { String(decoding: $0, as: UTF8.self) } ?? "?")
      }
      let reserved = Set(["type", "room", "user", "offset", "ts", "id", "echo"] + (type == "direct" ? ["to"] : []))
      #expect(passedKeys.filter(reserved.contains).isEmpty, "seed \(seed) round \(round)")
      let expected = try keys(of: text).filter { !reserved.contains($0) }
      #expect(passedKeys == expected, "seed \(seed) round \(round)")
    }
    #expect(accepted > 3000)
  }

  @Test(
    "mutated operations and noise never trap, and malformed JSON is always bad_request",
    arguments: [71, 72] as [UInt64])
  func survivesMutation(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let model = Array(
      #"{"type":"history","room":"r\u00e9","id":"7","limit":5,"since":{"epoch":"1f","offset":3},"a":[1]}"#.utf8)
    for round in 0..<6000 {
      var text = model
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let place = Int.random(in: 0..<text.count, using: &random)
        if Bool.random(using: &random) {
          text[place] = UInt8.random(in: 0x20...0x7E, using: &random)
        } else {
          text.remove(at: place)
        }
      }
      let isJSON = (try? JSONScanner.validate(text.span)) != nil
      do throws(ProtocolError) {
        let operation = try ClientOperation(parsing: text.span)
        #expect(isJSON)
        if let room = operation.room {
          let name = room.decoded(in: text.span) ?? []
          #expect(RoomName.isValid(name.span) == true, "seed \(seed) round \(round)")
        }
      } catch {
        if !isJSON { #expect(error.code == .badRequest && error.id == nil, "seed \(seed) round \(round)") }
      }
      let noise = random.bytes(Int.random(in: 0...8, using: &random))
      if let envelope = try? BinaryEnvelope(parsing: ([1] + noise).span) {
        #expect(envelope.payload.upperBound == noise.count + 1)
      }
      _ = Position(text: noise.span)
      _ = RoomName.isValid(noise.span)
    }
  }

  private func keys(of text: [UInt8]) throws -> [String] {
    var scanner = JSONScanner(text.span)
    var keys: [String] = []
    while let member = try scanner.nextMember() {
      keys.append(member.key.decoded(in: text.span).map { String(decoding: $0, as: UTF8.self) } ?? "?")
    }
    return keys
  }
}
