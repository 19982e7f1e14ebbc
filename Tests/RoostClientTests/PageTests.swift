import TestSupport
import Testing

/// The pages about the libraries show code that is compiled.
@Suite("The pages of the libraries")
struct PageTests {
  private static let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
    .joined(separator: "/")

  private static func lines(_ path: String) throws -> [String] {
    String(decoding: try contents(of: "\(root)/\(path)"), as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false)
      .map { line in String(line.drop { $0 == " " }) }
  }

  /// The Swift blocks of a page, without their indents.
  private static func blocks(_ page: String) throws -> [[String]] {
    var (blocks, block): ([[String]], [String]?) = ([], nil)
    for line in try lines(page) {
      if line == "```swift" {
        block = []
      } else if line == "```", let ended = block {
        blocks.append(ended)
        block = nil
      } else {
        block?.append(line)
      }
    }
    return blocks
  }

  @Test(
    "have no Swift that is not compiled as it stands there",
    arguments: [
      ("docs/embedding.md", ["Tests/embedding/chat/Chat.swift", "Tests/embedding/ticker/Ticker.swift"], 2),
      ("docs/swift-client.md", ["Tests/RoostClientTests/Snippets.swift"], 5),
    ])
  func compiled(_ page: String, _ sources: [String], _ count: Int) throws {
    let compiled = try sources.map { try PageTests.lines($0).joined(separator: "\n") }
    let blocks = try PageTests.blocks(page)
    #expect(blocks.count == count)
    for block in blocks {
      let text = block.joined(separator: "\n")
      #expect(compiled.contains { $0.contains(text) }, "\(page): no source has\n\(text)")
    }
  }

  @Test("the manifest has both libraries, and the package that depends on them asks for both by name")
  func products() throws {
    let manifest = try PageTests.lines("Package.swift")
    let consumer = try PageTests.lines("Tests/dependency/Package.swift").joined()
    for library in ["RoostServer", "RoostClient"] {
      #expect(manifest.contains { $0 == ".library(name: \"\(library)\", targets: [\"\(library)\"])," })
      #expect(consumer.contains(".product(name: \"\(library)\", package: \"roost\")"))
    }
  }
}
