/// What operators may change about a hub.
public struct HubConfiguration: Sendable {
  /// This node's id, part of every connection's name.
  public var nodeID: [UInt8]
  /// Rooms a connection may be in.
  public var roomsPerConnectionMax = 256
  /// Wildcards that the node subscribes to at a time; 0: none.
  public var wildcardsMax = 64
  /// Client operations a second a connection may send.
  public var operationsPerSecond: PeerLimit = 0
  /// Bytes of operations a second a connection may send.
  public var bytesPerSecond: PeerLimit = 0
  /// Messages a second that clients may publish in a room by way of this node.
  public var roomPublishesPerSecond: PeerLimit = 0
  /// Direct messages a second that clients may send to one user by way of this node.
  public var directsPerSecond: PeerLimit = 0
  /// Which clients may send direct messages.
  public var clientDirects = DirectPolicy.everyone
  /// Rooms a second that nobody on this node is in, which a connection may join.
  public var newRoomsPerSecond: PeerLimit = 0
  /// The same for all connections of the node together.
  public var nodeNewRoomsPerSecond: PeerLimit = 0
  /// Connections of one user on this node.
  public var connectionsPerUser: PeerLimit = 0
  /// Bytes of one operation; however low the rate, one of them passes.
  public var messageBytesMax = 64 * 1024
  /// Milliseconds between protocol pings, announced in `welcome`.
  public var pingIntervalMilliseconds = 25_000
  /// Messages that a room keeps.
  public var historySize = 100
  /// How rooms of some names behave.
  public var rules = RoomRules()
  /// Users in a room up to which each join and leave is announced; beyond it members receive summaries.
  public var presenceAnnounceMax = 500
  /// Milliseconds between two summaries.
  public var presenceIntervalMilliseconds = 1000
  /// Comings and goings in a room, of all users and of one user, that are announced one by one in that time.
  public var presenceNoticesMax = Limits.presenceNoticesMax
  public var presenceUserNoticesMax = Limits.presenceUserNoticesMax
  /// Milliseconds for which a user who has left a room is still there.
  public var leaveDebounceMilliseconds = 0
  /// Milliseconds within which a connection must have authenticated, when tokens are asked for.
  public var authTimeoutMilliseconds = 10_000

  public init(nodeID: [UInt8]) { self.nodeID = nodeID }
}
