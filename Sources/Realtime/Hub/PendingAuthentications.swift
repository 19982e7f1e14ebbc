/// Which sessions have a token that is being judged, and whose last token nobody could judge; pure.
struct PendingAuthentications {
  private var pending: Set<SlabID> = []
  private var unjudged: Set<SlabID> = []

  /// Whether there is no session of either kind.
  var isEmpty: Bool { pending.isEmpty && unjudged.isEmpty }

  /// Notes that a session's token is being judged. Returns false when one is already.
  mutating func begin(_ id: SlabID) -> Bool { pending.insert(id).inserted }

  /// Notes that the judgement has come. Returns false when none was awaited any more.
  mutating func end(_ id: SlabID) -> Bool { pending.remove(id) != nil }

  /// Whether a session's token is being judged.
  func isPending(_ id: SlabID) -> Bool { pending.contains(id) }

  /// Notes that the newer token of a session could not be judged: it goes on under the old one.
  mutating func noteUnjudged(_ id: SlabID) { unjudged.insert(id) }

  /// Notes that a session's newest token was judged.
  mutating func noteJudged(_ id: SlabID) { unjudged.remove(id) }

  /// Whether it is not known if a session's newest token is good.
  func isOpen(_ id: SlabID) -> Bool { pending.contains(id) || unjudged.contains(id) }

  /// Forgets a session that has ended.
  mutating func forget(_ id: SlabID) {
    pending.remove(id)
    unjudged.remove(id)
  }
}
