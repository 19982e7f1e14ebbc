/// Numbers in as few bytes as they need, seven bits each: the form in which nodes answer each other's reads. Pure.
enum Varint {
  /// Appends a number.
  static func append(_ value: UInt64, to output: inout [UInt8]) {
    var rest = value
    while rest > 0x7F {
      output.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    output.append(UInt8(truncatingIfNeeded: rest))
  }

  /// Reads a number and moves the cursor after it; nil: there is none, or one of more than 64 bits.
  static func read(_ bytes: [UInt8], _ cursor: inout Int) -> UInt64? {
    var (value, shift): (UInt64, UInt64) = (0, 0)
    while cursor < bytes.count, shift < 64 {
      let byte = bytes[cursor]
      cursor += 1
      guard shift < 63 || byte <= 1 else { return nil }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    return nil
  }

  /// Appends bytes after their count.
  static func append(bytes: [UInt8], to output: inout [UInt8]) {
    append(UInt64(bytes.count), to: &output)
    output += bytes
  }

  /// Reads what `append(bytes:to:)` writes, at most so many bytes.
  static func readBytes(_ bytes: [UInt8], _ cursor: inout Int, max: Int) -> [UInt8]? {
    guard let count = read(bytes, &cursor), count <= UInt64(min(max, bytes.count - cursor)) else { return nil }
    defer { cursor += Int(count) }
    return Array(bytes[cursor..<(cursor + Int(count))])
  }
}

extension HistorySample {
  /// Writes samples as nodes send them: the words of one, then each slot with its words.
  static func encode(_ samples: [HistorySample]) -> [UInt8] {
    var output: [UInt8] = []
    Varint.append(UInt64(wordCount), to: &output)
    for sample in samples {
      Varint.append(sample.slot, to: &output)
      for word in sample.words { Varint.append(word, to: &output) }
    }
    return output
  }

  /// Reads what `encode` writes; nil for anything else, such as the samples of another version.
  static func decode(_ bytes: [UInt8]) -> [HistorySample]? {
    var cursor = 0
    guard Varint.read(bytes, &cursor) == UInt64(wordCount) else { return nil }
    var samples: [HistorySample] = []
    while cursor < bytes.count {
      guard samples.count < NodeHistory.samplesMax, let slot = Varint.read(bytes, &cursor) else { return nil }
      var words: [UInt64] = []
      for _ in 0..<wordCount {
        guard let word = Varint.read(bytes, &cursor) else { return nil }
        words.append(word)
      }
      samples.append(HistorySample(slot: slot, words: words))
    }
    return samples
  }
}
