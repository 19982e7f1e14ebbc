/// Judges the order in which members hear the messages of their rooms: every number once, ascending.
struct SequenceCheck {
  /// Missing numbers that are remembered, so that a late one is distinguished from a repeated one. Beyond, a late
  /// one counts as a duplicate and as lost: the run has failed either way.
  private static let missingMax = 1 << 20

  private struct Missing: Hashable {
    let member: Int
    let sequence: UInt32
  }

  private var missing: Set<Missing> = []
  /// Messages that never came.
  private(set) var lost: UInt64 = 0
  /// Messages that came again.
  private(set) var duplicates: UInt64 = 0
  /// Messages that came after a later one.
  private(set) var reordered: UInt64 = 0

  /// Whether every message came once and in order.
  var isClean: Bool { lost == 0 && duplicates == 0 && reordered == 0 }

  /// Takes a number that was not the one `expected`, which it moves.
  mutating func take(_ sequence: UInt32, expected: inout UInt32, member: Int) {
    if sequence >= expected {
      lose(expected..<sequence, member)
      expected = sequence + 1
    } else if missing.remove(Missing(member: member, sequence: sequence)) != nil {
      lost -= 1
      reordered += 1
    } else {
      duplicates += 1
    }
  }

  /// Ends the judgement of one member whose room has published so many.
  mutating func end(published: UInt32, expected: UInt32) {
    if published >= expected { lost += UInt64(published - expected) + 1 }
  }

  private mutating func lose(_ range: Range<UInt32>, _ member: Int) {
    lost += UInt64(range.count)
    for sequence in range where missing.count < SequenceCheck.missingMax {
      missing.insert(Missing(member: member, sequence: sequence))
    }
  }
}
