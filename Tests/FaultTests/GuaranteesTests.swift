import Glibc
import TestSupport
import Testing

@Suite("docs/guarantees.md")
struct GuaranteesTests {
  @Test("names only tests that exist")
  func names() throws {
    let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let page = try output(["cat", root + "/docs/guarantees.md"])
    // A name may go over the end of a line.
    let words = page.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    let names = words.split(separator: "“").dropFirst().compactMap { $0.split(separator: "”").first.map(String.init) }
    #expect(names.count > 20)
    let tests = try output(["grep", "-rh", "@Test(", root + "/Tests", "--include=*.swift", "-A", "2"])
    for name in Set(names) { #expect(tests.contains("\"\(name)\""), "no test is called “\(name)”") }
  }

  private func output(_ command: [String]) throws -> String {
    let process = try ChildProcess(command)
    _ = try process.waitForEnd()
    return process.output
  }
}
