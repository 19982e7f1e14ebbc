/// How much one peer may have or do, and whether peers that are not on the internet are held to it as well.
///
/// A default protects a node on the internet and must not be in the way of backends, load generators and proxies beside
/// it: it spares local addresses. What an operator has chosen counts for everyone.
public struct PeerLimit: Equatable, Sendable, ExpressibleByIntegerLiteral {
  private let value: UInt32
  private let sparesLocal: Bool

  /// - Parameters:
  ///   - value: 0 for no limit.
  ///   - sparesLocal: whether loopback and private addresses have no limit.
  public init(_ value: Int, sparesLocal: Bool) {
    self.value = UInt32(clamping: value)
    self.sparesLocal = sparesLocal
  }

  /// A limit for everyone; 0 for none.
  public init(integerLiteral value: UInt32) {
    self.value = value
    sparesLocal = false
  }

  /// The limit for one peer; 0 for none.
  @inline(__always)
  public func value(isLocal: Bool) -> UInt32 { isLocal && sparesLocal ? 0 : value }
}
