import Realtime

/// Where a Redis listens.
public enum RedisEndpoint: Equatable, Sendable, CustomStringConvertible {
  case tcp(host: String, port: UInt16)
  case unix(path: String)

  public var description: String {
    switch self {
    case .tcp(let host, let port): "\(host):\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }
}

/// How a node uses its Redis.
public struct RedisConfiguration: Sendable {
  public var endpoint: RedisEndpoint
  /// The ACL user, or nil for the default one.
  public var user: String?
  /// Sent with AUTH, never logged. Nil: no AUTH.
  public var password: String?
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

  public init(
    endpoint: RedisEndpoint, user: String? = nil, password: String? = nil, database: Int = 0,
    prefix: String = "roost", historySize: Int = 100, historyTTLMilliseconds: Int = 300_000,
    rules: RoomRules = RoomRules()
  ) {
    self.endpoint = endpoint
    self.user = user
    self.password = password
    self.database = database
    self.prefix = prefix
    self.historySize = historySize
    self.historyTTLMilliseconds = historyTTLMilliseconds
    self.rules = rules
  }
}
