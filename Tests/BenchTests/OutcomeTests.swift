import Testing

@testable import Bench

@Suite("What a run prints")
struct OutcomeTests {
  @Test(
    "numbers are written plainly",
    arguments: [(0.0, 2, "0.00"), (1.005, 1, "1.0"), (0.999, 2, "1.00"), (12.34567, 3, "12.346"), (-1.5, 0, "-2")])
  func fixed(value: Double, decimals: Int, text: String) { #expect(Figures.fixed(value, decimals) == text) }

  @Test("thousands are parted", arguments: [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")])
  func grouped(value: UInt64, text: String) { #expect(Figures.grouped(value) == text) }

  @Test("a run that lost messages is not clean, and says how many")
  func lost() {
    var check = SequenceCheck()
    check.end(published: 3, expected: 2)
    let outcome = Outcome(
      scenario: .fanout, settings: BenchSettings(), unit: "deliveries", measurement: Measurement(), check: check)
    #expect(!outcome.isClean)
    #expect(outcome.json().contains("\"lost\":2"))
    #expect(outcome.table().contains("lost           2\n"))
  }

  @Test("memory that could not be read is unknown, not 0")
  func unknownMemory() {
    let outcome = Outcome(
      scenario: .idle, settings: BenchSettings(), unit: "connections", memory: MemoryFigures(before: 1))
    #expect(outcome.json().contains("\"bytesPerConnection\":null"))
    #expect(outcome.table().contains("unknown"))
  }
}
