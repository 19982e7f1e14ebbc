import Realtime

/// Where a Redis listens.
public enum RedisEndpoint: Equatable, Sendable, CustomStringConvertible {
  case tcp(host: String, port: UInt16)
  case unix(path: String)

  public var description: String {
    switch self {
    case .tcp(let host, let port): "\(host):\(port)"
    case .unix(let path): "unix://\(path)"
    }
  }
}

/// Whether a Redis is single, watched by sentinels, or a cluster: how its masters are found.
public enum RedisTopology: Equatable, Sendable, CustomStringConvertible {
  case single(RedisEndpoint)
  /// The sentinels know where `master` is now.
  case sentinel([RedisEndpoint], master: String)
  /// Any nodes of a Redis Cluster; they name the others.
  case cluster([RedisEndpoint])

  /// Whether another Redis may take the place of a master.
  var mayFailOver: Bool {
    switch self {
    case .single: false
    case .sentinel, .cluster: true
    }
  }

  /// Whether sentinels know where the master is.
  var hasSentinels: Bool {
    if case .sentinel = self { return true }
    return false
  }

  public var description: String {
    switch self {
    case .single(let endpoint): "\(endpoint)"
    case .sentinel(let sentinels, let master):
      "\(master) of the sentinels \(sentinels.map(\.description).joined(separator: ","))"
    case .cluster(let nodes): "the cluster of \(nodes.map(\.description).joined(separator: ","))"
    }
  }
}

/// How a node uses its Redis.
public struct RedisConfiguration: Sendable {
  public var topology: RedisTopology
  /// The ACL user, or nil for the default one.
  public var user: String?
  /// Sent with AUTH, never logged. Nil: no AUTH.
  public var password: String?
  /// The ACL user for the sentinels; nil: their default one. Comes only with a password.
  public var sentinelUser: String?
  /// The password for the sentinels. Nil: they are offered the master's, and may refuse it.
  public var sentinelPassword: String?
  /// The number given to SELECT; 0 sends none.
  public var database: Int
  /// The first part of every key and channel.
  public var prefix: String
  /// Messages kept for a room; 0 keeps none.
  public var historySize: Int
  /// How long they are kept after the last message.
  public var historyTTLMilliseconds: Int
  /// Say so for rooms of some names.
  public var rules: RoomRules
  /// Bytes in which Redis remembers the ids of messages.
  public var dedupeBytes: Int
  /// Which events of rooms are recorded for webhooks; nil: none.
  public var roomEvents: RoomEventPolicy?
  /// How long a user of a room may be away before it has left. For leaves that no client asked for: those of dead nodes.
  public var graceMilliseconds: @Sendable (_ room: [UInt8]) -> Int

  public init(
    topology: RedisTopology, user: String? = nil, password: String? = nil, database: Int = 0,
    prefix: String = "roost", historySize: Int = 100, historyTTLMilliseconds: Int = 300_000,
    rules: RoomRules = RoomRules(), dedupeBytes: Int = Limits.dedupeBytesDefault,
    graceMilliseconds: @escaping @Sendable (_ room: [UInt8]) -> Int = { _ in 0 }
  ) {
    self.topology = topology
    self.user = user
    self.password = password
    self.database = database
    self.prefix = prefix
    self.historySize = historySize
    self.historyTTLMilliseconds = historyTTLMilliseconds
    self.rules = rules
    self.dedupeBytes = dedupeBytes
    self.graceMilliseconds = graceMilliseconds
  }
}
