/// The commands whose answers are still to come, oldest first: Redis answers in order.
struct PendingReplies {
  /// Takes the answer, or nil when the link died first.
  typealias Handler = (Reply?) -> Void

  private var handlers: [(handler: Handler, queuedAt: UInt64)?] = []
  private var head = 0

  var isEmpty: Bool { head == handlers.count }

  /// When the oldest command was queued, by the loop's clock, or nil when no answer is owed.
  var oldest: UInt64? { isEmpty ? nil : handlers[head]?.queuedAt }

  mutating func append(_ handler: @escaping Handler, queuedAt: UInt64) { handlers.append((handler, queuedAt)) }

  mutating func popFirst() -> Handler? {
    guard !isEmpty else { return nil }
    let handler = handlers[head]?.handler
    handlers[head] = nil
    head += 1
    if isEmpty {
      handlers.removeAll(keepingCapacity: head < 4096)
      head = 0
    } else if head > 1024, head * 2 > handlers.count {
      handlers.removeFirst(head)
      head = 0
    }
    return handler
  }

  /// Takes all handlers out, oldest first.
  mutating func takeAll() -> [Handler] {
    let rest = handlers[head...].compactMap { $0?.handler }
    handlers = []
    head = 0
    return rest
  }
}
