import Server

/// What one bridge counts, in the page that the nodes of the host read. Confined to the loop.
final class BridgeCounters {
  private let page: BridgePage?
  private let bridge: Int

  /// - Parameter page: nil when nobody reads it.
  init(_ page: BridgePage?, bridge: Int) {
    self.page = page
    self.bridge = bridge
  }

  func add(_ count: BridgeCount, _ number: UInt64 = 1) { page?[bridge, count] &+= number }
  func set(_ count: BridgeCount, _ value: Int) { page?[bridge, count] = UInt64(max(0, value)) }
}
