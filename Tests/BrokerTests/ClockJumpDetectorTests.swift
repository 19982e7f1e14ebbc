import Testing

@testable import RedisBackend

@Suite("Drift of another machine's clock")
struct ClockDriftTests {
  @Test("is noticed when the other clock was set forward, not when it was set back or an answer was long on its way")
  func forward() {
    let looks: [(theirs: Int, ours: UInt64, isAhead: Bool)] = [
      (5_000_000, 100, false), (5_002_000, 2100, false),
      // The answer of this look took 1.9 s, that of the next nothing.
      (5_004_000, 6000, false), (5_006_000, 6100, false),
      // Four seconds too many, once.
      (5_012_000, 8100, true), (5_014_000, 10_100, false),
      // Set back by an hour: leases stand longer, none has run out.
      (1_414_000, 12_100, false),
    ]
    var drift = ClockJumpDetector(toleranceMilliseconds: 2000)
    for look in looks {
      let isAhead = drift.isAhead(look.theirs, at: look.ours * 1_000_000)
      #expect(isAhead == look.isAhead, "at \(look.ours) ms")
    }
  }
}
