import AddressCore

/// Where the clients of a node come from, as limits by address see them. Pure.
///
/// A limit that nobody has set spares private addresses. Behind a proxy or an address translation that hides the clients'
/// addresses all of them are private, and such a limit never applies.
struct ClientOrigins {
  /// Clients from private addresses, and none from public ones, after which that is no chance: a proxy or a cluster network.
  static let privateMin = 10
  /// The same for clients from this machine: a developer's tabs are fewer, and a proxy beside the node brings more.
  static let localMin = 100

  private(set) var loopbackCount = 0
  private(set) var privateCount = 0
  private(set) var publicCount = 0

  /// Notes a client that has opened a WebSocket.
  mutating func note(_ address: IPAddress) {
    if address.isLoopback {
      loopbackCount += 1
    } else if address.isLocal {
      privateCount += 1
    } else {
      publicCount += 1
    }
  }

  /// Whether limits that spare private addresses seem to apply to nobody.
  var areAllLocal: Bool {
    publicCount == 0
      && (privateCount >= ClientOrigins.privateMin || loopbackCount + privateCount >= ClientOrigins.localMin)
  }
}
