/// The commands whose answers are still to come, oldest first: Redis answers in order.
struct PendingReplies {
  /// Takes the answer, or nil when the link died first.
  typealias Handler = (Reply?) -> Void

  private struct Entry {
    var handler: Handler?
    /// When the command was written, in nanoseconds of the loop's clock.
    let writtenAt: UInt64
  }

  private var entries: [Entry] = []
  private var head = 0

  var isEmpty: Bool { head == entries.count }

  mutating func append(_ handler: @escaping Handler, at now: UInt64) {
    entries.append(Entry(handler: handler, writtenAt: now))
  }

  /// Takes out the oldest handler, and when its command was written.
  mutating func popFirst() -> (handler: Handler, writtenAt: UInt64)? {
    guard !isEmpty, let handler = entries[head].handler else { return nil }
    let writtenAt = entries[head].writtenAt
    entries[head].handler = nil
    head += 1
    if isEmpty {
      entries.removeAll(keepingCapacity: head < 4096)
      head = 0
    } else if head > 1024, head * 2 > entries.count {
      entries.removeFirst(head)
      head = 0
    }
    return (handler, writtenAt)
  }

  /// Takes all handlers out, oldest first.
  mutating func takeAll() -> [Handler] {
    let rest = entries[head...].compactMap(\.handler)
    entries = []
    head = 0
    return rest
  }
}
