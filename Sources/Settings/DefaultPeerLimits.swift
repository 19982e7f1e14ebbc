/// The limits of what one client may have or do when the operator has set none. They hold for addresses of the internet,
/// and spare loopback and private ones, behind which stand backends, load generators and proxies.
public enum DefaultPeerLimits {
  /// Sockets of one IPv4 address or IPv6 /64: an office behind one address has hundreds; a thousand of them idle cost
  /// a megabyte.
  public static let connectionsPerAddress = 1000
  /// Connections of one user on a node: devices times tabs, with room to spare. A direct message costs one send each.
  public static let connectionsPerUser = 100
  /// WebSocket handshakes a second: 15 % of a core, measured at 75 µs each. The rest is for those who are connected already,
  /// and for the joins and resumptions that follow.
  public static let handshakesPerSecond = 2000
  /// Operations a second of one connection, as many at once: above the 256 rooms that a client joins when it comes back.
  public static let operationsPerSecond = 300
  /// Bytes of operations a second of one connection: sixteen messages of the greatest length.
  public static let bytesPerSecond = 1 << 20
  /// Messages a second that clients publish in a room by way of one node: nobody reads more, and each is a send to every
  /// member.
  public static let roomPublishesPerSecond = 1000
  /// Direct messages a second that clients send to one user by way of one node: a third of what one connection may send in
  /// all, and far more than a person reads.
  public static let directsPerSecond = 100
  /// Joins a second, of one connection, of rooms that nobody on the node is in; as many at once as it may be in. A person opens
  /// a few rooms at a time; each costs Redis some 20 µs, and its counter lives a minute beyond the last leave.
  public static let newRoomsPerSecond = 20
  /// The same of all connections of a node: a tenth of what one Redis does. A node that was restarted under 10,000 clients with
  /// ten rooms each has them back after twenty seconds.
  public static let nodeNewRoomsPerSecond = 5000
}
