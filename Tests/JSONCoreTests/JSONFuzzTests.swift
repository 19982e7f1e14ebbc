import Foundation
import Randomness
import Testing

@testable import JSONCore

/// Random texts with printed seeds, judged by a parser that shares no code with ours.
@Suite("JSON fuzz")
struct JSONFuzzTests {
  @Test("agrees with Foundation on mutated texts and never traps", arguments: [1, 2, 3, 4] as [UInt64])
  func agreesWithFoundation(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let alphabet = Array("{}[]\",:\\u0123456789abcdefe+-.truefalsn \n\t/x".utf8)
    for round in 0..<3000 {
      var text = generated(&random, depth: 4)
      for _ in 0..<Int.random(in: 0...3, using: &random) where !text.isEmpty {
        let place = Int.random(in: 0..<text.count, using: &random)
        switch Int.random(in: 0...2, using: &random) {
        case 0: text[place] = alphabet.randomElement(using: &random) ?? 0
        case 1: text.remove(at: place)
        default: text.insert(alphabet.randomElement(using: &random) ?? 0, at: place)
        }
      }
      guard String(validating: text, as: UTF8.self) != nil else { continue }
      let ours = (try? JSONScanner.validate(text.span)) != nil
      let shown = String(decoding: text, as: UTF8.self)
      // Foundation refuses two things of the grammar: halves of surrogate pairs and numbers beyond every double.
      if ours, shown.contains("\\u") || shown.lowercased().contains("e") { continue }
      // Foundation also lets a trailing comma pass, which RFC 8259 does not.
      let dense = shown.filter { !" \t\n\r".contains($0) }
      if dense.contains(",}") || dense.contains(",]") { continue }
      let theirs = (try? JSONSerialization.jsonObject(with: Data(text), options: .fragmentsAllowed)) != nil
      #expect(ours == theirs, "seed \(seed) round \(round): \(shown)")
    }
  }

  @Test("the three readers agree on whether a text is valid", arguments: [11, 12, 13] as [UInt64])
  func readersAgree(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for round in 0..<3000 {
      var text = generated(&random, depth: 5)
      if Bool.random(using: &random), !text.isEmpty {
        text[Int.random(in: 0..<text.count, using: &random)] = UInt8.random(in: 0...127, using: &random)
      }
      // The scanner leaves UTF-8 to its caller.
      guard String(validating: text, as: UTF8.self) != nil else { continue }
      let scanned = (try? JSONScanner.validate(text.span)) != nil
      let tree = failure { _ = try JSONValue.parse(text.span, depthMax: 512) }
      let treeIsValid = tree == nil || tree?.reason == .loneSurrogate
      #expect(scanned == treeIsValid, "seed \(seed) round \(round)")
      let pulled = failure { _ = try members(of: text) }
      if pulled?.reason != .expectedObject {
        #expect(scanned == (pulled == nil), "seed \(seed) round \(round)")
      }
    }
  }

  @Test("random bytes never trap", arguments: [21, 22] as [UInt64])
  func survivesNoise(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<5000 {
      let length = Int.random(in: 0...60, using: &random)
      let bytes = random.bytes(length)
      _ = try? JSONScanner.validate(bytes.span)
      _ = try? JSONValue.parse(bytes.span)
      var inBraces = Array("{\"a\":\"".utf8)
      inBraces += bytes
      let outcome = failure { _ = try members(of: inBraces) }
      #expect(outcome == nil || (0...inBraces.count).contains(outcome?.offset ?? -1))
    }
  }

  private func failure(_ body: () throws -> Void) -> JSONError? {
    do {
      try body()
      return nil
    } catch { return error as? JSONError }
  }

  private func generated(_ random: inout SeededGenerator, depth: Int) -> [UInt8] {
    var writer = JSONWriter()
    write(&writer, &random, depth: depth)
    return writer.finish()
  }

  private func write(_ writer: inout JSONWriter, _ random: inout SeededGenerator, depth: Int) {
    switch Int.random(in: 0...(depth > 0 ? 8 : 5), using: &random) {
    case 0: writer.null()
    case 1: writer.bool(Bool.random(using: &random))
    case 2: writer.integer(Int.random(in: Int.min...Int.max, using: &random))
    case 3: writer.double(Double.random(in: -1e6...1e6, using: &random))
    case 4, 5:
      let scalars = (0..<Int.random(in: 0...20, using: &random)).map { _ in
        Unicode.Scalar(UInt32.random(in: 0...0x2FF, using: &random)) ?? "x"
      }
      writer.string(String(String.UnicodeScalarView(scalars)))
    case 6:
      writer.beginArray()
      for _ in 0..<Int.random(in: 0...4, using: &random) { write(&writer, &random, depth: depth - 1) }
      writer.endArray()
    default:
      writer.beginObject()
      for index in 0..<Int.random(in: 0...4, using: &random) {
        writer.key(bytes: Array("k\(index)\"".utf8).span)
        write(&writer, &random, depth: depth - 1)
      }
      writer.endObject()
    }
  }
}
