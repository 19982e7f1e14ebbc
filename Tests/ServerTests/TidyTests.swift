import TestSupport
import Testing

/// Sizes, names and comments of the source: what keeps the code readable and no compiler checks.
@Suite("The source tree is tidy")
struct TidyTests {
  private static let fileLinesMax = 400
  private static let functionLinesMax = 60
  private static let typeLinesMax = 700
  /// Words that have given way to the field's own, or to plain ones, and may not come back in code or comments.
  private static let bannedNames = [
    "AdminFault", "Standstill", "MasterFinder", "MapWatcher", "EnteringLedger", "RoomLedger", "RecentDepartures",
    "ClockDrift", "LeaseKeeper", "AddressTally", "HandshakeGate", "AdminGuesses", "homeless", "isSubstitute",
    "DeliveryForm", "Arriving", "Allowance", "Ceiling", "Ancestor", "obeyDisconnect", "obeyRevocation",
    "heardByEveryone",
  ]
  private static let bannedWords = ["whoever", "is told", "are told"]

  private static let modifiers = [
    "public", "package", "private", "fileprivate", "final", "static", "mutating", "indirect", "consuming",
  ]
  private static let kinds = ["func", "class", "struct", "enum", "protocol", "typealias"]

  private struct Source {
    let file: String
    let lines: [Substring]
  }

  private struct Declaration {
    let name: String
    let file: String
    let line: Int
    let count: Int
  }

  private static let sources: [Source] = {
    let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    return SourceTree.swiftFiles(below: root + "/Sources").compactMap { file in
      guard let bytes = try? contents(of: file) else { return nil }
      let text = String(decoding: bytes, as: UTF8.self)
      return Source(
        file: String(file.dropFirst(root.count + 1)),
        lines: text.split(separator: "\n", omittingEmptySubsequences: false))
    }
  }()

  /// Declarations whose first line fits a pattern, with their lines: the formatter puts the closing brace where the
  /// declaration begins.
  private static func declarations(_ pattern: Regex<(Substring, indent: Substring, name: Substring)>) -> [Declaration] {
    var found: [Declaration] = []
    for source in sources {
      for (number, line) in source.lines.enumerated() {
        guard let match = line.firstMatch(of: pattern) else { continue }
        let name = String(match.name)
        let isOneLine = line.hasSuffix("}")
        let end =
          isOneLine
          ? number
          : source.lines[number...].firstIndex { $0 == match.indent + "}" || $0.hasPrefix(match.indent + "} ") }
            ?? number
        found.append(Declaration(name: name, file: source.file, line: number + 1, count: end - number + 1))
      }
    }
    return found
  }

  @Test("no file is longer than 400 lines")
  func files() throws {
    try #require(Self.sources.count > 200)
    for source in Self.sources { #expect(source.lines.count <= Self.fileLinesMax + 1, "\(source.file)") }
  }

  @Test("no function is longer than 60 lines")
  func functions() throws {
    let functions = Self.declarations(/^(?<indent> *)(?:[@a-z()]+ )*(?:func |init)(?<name>[^ (<]*)/)
    try #require(functions.count > 1500)
    for function in functions {
      #expect(function.count <= Self.functionLinesMax, "\(function.file):\(function.line) \(function.name)")
    }
  }

  @Test("no type is longer than 700 lines in all its files")
  func types() throws {
    let parts = Self.declarations(
      /^(?<indent>)(?:[@a-z]+ )*(?:class|struct|enum|extension|actor) (?<name>[A-Za-z0-9]+)/)
    var sizes: [String: Int] = [:]
    for part in parts { sizes[part.name, default: 0] += part.count }
    try #require(sizes.count > 200)
    for (name, size) in sizes {
      #expect(size <= Self.typeLinesMax, "\(name) has \(size) lines")
    }
  }

  @Test("every public or package declaration has a comment, or is what a documented protocol asks for")
  func documented() {
    var documentedNames: Set<String> = ["==", "hash"]
    var missing: [(name: String, text: String)] = []
    for source in Self.sources {
      for (number, line) in source.lines.enumerated() {
        let words = line.split(separator: " ").drop { $0.hasPrefix("@") }
        guard let place = words.firstIndex(where: { Self.kinds.contains(String($0)) }), place + 1 < words.endIndex,
          words[..<place].allSatisfy({ Self.modifiers.contains(String($0)) })
        else { continue }
        let name = String(words[place + 1].prefix { $0.isLetter || $0.isNumber || "=<".contains($0) })
        let before = source.lines[..<number].last { !$0.drop { $0 == " " }.hasPrefix("@") } ?? ""
        if before.drop(while: { $0 == " " }).hasPrefix("//") {
          documentedNames.insert(name)
        } else if words.first == "public" || words.first == "package" {
          missing.append((name, "\(source.file):\(number + 1)\(line)"))
        }
      }
    }
    let undocumented = missing.filter { !documentedNames.contains($0.name) }.map(\.text)
    #expect(undocumented.isEmpty, "\(undocumented.joined(separator: "\n"))")
  }

  @Test("names and words that were given up do not come back")
  func words() {
    for source in Self.sources where !source.file.hasSuffix(".js") {
      for (number, line) in source.lines.enumerated() {
        for name in Self.bannedNames where line.contains(name) {
          Issue.record("\(source.file):\(number + 1): \(name)")
        }
        guard let comment = line.range(of: "//") else { continue }
        let text = line[comment.lowerBound...].lowercased()
        for word in Self.bannedWords where text.contains(word) {
          Issue.record("\(source.file):\(number + 1): “\(word)”: \(line)")
        }
      }
    }
  }
}
