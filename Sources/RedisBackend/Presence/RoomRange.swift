/// A page of room names in byte order, as the bounds that ZRANGEBYLEX takes.
struct RoomRange {
  let prefix: [UInt8]
  let cursor: [UInt8]?
  let limit: Int

  /// `-`, or an inclusive or exclusive first name.
  var lower: [UInt8] {
    if let cursor, prefix.lexicographicallyPrecedes(cursor) || prefix == cursor { return [0x28] + cursor }
    return prefix.isEmpty ? [0x2D] : [0x5B] + prefix
  }

  /// `+`, or the exclusive first name after all that begin with the prefix.
  var upper: [UInt8] {
    var next = prefix
    while let last = next.last {
      if last < 0xFF {
        next[next.count - 1] = last + 1
        return [0x28] + next
      }
      next.removeLast()
    }
    return [0x2B]
  }
}

/// Merges the nodes' pages into one.
struct RoomMerge {
  private let limit: Int
  private var names: Set<[UInt8]> = []
  /// Pages that could not be read.
  var failures = 0

  init(limit: Int) { self.limit = limit }

  mutating func add(_ page: [[UInt8]]) { names.formUnion(page) }

  /// Returns the first `limit` names in order, and the name to continue after.
  func finish() -> (names: [[UInt8]], next: [UInt8]?) {
    let page = Array(names.sorted { $0.lexicographicallyPrecedes($1) }.prefix(limit))
    return (page, names.count > limit ? page.last : nil)
  }
}
