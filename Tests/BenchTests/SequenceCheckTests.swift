import Testing

@testable import Bench

@Suite("Judging loss, duplicates and order")
struct SequenceCheckTests {
  private func judged(_ heard: [UInt32], published: UInt32) -> SequenceCheck {
    var check = SequenceCheck()
    var expected: UInt32 = 1
    for sequence in heard {
      if sequence == expected { expected += 1 } else { check.take(sequence, expected: &expected, member: 0) }
    }
    check.end(published: published, expected: expected)
    return check
  }

  @Test("every number once and ascending is clean")
  func clean() { #expect(judged([1, 2, 3], published: 3).isClean) }

  @Test(
    "what is missing, repeated or late is told apart",
    arguments: [
      ([1, 3], 3, 1, 0, 0), ([1, 2], 5, 3, 0, 0), ([], 4, 4, 0, 0), ([1, 2, 2, 3], 3, 0, 1, 0),
      ([1, 3, 2], 3, 0, 0, 1), ([1, 3, 2, 2], 3, 0, 1, 1), ([4, 1, 3], 4, 1, 0, 2),
    ] as [([UInt32], UInt32, UInt64, UInt64, UInt64)])
  func faults(heard: [UInt32], published: UInt32, lost: UInt64, duplicates: UInt64, reordered: UInt64) {
    let check = judged(heard, published: published)
    #expect(check.lost == lost)
    #expect(check.duplicates == duplicates)
    #expect(check.reordered == reordered)
    #expect(!check.isClean)
  }

  @Test("members are judged apart")
  func members() {
    var check = SequenceCheck()
    var first: UInt32 = 1
    var second: UInt32 = 1
    check.take(2, expected: &first, member: 0)
    check.take(2, expected: &second, member: 1)
    check.take(1, expected: &first, member: 0)
    #expect(check.lost == 1)
    #expect(check.reordered == 1)
  }
}
