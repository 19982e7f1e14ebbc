/// The commands whose answers are still to come, oldest first: Redis answers in order.
struct PendingReplies {
  /// Takes the answer, or nil when the link died first.
  typealias Handler = (Reply?) -> Void

  private var handlers: [Handler?] = []
  private var head = 0

  var isEmpty: Bool { head == handlers.count }

  mutating func append(_ handler: @escaping Handler) { handlers.append(handler) }

  mutating func popFirst() -> Handler? {
    guard !isEmpty else { return nil }
    let handler = handlers[head]
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
    let rest = handlers[head...].compactMap(\.self)
    handlers = []
    head = 0
    return rest
  }
}
