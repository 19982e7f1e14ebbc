import JSONCore

/// The samples of several nodes, added up by interval, and their JSON. Pure.
struct HistorySum {
  private var bySlot: [UInt64: HistorySample] = [:]

  /// Adds a node's samples, those of the range only.
  mutating func add(_ samples: [HistorySample], in range: ClosedRange<UInt64>) {
    for sample in samples where range.contains(sample.slot) {
      if var sum = bySlot[sample.slot] {
        sum.add(sample)
        bySlot[sample.slot] = sum
      } else {
        bySlot[sample.slot] = sample
      }
    }
  }

  /// Writes the members `interval`, `times`, `series` and one for each histogram: columns with one element for each interval
  /// that any node has, ascending.
  func write(to writer: inout JSONWriter) {
    let samples = bySlot.values.sorted { $0.slot < $1.slot }
    writer.key("interval")
    writer.unsigned(NodeHistory.intervalMilliseconds)
    writer.key("times")
    writer.beginArray()
    for sample in samples { writer.unsigned(NodeHistory.end(of: sample.slot)) }
    writer.endArray()
    writer.key("series")
    writer.beginObject()
    for series in HistorySeries.allCases {
      writer.key(series.name)
      writer.beginArray()
      for sample in samples { writer.unsigned(sample.words[series.rawValue]) }
      writer.endArray()
    }
    writer.endObject()
    for histogram in HistoryHistogram.allCases { HistorySum.write(histogram, samples, to: &writer) }
  }

  private static func write(_ histogram: HistoryHistogram, _ samples: [HistorySample], to writer: inout JSONWriter) {
    writer.key(histogram.name)
    writer.beginObject()
    writer.key("bounds")
    writer.beginArray()
    for bound in histogram.bounds { writer.double(Double(bound) / 1_000_000) }
    writer.endArray()
    writer.key("counts")
    writer.beginArray()
    for sample in samples {
      // Most buckets are empty, the last ones above all.
      let counts = sample.words[histogram.places]
      let end = counts.lastIndex { $0 > 0 }.map { $0 + 1 } ?? counts.startIndex
      writer.beginArray()
      for count in counts[..<end] { writer.unsigned(count) }
      writer.endArray()
    }
    writer.endArray()
    writer.endObject()
  }
}
