/// Which sessions have a token that is being judged, how much they have sent meanwhile, and whose last token nobody could
/// judge; pure.
struct PendingAuthentications {
  /// The sessions, with the bytes of the operations that wait for the judgement.
  private var pending: [SlabID: Int] = [:]
  private var keptBytes = 0
  private var unjudged: Set<SlabID> = []

  /// Whether there is no session of either kind.
  var isEmpty: Bool { pending.isEmpty && unjudged.isEmpty }

  /// Notes that a session's token is being judged. Returns false when one is already.
  mutating func begin(_ id: SlabID) -> Bool {
    guard pending[id] == nil else { return false }
    pending[id] = 0
    return true
  }

  /// Notes that the judgement has come. Returns false when none was awaited any more.
  mutating func end(_ id: SlabID) -> Bool {
    guard let bytes = pending.removeValue(forKey: id) else { return false }
    keptBytes -= bytes
    return true
  }

  /// Whether a session's token is being judged.
  func isPending(_ id: SlabID) -> Bool { pending[id] != nil }

  /// What became of an operation that is to wait for the judgement.
  enum Keeping { case kept, tooMuchOfSession, tooMuchOfNode }

  /// Counts an operation of so many bytes that is to wait. What strangers have others keep is bounded in all.
  mutating func keep(_ bytes: Int, of id: SlabID) -> Keeping {
    let kept = pending[id, default: 0]
    guard kept + bytes <= Limits.unjudgedBytesMax else { return .tooMuchOfSession }
    guard keptBytes + bytes <= Limits.unjudgedNodeBytesMax else { return .tooMuchOfNode }
    pending[id] = kept + bytes
    keptBytes += bytes
    return .kept
  }

  /// Notes that the newer token of a session could not be judged: it continues under the old one.
  mutating func noteUnjudged(_ id: SlabID) { unjudged.insert(id) }

  /// Notes that a session's newest token was judged.
  mutating func noteJudged(_ id: SlabID) { unjudged.remove(id) }

  /// Whether it is not known if a session's newest token is good.
  func isOpen(_ id: SlabID) -> Bool { isPending(id) || unjudged.contains(id) }

  /// Forgets a session that has ended.
  mutating func forget(_ id: SlabID) {
    _ = end(id)
    unjudged.remove(id)
  }
}
