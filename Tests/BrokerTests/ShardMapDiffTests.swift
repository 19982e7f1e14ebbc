import Testing

@testable import RedisBackend

/// What a new map of a cluster changes: the decision alone.
@Suite("Differences of cluster maps")
struct ShardMapDiffTests {
  struct Change: CustomTestStringConvertible {
    let testDescription: String
    /// The owners of slots 0, 1, 2 …; a dot: nobody.
    let before: String
    /// The new map; a dot: not in it.
    let after: String
    /// Owners that are out of reach.
    var away = ""
    /// The owners of all slots afterwards.
    let owners: String
    var successors = ""
  }

  private static let changes = [
    Change(testDescription: "the first map", before: "....", after: "aabb", owners: "aabb"),
    Change(testDescription: "the same map", before: "aabb", after: "aabb", owners: "aabb"),
    Change(testDescription: "a slot moves", before: "aabb", after: "abbb", owners: "abbb"),
    Change(testDescription: "a slot moves to a new master", before: "aabb", after: "acbb", owners: "acbb"),
    Change(
      testDescription: "a replica replaces its master", before: "aabb", after: "ccbb", owners: "ccbb", successors: "c"),
    Change(
      testDescription: "some slots of one that is away", before: "aabb", after: "acbb", away: "a", owners: "acbb",
      successors: "c"),
    Change(
      testDescription: "the last slot of a master moves", before: "abbb", after: "bbbb", owners: "bbbb", successors: "b"
    ),
    Change(testDescription: "slots that nobody holds stay", before: "aabb", after: "aa..", owners: "aabb"),
    Change(testDescription: "nobody held them", before: "aa..", after: "aabb", owners: "aabb"),
    Change(testDescription: "two masters swap", before: "aabb", after: "bbaa", owners: "bbaa"),
    Change(
      testDescription: "two masters that are away swap", before: "aabb", after: "bbaa", away: "ab", owners: "bbaa",
      successors: "ab"),
  ]

  private func owners(_ text: String) -> [Character?] { text.map { $0 == "." ? nil : $0 } }

  @Test("moved slots, successors and counts", arguments: changes)
  func diff(_ change: Change) {
    let before = owners(change.before)
    let map = owners(change.after).enumerated().compactMap { slot, owner in
      owner.map { (slots: slot...slot, owner: $0) }
    }
    let diff = ShardMap.diff(owners: before, map) { !change.away.contains($0) }
    var after = before
    for (slot, owner) in diff.moved {
      #expect(after[slot] != owner)
      after[slot] = owner
    }
    #expect(after == owners(change.owners))
    #expect(diff.successors == Set(change.successors))
    let counts = Dictionary(after.compactMap { $0 }.map { ($0, 1) }, uniquingKeysWith: +)
    #expect(diff.slotCounts == counts)
  }
}
