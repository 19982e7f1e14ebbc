import Testing

@testable import Commands

@Suite struct PlainTextTests {
  @Test(
    "tells an age in the largest whole unit",
    arguments: [
      (0, "now"), (999, "now"), (1000, "1s ago"), (59_999, "59s ago"), (180_000, "3m ago"), (7_200_000, "2h ago"),
      (172_800_000, "2d ago"),
    ] as [(UInt64, String)])
  func age(_ elapsed: UInt64, _ expected: String) {
    #expect(PlainText.age(since: 1_000_000, now: 1_000_000 + elapsed) == expected)
  }

  @Test("calls a moment in the future now, since clocks differ")
  func future() { #expect(PlainText.age(since: 5000, now: 1000) == "now") }

  @Test(
    "writes sizes with one decimal",
    arguments: [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (19_293_798, "18.3 MiB"), (5 << 40, "5120.0 GiB")]
      as [(UInt64, String)])
  func size(_ bytes: UInt64, _ expected: String) { #expect(PlainText.size(bytes: bytes) == expected) }

  @Test(
    "writes durations with their two largest units",
    arguments: [(42, "42s"), (310, "5m 10s"), (11_100, "3h 5m"), (187_200, "2d 4h")] as [(UInt64, String)])
  func duration(_ seconds: UInt64, _ expected: String) { #expect(PlainText.duration(seconds: seconds) == expected) }

  @Test("escapes in every cell what could steer a terminal or turn the direction of a line")
  func harmless() {
    var table = TextTable([.text("ROOM")])
    table.append(["a\u{1B}[2Jb\nc\u{9B}d\u{202E}e\u{7F}"])
    #expect(table.text == "ROOM\na\\u001b[2Jb\\u000ac\\u009bd\\u202ee\\u007f\n")
  }

  @Test("aligns text to the left, numbers to the right, and ends no line with spaces")
  func table() {
    var table = TextTable([.text("ROOM"), .number("USERS"), .text("NOTE")])
    table.append(["lobby", "3", "x"])
    table.append(["a", "1200", ""])
    #expect(table.text == "ROOM   USERS  NOTE\nlobby      3  x\na       1200\n")
  }

  @Test("cuts a cell that is longer than a line can bear")
  func longCell() {
    var table = TextTable([.text("ROOM")])
    table.append([String(repeating: "é", count: 61)])
    #expect(table.text == "ROOM\n" + String(repeating: "é", count: 59) + "…\n")
  }

  @Test("prints no titles without rows")
  func noRows() { #expect(TextTable([.text("ROOM")]).text.isEmpty) }
}
