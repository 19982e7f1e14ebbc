/// A block of addresses: `10.0.0.0/8`, `2001:db8::/32`, or a single address.
public struct IPNetwork: Equatable, Sendable {
  private let base: IPAddress
  /// Leading bits that count, of the 128 of the mapped form.
  private let prefixBits: Int

  /// Reads a block in CIDR notation (RFC 4632 section 3.1, RFC 4291 section 2.3). Returns nil for anything else, and for
  /// a block with bits set behind its prefix: the author of `10.0.0.5/8` meant something else.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let base = parts.first.flatMap({ IPAddress(String($0)) }) else { return nil }
    let widest = base.isIPv4 && !text.contains(":") ? 32 : 128
    var bits = widest
    if parts.count == 2 {
      guard let asked = Int(parts[1]), (0...widest).contains(asked), parts[1].first != "+" else { return nil }
      bits = asked
    }
    self.base = base
    prefixBits = bits + (128 - widest)
    guard self.base == IPNetwork.mask(base, prefixBits) else { return nil }
  }

  /// Whether the address lies in the block.
  public func contains(_ address: IPAddress) -> Bool { IPNetwork.mask(address, prefixBits) == base }

  private static func mask(_ address: IPAddress, _ bits: Int) -> IPAddress {
    IPAddress(high: address.high & ones(min(bits, 64)), low: address.low & ones(max(bits - 64, 0)))
  }

  private static func ones(_ count: Int) -> UInt64 { count == 0 ? 0 : ~0 << UInt64(64 - count) }
}

/// The proxies whose word about a client's address is believed.
public struct TrustedProxies: Sendable {
  private let networks: [IPNetwork]

  public init(_ networks: [IPNetwork]) { self.networks = networks }

  public var isEmpty: Bool { networks.isEmpty }

  public func contains(_ address: IPAddress) -> Bool { networks.contains { $0.contains(address) } }
}
