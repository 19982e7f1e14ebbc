import Realtime

/// Tokens that no known key can have signed, while newer keys are awaited; pure, time comes in.
///
/// Bounded in bytes and in time. What waits costs nothing to tokens whose key is known: they are judged at once.
struct WaitingTokens {
  /// One token and whom to tell.
  struct Entry {
    let token: [UInt8]
    /// Milliseconds at which it came: a set of keys that was asked for earlier does not prove it wrong.
    let arrivedAt: UInt64
    /// Milliseconds at which its client is asked to return.
    let deadline: UInt64
    /// Why it is refused when no newer key has signed it, for the client.
    let reason: String
    let conclude: (TokenVerdict) -> Void
  }

  private var entries: [Entry] = []
  private var byteCount = 0

  var isEmpty: Bool { entries.isEmpty }

  /// The moment at which the next one has waited long enough. All wait equally long, so it is the oldest one's.
  var nextDeadline: UInt64? { entries.first?.deadline }

  /// Keeps a token, or returns false when too many bytes wait already.
  mutating func add(_ entry: Entry) -> Bool {
    guard byteCount + entry.token.count <= TokenLimits.waitingBytesMax else { return false }
    byteCount += entry.token.count
    entries.append(entry)
    return true
  }

  /// Takes out those that came at `moment` or before.
  mutating func take(until moment: UInt64) -> [Entry] {
    let taken = entries.filter { $0.arrivedAt <= moment }
    entries.removeAll { $0.arrivedAt <= moment }
    byteCount -= taken.reduce(0) { $0 + $1.token.count }
    return taken
  }

  /// Takes all out, in the order in which they came.
  mutating func takeAll() -> [Entry] {
    var taken: [Entry] = []
    swap(&taken, &entries)
    byteCount = 0
    return taken
  }

  /// Takes out those that have waited long enough at `now`.
  mutating func takeDue(at now: UInt64) -> [Entry] {
    let count = entries.firstIndex { $0.deadline > now } ?? entries.count
    let due = Array(entries[..<count])
    entries.removeFirst(count)
    byteCount -= due.reduce(0) { $0 + $1.token.count }
    return due
  }
}
