import ClientProtocol
import TestSupport
import Testing

/// What the browser client and the documents say of the protocol is what the server does.
@Suite("Tables of the protocol")
struct ProtocolTablesTests {
  private static let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
    .joined(separator: "/")

  private func text(_ file: String) throws -> String {
    String(decoding: try contents(of: Self.root + "/" + file), as: UTF8.self)
  }

  @Test("roost.js connects again after the codes after which the server expects it")
  func closeCodesOfTheBrowserClient() throws {
    let script = try text("Sources/Server/Pages/roost.js")
    let match = try #require(script.firstMatch(of: /RECONNECT_CODES = new Set\(\[([0-9, ]+)\]\)/))
    let listed = Set(match.1.split(separator: ",").compactMap { UInt16($0.trimmingPrefix(" ")) })
    let candidates = [UInt16](1000...1015) + [UInt16](4400...4499)
    #expect(listed == Set(candidates.filter { CloseReason.reconnect(after: $0) != .never }))
  }

  @Test("roost.js tries a join again after the errors that pass, and while its own queue is full")
  func passingErrorsOfTheBrowserClient() throws {
    let script = try text("Sources/Server/Pages/roost.js")
    let match = try #require(script.firstMatch(of: /PASSING_ERRORS = new Set\(\[(.+?)\]\)/))
    let listed = Set(match.1.split(separator: ",").map { $0.filter { $0.isLetter || $0 == "_" } })
    #expect(listed == Set(ErrorCode.allCases.filter(\.isPassing).map(\.rawValue)).union(["queue_full"]))
  }

  @Test("docs/protocol.md has every close code, error code and kind of event, and whether to connect again")
  func document() throws {
    let document = try text("docs/protocol.md")
    for reason in CloseReason.allCases {
      let row = try #require(
        document.split(separator: "\n").first { $0.hasPrefix("| ") && $0.prefix(24).contains("\(reason.code)") })
      let ending = row.split(separator: "|").last.map(String.init) ?? ""
      let expected = [.soon: "yes", .later: "later", .never: "no"][reason.reconnect] ?? ""
      #expect(ending.contains(expected), "\(row)")
    }
    let firstCells = document.split(separator: "\n").filter { $0.hasPrefix("| `") }
      .map { String($0.dropFirst(2).prefix { $0 != "|" }) }.joined(separator: "\n")
    for code in ErrorCode.allCases { #expect(firstCells.contains("`\(code.rawValue)`"), "\(code)") }
    for kind in EventKind.allCases { #expect(document.contains("\"type\":\"\(kind.wireName)\""), "\(kind)") }
  }
}
