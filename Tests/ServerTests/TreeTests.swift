import TestSupport
import Testing

/// Rules for the source text that no compiler checks: each names a mistake that was made once.
@Suite("The source tree")
struct TreeTests {
  private struct Line {
    let file: String
    let number: Int
    let text: String
  }

  /// The folder of the package, two above this file's.
  private static let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
    .joined(separator: "/")

  private static func lines() throws -> [Line] {
    var lines: [Line] = []
    for file in SourceTree.swiftFiles(below: root + "/Sources") {
      let text = String(decoding: try contents(of: file), as: UTF8.self)
      for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
        lines.append(Line(file: String(file.dropFirst(root.count + 1)), number: index + 1, text: String(line)))
      }
    }
    guard lines.count > 10_000 else { throw TestFailure("no sources below \(root)") }
    return lines
  }

  @Test("reserves no array's own count and some more: each call would copy all of it, so that growing is quadratic")
  func exactReservations() throws {
    for line in try TreeTests.lines() where line.text.contains("reserveCapacity(") {
      let pieces = line.text.split(separator: "reserveCapacity(", maxSplits: 1).map(String.init)
      let receiver =
        (pieces.first ?? "").split { !($0.isLetter || $0.isNumber || $0 == "_") }.last.map(String.init) ?? ""
      let argument = pieces.last ?? ""
      let isExact = argument.hasPrefix("count +") || (!receiver.isEmpty && argument.contains("\(receiver).count +"))
      #expect(!isExact, "\(line.file):\(line.number): append, and leave the growth to the array: \(line.text)")
    }
  }

  @Test("uses no try? on what returns an optional: its nil and the error would be one")
  func flattened() throws {
    let lines = try TreeTests.lines()
    var names: Set<String> = []
    let declaration = /func (\w+)[(<].*throws.*-> .*\?( \{.*)?$/
    for line in lines {
      if let match = line.text.firstMatch(of: declaration) { names.insert(String(match.1)) }
    }
    #expect(names.contains("nextMember"), "the rule finds the functions that it is about")
    for line in lines where line.text.contains("try? ") {
      for call in line.text.split(separator: "try? ").dropFirst() {
        let name = call.prefix { $0 != "(" }.split(separator: ".").last.map(String.init) ?? ""
        #expect(!names.contains(name), "\(line.file):\(line.number): use do and catch: \(line.text)")
      }
    }
  }
}
