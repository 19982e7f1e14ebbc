import TestSupport
import Testing
import TimeCore

@Suite("Histograms and build")
struct MetricsTests {
  @Test(
    "a duration counts in the first bucket whose bound it does not exceed",
    arguments: [
      (UInt64(0), 0), (1_000_000, 0), (1_000_001, 1), (5_000_000_000, 11), (5_000_000_001, 12),
    ])
  func buckets(nanoseconds: UInt64, bucket: Int) {
    var histogram = DurationHistogram(bounds: DurationHistogram.millisecondBounds)
    histogram.observe(nanoseconds: nanoseconds)
    #expect(histogram.counts[bucket] == 1)
    #expect(histogram.counts.reduce(0, +) == 1)
    #expect(histogram.sumNanoseconds == nanoseconds)
  }

  @Test("a clock that goes back counts as no time; histograms add up")
  func sums() {
    var histogram = DurationHistogram(bounds: DurationHistogram.answerBounds)
    histogram.observe(milliseconds: 8, to: 5)
    #expect(histogram.counts[0] == 1 && histogram.sumNanoseconds == 0)
    var other = DurationHistogram(bounds: DurationHistogram.answerBounds)
    other.observe(milliseconds: 5, to: 8)
    histogram.add(other)
    #expect(histogram.counts.reduce(0, +) == 2 && histogram.sumNanoseconds == 3_000_000)
    for bounds in [DurationHistogram.answerBounds, DurationHistogram.millisecondBounds] {
      #expect(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 })
    }
  }

  @Test("joins count once each, resumed ones also as recoveries, and the version is shown")
  func joins() throws {
    let server = try RoostProcess()
    let ann = try server.connect("ann")
    let joined = try ann.join("r")
    let epoch = try #require(joined.string("epoch"))
    try ann.publish("r", #""echo":true"#)
    try ann.expect("message")
    #expect(try server.metric("roost_join_seconds_count") == 1)
    #expect(try server.metric("roost_recovery_seconds_count") == 0)
    let bob = try server.connect("bob")
    try bob.join("r", since: #"{"epoch":"\#(epoch)","offset":0}"#)
    try bob.expect("message")
    try eventually("the recovery is counted") { try server.metric("roost_recovery_seconds_count") == 1 }
    #expect(try server.metric("roost_join_seconds_count") == 2)
    #expect(try server.metric(#"roost_join_seconds_bucket{le="+Inf"}"#) == 2)
    let text = try server.http.get("/metrics").text
    #expect(text.contains("roost_build_info{version=\""))
  }
}
