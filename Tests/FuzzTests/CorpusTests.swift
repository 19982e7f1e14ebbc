import Foundation
import FuzzTargets
import Randomness
import Testing

/// Repeats the fuzzer's known inputs, and a few thousand new ones that are the same in every run.
@Suite("Fuzz targets")
struct CorpusTests {
  @Test("every input of the corpus keeps the target's promises", arguments: FuzzTarget.allCases)
  func corpus(target: FuzzTarget) throws {
    let inputs = try Self.corpus(of: target)
    #expect(!inputs.isEmpty, "a target needs inputs to begin with")
    let check = target.makeCheck()
    for (name, bytes) in inputs {
      #expect(throws: Never.self, "\(target.rawValue)/\(name)") { try check(bytes) }
    }
  }

  @Test("inputs made from the corpus by a seed keep the target's promises", arguments: FuzzTarget.allCases)
  func mutations(target: FuzzTarget) throws {
    let inputs = try Self.corpus(of: target).map(\.bytes)
    let check = target.makeCheck()
    let seed: UInt64 = 20_261_121
    var random = SeededGenerator(seed: seed)
    for round in 0..<1000 {
      var bytes = inputs.randomElement(using: &random) ?? []
      for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0...3, using: &random) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.remove(at: place)
        case 2: bytes.insert(bytes[Int.random(in: 0..<bytes.count, using: &random)], at: place)
        default: bytes.removeLast(bytes.count - place)
        }
      }
      #expect(throws: Never.self, "\(target.rawValue), seed \(seed), round \(round): \(bytes)") { try check(bytes) }
    }
  }

  private static func corpus(of target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Fuzz/corpus/\(target.rawValue)")
    return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map { name in
      (name, [UInt8](try Data(contentsOf: folder.appending(path: name))))
    }
  }
}
