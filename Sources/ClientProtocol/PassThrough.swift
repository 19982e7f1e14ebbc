import JSONCore

/// The members of an operation that are not the protocol's, as ranges of its text.
///
/// They go to the receivers byte for byte: spelling, order, inner whitespace, digits. Neighbours share a range, so the
/// usual message needs one and nothing is allocated up to four.
public struct PassThrough: Sendable {
  private var inline = InlineArray<4, Range<Int>>(repeating: 0..<0)
  private var inlineCount = 0
  private var overflow: [Range<Int>] = []

  init() {}

  /// Whether there is no member to pass on.
  public var isEmpty: Bool { inlineCount == 0 }

  /// How many separate ranges the members take.
  public var rangeCount: Int { inlineCount + overflow.count }

  /// How many bytes ``appendMembers(of:to:)`` appends.
  public var byteCount: Int {
    var sum = max(0, rangeCount - 1)
    for index in 0..<inlineCount { sum += inline[index].count }
    for range in overflow { sum += range.count }
    return sum
  }

  /// Appends the members separated by commas, with neither braces nor a comma at either end.
  ///
  /// `text` must be the text that the operation was parsed from.
  public func appendMembers(of text: Span<UInt8>, to output: inout [UInt8]) {
    for index in 0..<inlineCount {
      if index > 0 { output.append(UInt8(ascii: ",")) }
      output.append(copying: text.extracting(inline[index]))
    }
    for range in overflow {
      output.append(UInt8(ascii: ","))
      output.append(copying: text.extracting(range))
    }
  }

  /// Adds a member; one that follows the last one added directly extends its range over the comma between them.
  mutating func add(_ member: Range<Int>, isAdjacent: Bool) {
    if isAdjacent, let last = overflow.last {
      overflow[overflow.count - 1] = last.lowerBound..<member.upperBound
    } else if isAdjacent, inlineCount > 0 {
      inline[inlineCount - 1] = inline[inlineCount - 1].lowerBound..<member.upperBound
    } else if inlineCount < inline.count {
      inline[inlineCount] = member
      inlineCount += 1
    } else {
      overflow.append(member)
    }
  }
}
