/// An IPv4 or IPv6 address. IPv4 is kept in its mapped form (RFC 4291 section 2.5.5.2), so that a host has one value
/// whichever kind of socket it came through.
public struct IPAddress: Hashable, Sendable {
  /// The upper 64 bits: of an IPv6 address the network, usually.
  public let high: UInt64
  /// The lower 64 bits.
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// Makes an IPv4 address from its 32 bits.
  public init(v4 bits: UInt32) { self.init(high: 0, low: 0xFFFF_0000_0000 | UInt64(bits)) }

  /// Reads an address in network byte order; nil unless there are 4 or 16 bytes.
  public init?(networkOrder bytes: Span<UInt8>) {
    switch bytes.count {
    case 4: self.init(v4: UInt32(truncatingIfNeeded: IPAddress.number(bytes)))
    case 16: self.init(high: IPAddress.number(bytes.extracting(0..<8)), low: IPAddress.number(bytes.extracting(8..<16)))
    default: return nil
    }
  }

  private static func number(_ bytes: Span<UInt8>) -> UInt64 {
    var value: UInt64 = 0
    for i in bytes.indices { value = value << 8 | UInt64(bytes[i]) }
    return value
  }

  public var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }

  /// Whether it names the machine itself (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3).
  public var isLoopback: Bool {
    isIPv4 ? UInt32(truncatingIfNeeded: low) >> 24 == 127 : high == 0 && low == 1
  }

  /// Whether it is an address that no host on the internet has: loopback, private, link-local or unique local
  /// (RFC 1122 section 3.2.1.3, RFC 1918 section 3, RFC 3927, RFC 4193, RFC 4291 sections 2.5.3 and 2.5.6).
  public var isLocal: Bool {
    guard isIPv4 else {
      return isLoopback || high >> 57 == 0xFC >> 1 || high >> 54 == 0xFE80 >> 6
    }
    let bits = UInt32(truncatingIfNeeded: low)
    return isLoopback || bits >> 24 == 10 || bits >> 20 == 0xAC1 || bits >> 16 == 0xC0A8 || bits >> 16 == 0xA9FE
  }

  /// The smallest block that one subscriber can be told from another by: the address itself for IPv4, its /64 for IPv6,
  /// of which every subscriber has one whole (RFC 6177 section 2), so that a limit by address means something.
  public var subscriber: IPAddress { isIPv4 ? self : IPAddress(high: high, low: 0) }
}
