import ClientProtocol

/// Remembers the deliveries of incoming hooks of a node without Redis, in two generations as the Redis backend does.
struct HookDeliveries {
  /// The deliveries of one hook.
  private struct Generations {
    var new: [[UInt8]: Position] = [:]
    var old: [[UInt8]: Position] = [:]
    /// When the new one began, in milliseconds.
    var began: UInt64

    mutating func delivery(_ id: [UInt8], at position: Position?, now: UInt64) -> Position? {
      if let known = new[id] ?? old[id] { return known }
      guard let position else { return nil }
      if new.count >= Limits.hookDeliveriesMax || now >= began + UInt64(Limits.hookDeliveryMilliseconds) {
        self = Generations(old: new, began: now)
      }
      new[id] = position
      return position
    }
  }

  private var hooks: [[UInt8]: Generations] = [:]

  /// The position of the first delivery with that id; with a position, remembers it if there is none.
  mutating func delivery(_ id: [UInt8], of hook: [UInt8], at position: Position?, now: UInt64) -> Position? {
    hooks[hook, default: Generations(began: now)].delivery(id, at: position, now: now)
  }
}
