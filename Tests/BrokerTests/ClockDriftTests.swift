import Testing

@testable import RedisBackend

@Suite("Drift of another machine's clock")
struct ClockDriftTests {
  @Test("is noticed when the other clock was set forward, not when an answer was long on its way")
  func forward() {
    var drift = ClockDrift(toleranceMilliseconds: 2000)
    func at(_ milliseconds: UInt64) -> UInt64 { milliseconds * 1_000_000 }
    #expect(!drift.isAhead(5_000_000, at: at(100)), "the first look has nothing to compare with")
    #expect(!drift.isAhead(5_002_000, at: at(2100)))
    // The answer of the third look took 1.9 s, that of the fourth nothing.
    #expect(!drift.isAhead(5_004_000, at: at(6000)))
    #expect(!drift.isAhead(5_006_000, at: at(6100)))
    #expect(drift.isAhead(5_012_000, at: at(8100)), "four seconds too many")
    #expect(!drift.isAhead(5_014_000, at: at(10_100)), "set once, noticed once")
    #expect(!drift.isAhead(1_414_000, at: at(12_100)), "set back by an hour: leases stand longer, none has run out")
  }
}
