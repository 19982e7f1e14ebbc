import Testing

@testable import Bench

@Suite("Latencies")
struct LatencyHistogramTests {
  @Test("a quantile is never below the true one and at most 1.6 % above", arguments: [0.5, 0.99, 0.999, 1.0])
  func precision(share: Double) {
    var histogram = LatencyHistogram()
    let values = (1...10_000).map { UInt64($0) * 977 }
    for value in values { histogram.record(value) }
    let exact = values[Int((share * 10_000).rounded(.up)) - 1]
    let found = histogram.quantile(share)
    #expect(found >= exact)
    #expect(Double(found) <= Double(exact) * 1.016)
  }

  @Test("extremes have a bucket", arguments: [0, 1, 127, 128, UInt64.max])
  func extremes(value: UInt64) {
    var histogram = LatencyHistogram()
    histogram.record(value)
    #expect(histogram.maximum == value)
    #expect(histogram.quantile(0.5) == value)
  }

  @Test("without durations every quantile is 0")
  func empty() { #expect(LatencyHistogram().quantile(0.99) == 0) }
}
