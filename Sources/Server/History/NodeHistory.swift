/// What one interval brought, on one node or on several.
struct HistorySample: Equatable, Sendable {
  /// Words of a sample: the series, then the buckets of the histograms.
  static let wordCount = HistoryHistogram.redis.places.upperBound

  /// The interval's number: intervals are counted from 1970, so those of all nodes have the same numbers.
  let slot: UInt64
  var words: [UInt64]

  /// Adds what another node has of the same interval.
  mutating func add(_ other: HistorySample) {
    for place in words.indices {
      let isLargest = HistorySeries(rawValue: place)?.isLargest == true
      words[place] = isLargest ? max(words[place], other.words[place]) : words[place] &+ other.words[place]
    }
  }
}

/// The last 15 minutes of a node, a sample for each 5 seconds, in memory that is taken once: 180 samples of 51 words and a
/// number, 74,880 bytes. Pure.
struct NodeHistory {
  /// Milliseconds of an interval: short enough to see a stall of seconds, long enough that a cluster's answer stays small.
  static let intervalMilliseconds: UInt64 = 5_000
  /// Samples that are kept; a new one takes the place of the oldest.
  static let samplesMax = 180

  private var slots = [UInt64](repeating: 0, count: NodeHistory.samplesMax)
  private var words = [UInt64](repeating: 0, count: NodeHistory.samplesMax * HistorySample.wordCount)
  /// The place of the oldest sample.
  private var start = 0
  private(set) var count = 0

  /// Bytes of the samples.
  var byteCount: Int { (slots.count + words.count) * 8 }

  /// The newest sample; nil: there is none.
  var newest: HistorySample? { count > 0 ? sample(count - 1) : nil }

  /// Adds a sample. Samples ascend: one that does not follow the newest means that the clock was set back, and what was
  /// remembered is forgotten.
  mutating func add(_ sample: HistorySample) {
    precondition(sample.words.count == HistorySample.wordCount, "a sample has all words")
    if let newest = newest?.slot, sample.slot <= newest {
      guard sample.slot < newest else { return }
      (start, count) = (0, 0)
    }
    let place: Int
    if count < NodeHistory.samplesMax {
      place = (start + count) % NodeHistory.samplesMax
      count += 1
    } else {
      place = start
      start = (start + 1) % NodeHistory.samplesMax
    }
    slots[place] = sample.slot
    let first = place * HistorySample.wordCount
    for (index, word) in sample.words.enumerated() { words[first + index] = word }
  }

  /// The samples of so many intervals, ascending. Those that are older than 15 minutes by the clock are left out: a node that
  /// was suspended has some.
  func samples(in range: ClosedRange<UInt64>) -> [HistorySample] {
    (0..<count).lazy.map(sample).filter { range.contains($0.slot) }
  }

  private func sample(_ index: Int) -> HistorySample {
    let place = (start + index) % NodeHistory.samplesMax
    let first = place * HistorySample.wordCount
    return HistorySample(slot: slots[place], words: Array(words[first..<(first + HistorySample.wordCount)]))
  }

  // MARK: Intervals

  /// The interval that ends at the boundary nearest to a moment, in milliseconds since 1970.
  static func slot(endingNear now: UInt64) -> UInt64 {
    max(1, (now + intervalMilliseconds / 2) / intervalMilliseconds) - 1
  }

  /// Milliseconds until the next boundary that is at least half an interval away: a timer that is a little early does not
  /// take the same sample twice.
  static func wait(at now: UInt64) -> UInt64 {
    ((now + intervalMilliseconds / 2) / intervalMilliseconds + 1) * intervalMilliseconds - now
  }

  /// The end of an interval, in milliseconds since 1970.
  static func end(of slot: UInt64) -> UInt64 { (slot + 1) &* intervalMilliseconds }

  /// Milliseconds that all nodes get to take a sample before it is asked for.
  static let settlingMilliseconds: UInt64 = 1_000

  /// The intervals that an answer holds: complete on all nodes, and of the last 15 minutes; nil: none yet.
  ///
  /// - Parameters:
  ///   - since: milliseconds since 1970; only intervals that end later. Nil: all.
  ///   - now: milliseconds since 1970.
  static func range(since: UInt64?, now: UInt64) -> ClosedRange<UInt64>? {
    guard now > settlingMilliseconds + intervalMilliseconds * UInt64(samplesMax + 2) else { return nil }
    let last = (now - settlingMilliseconds) / intervalMilliseconds - 1
    let oldest = last - UInt64(samplesMax) + 1
    guard let since else { return oldest...last }
    // The interval that ends at `since` has the number before this.
    let first = max(oldest, since / intervalMilliseconds)
    return first <= last ? first...last : nil
  }
}
