import AddressCore

/// Who is behind a connection or a request, where something is divided among clients.
public enum ClientOwner: Hashable, Sendable {
  /// The user of a token.
  case user([UInt8])
  /// Where nobody has proved who it is: the IPv4 address, or the /64 of IPv6.
  case address(IPAddress)

  init(address text: [UInt8]) {
    self = .address((IPAddress(text: text.span) ?? IPAddress(high: 0, low: 0)).subscriber)
  }

  /// Who is held to a share of what all have together. Nil: nobody, because the address is a proxy's or this machine's, and
  /// nothing else tells its clients apart.
  init?(sharing identity: Identity?, address: [UInt8], isLocal: Bool) {
    if let identity {
      self = .user(identity.user)
    } else if isLocal {
      return nil
    } else {
      self.init(address: address)
    }
  }
}
