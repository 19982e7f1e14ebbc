import ClientProtocol
import Foundation
import TestSupport
import Testing

/// docs/errors.md is made of the tables of the code. `make errors` writes its tables anew.
@Suite("The page of errors and close codes")
struct ErrorPageTests {
  private static let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
    .joined(separator: "/")

  private static func text(_ file: String) throws -> String {
    String(decoding: try contents(of: root + "/" + file), as: UTF8.self)
  }

  private static func table(_ heads: [String], _ rows: [[String]]) -> String {
    ([heads, heads.map { _ in "---" }] + rows).map { "| " + $0.joined(separator: " | ") + " |\n" }.joined()
  }

  private static func row(_ first: String, _ second: String? = nil, _ explanation: Explanation) -> [String] {
    [first] + (second.map { [$0] } ?? [])
      + [explanation.cause, explanation.audience, explanation.cure].map { "\($0)" }
  }

  private static func reconnect(_ code: UInt16) -> String {
    switch CloseReason.reconnect(after: code) {
    case .soon: "yes"
    case .later: "later"
    case .never: "no"
    }
  }

  /// The tables by the name that their markers in the page have.
  private static var tables: [(name: String, text: String)] {
    let closes =
      StandardClose.allCases.map { row("\($0.rawValue)", reconnect($0.rawValue), $0.explanation) }
      + CloseReason.allCases.map { row("\($0.code): “\($0.text)”", reconnect($0.code), $0.explanation) }
    return [
      (
        "error codes",
        table(
          ["code", "status", "cause", "who meets it", "what to do"],
          ErrorCode.allCases.map { row("`\($0.rawValue)`", "\($0.httpStatus)", $0.explanation) })
      ),
      ("close codes", table(["code and reason", "reconnect?", "cause", "who meets it", "what to do"], closes)),
      (
        "library codes",
        table(
          ["code", "cause", "library", "what to do"],
          LibraryError.allCases.map { row("`\($0.rawValue)`", nil, $0.explanation) })
      ),
    ]
  }

  private static func page(from text: String) throws -> String {
    var page = text
    for (name, table) in tables {
      let begin = try #require(page.range(of: "<!-- \(name) -->\n"), "docs/errors.md lacks the marker of \(name)")
      let end = try #require(page.range(of: "<!-- end of \(name) -->", range: begin.upperBound..<page.endIndex))
      page.replaceSubrange(begin.upperBound..<end.lowerBound, with: table)
    }
    return page
  }

  @Test("docs/errors.md has the tables of the code")
  func tablesAreThoseOfTheCode() throws {
    let text = try Self.text("docs/errors.md")
    let expected = try Self.page(from: text)
    if ProcessInfo.processInfo.environment["WRITE_ERRORS"] != nil {
      try Data(expected.utf8).write(to: URL(filePath: Self.root + "/docs/errors.md"))
    } else {
      #expect(text == expected, "docs/errors.md differs from the tables of the code: make errors writes them")
    }
  }

  @Test("no explanation is empty or breaks its table")
  func explanations() {
    let all =
      ErrorCode.allCases.map(\.explanation) + CloseReason.allCases.map(\.explanation)
      + StandardClose.allCases.map(\.explanation) + LibraryError.allCases.map(\.explanation)
    for each in all {
      for text in [each.cause, each.audience, each.cure].map({ "\($0)" }) {
        #expect(text.count > 3 && !text.contains("|") && !text.contains("\n"), "\(text)")
        #expect(text.split(separator: "`", omittingEmptySubsequences: false).count % 2 == 1, "\(text)")
      }
    }
  }

  @Test("the codes that the libraries make by themselves are all explained")
  func libraryCodes() throws {
    let known = Set(ErrorCode.allCases.map(\.rawValue) + LibraryError.allCases.map(\.rawValue))
    let types = try Self.text("Sources/Server/Pages/roost.d.ts")
    let union = try #require(types.firstMatch(of: /export type ErrorCode =([^;]*);/)).1
    let script = Set(union.matches(of: /'(\w+)'/).map { String($0.1) })
    let swift = try Self.text("Sources/RoostClient/ClientError.swift")
      .matches(of: /Code\(rawValue: "(\w+)"\)/).map { String($0.1) }
    #expect(script.count > 15 && swift.count > 12)
    #expect(script.union(swift) == known.union(["failed"]), "\(script.union(swift).symmetricDifference(known))")
  }

  @Test("the reasons of auth_failed on the page are those of the code")
  func reasons() throws {
    let code =
      try Self.text("Sources/Tokens/TokenFault.swift") + Self.text("Sources/Realtime/Access/Refusal.swift")
      + Self.text("Sources/Realtime/Access/Authentication.swift")
    let page = try Self.text("docs/errors.md")
    let section = try #require(page.components(separatedBy: "\n## ").first { $0.hasPrefix("Reasons of `auth_failed`") })
    let reasons = section.matches(of: /\n\| “([^”…]*)/).map { String($0.1) }
    #expect(reasons.count > 8)
    for reason in reasons { #expect(code.contains("\"\(reason)"), "\(reason)") }
  }
}
