import AddressCore

/// How users prove who they are.
public enum AuthenticationMode: String, CaseIterable, Sendable {
  /// Everybody is who they say; for development.
  case none
  case jwt
  /// The backend at `webhook-url` says who is who.
  case webhook
}

/// What a backend decides.
public enum BackendDecision: String, CaseIterable, Sendable, CustomStringConvertible {
  /// Who may connect.
  case connect
  /// Who may join which room.
  case join
  /// Which messages are published.
  case message

  public var description: String { rawValue }
}

/// Who among clients may send direct messages.
public enum ClientDirectMode: String, CaseIterable, Sendable {
  /// Every client.
  case on
  /// No client; the admin endpoint still may.
  case off
  /// Clients whose token's `permissions` list `direct`.
  case permission
}

/// The least severe event that is logged.
public enum LogLevel: String, CaseIterable, Sendable {
  case debug
  case info
  case warn
  case error
}

/// How log lines look.
public enum LogFormat: String, CaseIterable, Sendable {
  /// Text on a terminal, JSON elsewhere.
  case auto
  case text
  case json
}

/// Every setting of `roost serve`; a fresh value holds the defaults.
///
/// Durations are milliseconds and sizes are bytes, as the names say. ``parse(arguments:environment:coreCount:readFile:)``
/// checks ranges and what settings demand of each other.
public struct ServerSettings: Sendable {
  /// The address to listen on.
  public var host = "0.0.0.0"
  /// 0 takes any free port.
  public var port = 8080
  /// nil: the admin endpoint shares `port`.
  public var adminPort: Int?
  /// Where plain HTTP is answered with a redirect to HTTPS; nil: nowhere.
  public var redirectPort: Int?
  /// PEM file with the certificate chain; nil: no TLS.
  public var tlsCertificatePath: String?
  /// PEM file with the private key; set exactly when the certificate is.
  public var tlsKeyPath: String?
  /// Addresses and networks whose word about a client's address is believed; empty: nobody's.
  public var trustedProxies: [String] = []
  /// Whether connections of trusted proxies begin with a PROXY protocol header.
  public var proxyProtocol = false
  /// Web pages that may connect besides the node's own; empty: all.
  public var origins: [OriginRule] = []

  /// nil: the embedded broker.
  public var redis: RedisURL?
  /// The user of the sentinels; set only with their password.
  public var redisSentinelUser: String?
  /// The password of the sentinels; nil: they are offered the one of `redis`.
  public var redisSentinelPassword: String?
  /// PEM file with the authorities that sign Redis' certificate; nil: the system's.
  public var redisAuthorityPath: String?
  /// PEM file with this client's certificate for Redis; nil: none is shown.
  public var redisCertificatePath: String?
  /// PEM file with its key; set exactly when the certificate is.
  public var redisKeyPath: String?
  /// What every key and channel in Redis begins with; without braces.
  public var redisPrefix = "roost"
  /// nil: the caller makes a random one.
  public var nodeID: String?
  /// The number of processes; ``parse(arguments:environment:coreCount:readFile:)`` resolves the default.
  public var workers = 1
  var workersAsked: Int?

  /// How users prove who they are.
  public var authentication = AuthenticationMode.none
  /// The shared secret for HS256, HS384 and HS512.
  public var jwtSecret: String?
  /// The path of a file with one such secret on each line.
  public var jwtSecretPath: String?
  /// The path of a PEM file.
  public var jwtPublicKeyPath: String?
  /// A path or an http or https URL.
  public var jwksLocation: String?
  /// The longest time between two readings of the set of keys.
  public var jwksRefreshMilliseconds = 300_000
  /// Names that this server goes by in `aud`; empty: tokens must have none.
  public var jwtAudiences: [String] = []
  /// Issuers whose tokens are taken; empty: any holder of the key.
  public var jwtIssuers: [String] = []
  /// By how much an issuer's clock may differ.
  public var jwtLeewayMilliseconds = 5000
  /// Whether a token without `exp` is refused.
  public var jwtRequiresExpiry = true
  /// Globs of the rooms that a token without `rooms` is good for.
  public var jwtDefaultRooms = ["*"]
  /// Who among clients may send direct messages.
  public var clientDirect = ClientDirectMode.on
  /// Time a connection has to authenticate.
  public var authTimeoutMilliseconds = 10_000
  /// STUN and TURN servers for calls between browsers (RFC 7064, RFC 7065).
  public var iceServers: [String] = []
  /// The user of the TURN servers; set exactly when the credential is.
  public var iceUser: String?
  /// Its password.
  public var iceCredential: String?
  /// The secret shared with the TURN servers, from which passwords that expire are made; nil: none are made.
  public var iceSecret: String?
  /// How long such a password is accepted.
  public var iceTTLMilliseconds = 43_200_000
  /// nil: the caller makes one and logs it.
  public var adminToken: String?
  /// nil: only the admin token opens publish, broadcast and direct.
  public var apiKey: String?

  /// Messages kept for each room.
  public var historyMessagesMax = 100
  /// How long messages are kept.
  public var historyTTLMilliseconds = 300_000
  /// Time between pings to a quiet client.
  public var pingIntervalMilliseconds = 25_000
  /// Time a client has to answer a ping.
  public var pingTimeoutMilliseconds = 10_000
  /// Time that users of a draining node have to be back elsewhere before `user_left`.
  public var leaveGraceMilliseconds = 5000
  /// Users in a room up to which each who comes or goes is announced.
  public var presenceAnnounceMax = 500
  /// Time between two announcements in sum.
  public var presenceIntervalMilliseconds = 1000
  /// Time that a user who has left a room stays in presence.
  public var leaveDebounceMilliseconds = 0
  /// Time over which a stopping node sends its clients away.
  public var drainMilliseconds = 10_000
  /// Whether permessage-deflate is accepted.
  public var compression = true
  /// Whether sends go through io_uring where the kernel allows it.
  public var ioUring = true
  /// Whether `/echo` is served.
  public var echo = false
  /// Whether `/socket.io/` is served.
  public var socketIO = true
  /// Globs of the namespaces that Socket.IO clients may connect to.
  public var socketIONamespaces = ["*"]
  /// The path of the client that is served at `/socket.io/socket.io.js`; nil: none is.
  public var socketIOClientPath: String?
  /// Whether Socket.IO clients recover by an id and offsets, which each event carries as one more argument.
  public var socketIORecovery = true
  /// Whether the chat page is served; nil: with `auth=none` only.
  public var demo: Bool?
  /// Whether the chat page is served, with the default applied.
  public var servesDemo: Bool { demo ?? (authentication == .none) }

  /// The longest message of a client.
  public var maxMessageBytes = 65_536
  /// Bytes that may wait for one client before it counts as a slow consumer.
  public var maxQueueBytes = 1_048_576
  /// nil: as many as the limit on open files allows.
  public var maxConnections: Int?
  /// The rooms one connection may be in.
  public var maxRooms = 256
  /// Bytes for the ids of messages: of the node without Redis, else of Redis.
  public var dedupeMemoryBytes = 32 << 20
  /// The wildcards that a node hears at a time; 0: none.
  public var maxWildcards = 64

  // Limits that are nil have a default that spares local addresses; 0 is no limit.

  /// Sockets of one address, or of one /64 of IPv6.
  public var connectionsPerAddressMax: Int?
  /// Connections of one user on a node.
  public var connectionsPerUserMax: Int?
  /// WebSocket handshakes a second on a node.
  public var handshakesPerSecondMax: Int?
  /// Operations a second a connection may send.
  public var messagesPerSecondMax: Int?
  /// Bytes of operations a second a connection may send.
  public var bytesPerSecondMax: Int?
  /// Messages a second that clients may publish in one room by way of a node.
  public var roomPublishesPerSecondMax: Int?
  /// Direct messages a second that clients may send to one user by way of a node.
  public var directsPerSecondMax: Int?
  /// Joins a second of rooms that nobody on the node is in, of one connection, and of all on a node.
  public var newRoomsPerSecondMax: Int?
  public var nodeNewRoomsPerSecondMax: Int?
  /// Wrong admin tokens a minute from one address; 0: no limit.
  public var adminGuessesPerMinute = 60
  /// Time in which a message that has begun must be complete.
  public var messageTimeoutMilliseconds = 60_000

  /// How rooms of some names behave: the first that fits holds.
  public var rooms: [RoomRuleSettings] = []
  /// Other services whose signed events are published.
  public var hooks: [IncomingHookSettings] = []
  /// Message logs and queues that rooms are fed from and written to.
  public var bridges: [BridgeSettings] = []

  /// What is posted to a backend.
  public var webhooks = WebhookSettings()
  /// Whether a backend is asked who may connect.
  public var asksAboutConnects: Bool { authentication == .webhook || webhooks.decisions.contains(.connect) }

  /// Which traces are exported, and where to.
  public var tracing = TracingSettings()

  /// The least severe event to log.
  public var logLevel = LogLevel.info
  /// How log lines look.
  public var logFormat = LogFormat.auto
  /// The settings file that was read; nil: none.
  public var configPath: String?

  /// Holds the default of every setting.
  public init() {}
}
