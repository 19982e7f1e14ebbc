import AddressCore

extension ServerSettings {
  /// The table of all settings of `roost serve`.
  public static let table = OptionTable<ServerSettings>(
    command: "roost serve", usage: "[--check] [OPTIONS]",
    summary: "Runs a node: alone with its embedded broker, or with --redis as one of any number that form a cluster. "
      + "--check only checks the settings, certificates and keys.",
    options: listening + cluster + access + delivery + limits + WebhookOptions.all + TracingOptions.all + operation
      + fileOnly,
    footer: "Every option is also an environment variable (--ping-interval: ROOST_PING_INTERVAL) and a key of the "
      + "settings file (pingInterval). A flag beats the environment, the environment beats the file. "
      + "Rules for rooms are the file's key rooms, incoming hooks its key hooks, bridges to Kafka and RabbitMQ its key bridges. A DURATION is a number with ms, s, m, h or d; a SIZE is bytes or a number with k, m or g (1k is 1024). "
      + "An empty variable counts as unset. Invalid settings stop the start with exit status 64.")

  private static let listening: [Option<ServerSettings>] = Option.group(
    "Listening",
    [
      .text("host", \.host, "ADDRESS", "address to listen on"),
      .integer("port", \.port, 0...65535, "TCP port; 0 takes any free one"),
      .integer(
        "adminPort", \.adminPort, 0...65535, whenUnset: "same as port",
        "separate TCP port for /admin, which then leaves the public one"),
      .text("tlsCert", \.tlsCertificatePath, "FILE", "PEM file with the certificate chain; turns TLS on"),
      .text("tlsKey", \.tlsKeyPath, "FILE", "PEM file with the certificate's private key"),
      .integer(
        "redirectPort", \.redirectPort, 0...65535, whenUnset: "none",
        "TCP port where plain HTTP is redirected to HTTPS; needs TLS"),
      .list(
        "trustedProxies", \.trustedProxies, "NETWORK,...",
        "addresses and networks of proxies that tell a client's address: X-Forwarded-For, PROXY protocol",
        whenUnset: "none", problem: networkProblem),
      .toggle(
        "proxyProtocol", \.proxyProtocol, "connections of trusted proxies begin with a PROXY protocol header, v1 or v2"),
      .values(
        "origins", \.origins, "ORIGIN,...",
        "web pages that may connect besides the node's own: https://example.com, *.example.com, capacitor://localhost",
        whenUnset: "all", parse: origin),
    ])

  private static let cluster: [Option<ServerSettings>] = Option.group(
    "Cluster",
    [
      Option(
        "redis", form: .text, placeholder: "URL",
        help: "redis://[[user]:password@]host[:port][/database], rediss://, unix:///path, "
          + "redis+sentinel://host,.../master or redis+cluster://host,...",
        defaultText: { _ in "none: one node" }
      ) { settings, text in
        do throws(SettingsError) {
          settings.redis = try RedisURL(parsing: text)
          return nil
        } catch {
          return error.message
        }
      }.secret { text in (try? RedisURL(parsing: text))?.description ?? "***" },
      .text(
        "redisSentinelUser", \.redisSentinelUser, "TEXT", "user that the sentinels know", whenUnset: "their default one"
      ),
      .text(
        "redisSentinelPassword", \.redisSentinelPassword, "TEXT",
        "password for the sentinels, where it is another than in --redis", whenUnset: "that of --redis"
      ).secret(),
      .text(
        "redisCa", \.redisAuthorityPath, "FILE", "PEM file with the authorities to trust for rediss://",
        whenUnset: "the system's"),
      .text("redisCert", \.redisCertificatePath, "FILE", "PEM file with the certificate shown to Redis"),
      .text("redisKey", \.redisKeyPath, "FILE", "PEM file with that certificate's private key"),
      .text(
        "redisPrefix", \.redisPrefix, "TEXT", "what every key and channel in Redis begins with", problem: prefixProblem),
      .text("nodeId", \.nodeID, "TEXT", "name of this node in the cluster", whenUnset: "random", problem: nodeProblem),
      .integer(
        "workers", \.workersAsked, 1...256, whenUnset: "one per core with Redis, else 1",
        "processes that share the port, each a node of its own"),
    ])

  private static let access: [Option<ServerSettings>] = Option.group(
    "Access",
    [
      .choice("auth", \.authentication, "how users prove who they are; none is for development"),
      .text("jwtSecret", \.jwtSecret, "TEXT", "shared secret for tokens signed with HS256, HS384 or HS512").secret(),
      .text("jwtSecretFile", \.jwtSecretPath, "FILE", "file with such secrets, one on each line"),
      .text(
        "jwtPublicKey", \.jwtPublicKeyPath, "FILE",
        "PEM file with keys or certificates for RS256, PS256, ES256 or EdDSA"),
      .text("jwks", \.jwksLocation, "FILE|URL", "set of keys (RFC 7517) for tokens", problem: setProblem)
        .secret(masked: MaskedURL.text),
      // Under 10 s issuers would be asked for nothing; over a day a key that leaked would live too long.
      .duration("jwksRefresh", \.jwksRefreshMilliseconds, 10_000...86_400_000, "time between two readings of the set"),
      .list(
        "jwtAudience", \.jwtAudiences, "NAME,...", "names of this server in a token's aud",
        whenUnset: "tokens have no aud"),
      .list("jwtIssuer", \.jwtIssuers, "NAME,...", "issuers whose tokens are taken (iss)", whenUnset: "all"),
      // Clocks that differ by more than five minutes are broken.
      .duration("jwtLeeway", \.jwtLeewayMilliseconds, 0...300_000, "by how much an issuer's clock may differ"),
      .toggle(
        "jwtRequireExp", \.jwtRequiresExpiry,
        "refuse tokens without exp: they would be good until the key is taken away"),
      .list(
        "jwtDefaultRooms", \.jwtDefaultRooms, "GLOB,...",
        "rooms of a token without rooms; r: before a glob is read only", whenUnset: "none", problem: globProblem),
      .choice(
        "clientDirect", \.clientDirect,
        "who may send direct messages: all clients, none, or those whose token's permissions list direct"),
      .list(
        "iceServers", \.iceServers, "URL,...",
        "STUN and TURN servers for calls: stun:host:port, turn:host:port?transport=udp, turns:host",
        whenUnset: "none", problem: iceProblem),
      .text("iceUser", \.iceUser, "TEXT", "user that the TURN servers know"),
      .text("iceCredential", \.iceCredential, "TEXT", "password of that user; every client gets it").secret(),
      .text(
        "iceSecret", \.iceSecret, "TEXT", "secret shared with the TURN servers, to make passwords that expire"
      ).secret(),
      // A call keeps the password it began with; longer than a week, it is no better than one that stays.
      .duration("iceTtl", \.iceTTLMilliseconds, 60_000...604_800_000, "how long such a password is accepted"),
      // A person's slow phone needs seconds; longer, and strangers hold descriptors for nothing.
      .duration("authTimeout", \.authTimeoutMilliseconds, 100...300_000, "time a connection has to authenticate"),
      .text(
        "adminToken", \.adminToken, "TEXT", "bearer token of the admin endpoint", whenUnset: "random, in the log"
      ).secret(),
      .text("apiKey", \.apiKey, "TEXT", "second token, for publish, broadcast, direct and batch only").secret(),
    ])

  private static let delivery: [Option<ServerSettings>] = Option.group(
    "Delivery",
    [
      .integer("historySize", \.historyMessagesMax, 1...100_000, "messages kept for each room"),
      // Under a second, a reconnecting client could not use it; over a week, Redis is the wrong place.
      .duration("historyTtl", \.historyTTLMilliseconds, 1000...604_800_000, "how long messages are kept"),
      // A proxy's idle timeout is seldom under 30 s, and a browser's tab wakes for every ping.
      .duration("pingInterval", \.pingIntervalMilliseconds, 100...3_600_000, "time between pings to a quiet client"),
      .duration("pingTimeout", \.pingTimeoutMilliseconds, 100...600_000, "time a client has to answer a ping"),
      .duration(
        "leaveGrace", \.leaveGraceMilliseconds, 0...600_000,
        "time that users of a draining node have to be back on another before user_left is sent"),
      // To announce each of N users to each of N members takes N times N notices.
      .integer(
        "presenceAnnounceMax", \.presenceAnnounceMax, 0...100_000,
        "users in a room above which joins and leaves are announced together; 0: in every room"),
      // More often than ten times a second costs more than it shows; after a minute it is no presence any more.
      .duration(
        "presenceInterval", \.presenceIntervalMilliseconds, 100...60_000,
        "least time between two presence_update of a room"),
      .duration(
        "leaveDebounce", \.leaveDebounceMilliseconds, 0...3_600_000,
        "time that a user stays in presence after its last connection has left a room"),
      .duration("drain", \.drainMilliseconds, 0...3_600_000, "time over which a stopping node sends its clients away"),
      .toggle("compression", \.compression, "permessage-deflate (RFC 7692) for clients that offer it"),
      .toggle("ioUring", \.ioUring, "send through io_uring where the kernel allows it (Linux 6.0 or later)"),
      .toggle("echo", \.echo, "serve a raw WebSocket echo at /echo"),
      .toggle("socketio", \.socketIO, "serve Socket.IO clients at /socket.io/"),
      .list(
        "socketioNamespaces", \.socketIONamespaces, "GLOB,...",
        "namespaces that Socket.IO clients may connect to: /, /chat, /team-*; * is all", problem: namespaceProblem),
      .text("socketioClient", \.socketIOClientPath, "FILE", "client bundle to serve at /socket.io/socket.io.js"),
      .toggle("socketioRecovery", \.socketIORecovery, "connection state recovery: one more argument with each event"),
      .toggle("demo", \.demo, whenUnset: "on with --auth none, else off", "serve the chat page at /"),
    ])

  private static let limits: [Option<ServerSettings>] = Option.group(
    "Limits",
    [
      // A message is held whole in memory and in Redis, so the upper end is 16m; no useful operation fits in less than 64.
      .size("maxMessage", \.maxMessageBytes, 64...(16 << 20), "longest message a client may send"),
      .size(
        "maxQueue", \.maxQueueBytes, 1024...(1 << 30),
        "bytes that may wait for one client before it is closed with 4408"),
      .integer(
        "maxConnections", \.maxConnections, 1...10_000_000, whenUnset: "what the limit on open files allows",
        "connections a node accepts"),
      .integer("maxRooms", \.maxRooms, 1...100_000, "rooms one connection may be in"),
      // Less than 4k would not hold the ids of one burst; beyond 16g other keys are the problem.
      .size(
        "dedupeMemory", \.dedupeMemoryBytes, 4096...(16 << 30),
        "memory for the ids of messages, of a node or of Redis; the oldest beyond it are forgotten"),
      // Redis compares every publish with every wildcard of every node, at some 35 ns each: 64 add 2 µs to a publish.
      .integer("maxWildcards", \.maxWildcards, 0...10_000, "wildcards (names ending in *) a node hears at a time"),
    ] + rates)

  /// Limits whose default counts clients of the internet only; 0 turns each off.
  private static let rates: [Option<ServerSettings>] = [
    .integer(
      "maxConnectionsPerAddress", \.connectionsPerAddressMax, 0...10_000_000,
      whenUnset: unset(DefaultPeerLimits.connectionsPerAddress),
      "connections one address (IPv6: one /64) may have; 0 is no limit"),
    .integer(
      "maxConnectionsPerUser", \.connectionsPerUserMax, 0...10_000_000,
      whenUnset: unset(DefaultPeerLimits.connectionsPerUser), "connections one user may have on a node; 0 is no limit"),
    .integer(
      "handshakeRate", \.handshakesPerSecondMax, 0...1_000_000, whenUnset: unset(DefaultPeerLimits.handshakesPerSecond),
      "WebSocket handshakes a second a node answers; 0 is no limit"),
    .integer(
      "rate", \.messagesPerSecondMax, 0...1_000_000, whenUnset: unset(DefaultPeerLimits.operationsPerSecond),
      "operations a second one connection may send; 0 is no limit"),
    .size(
      "rateBytes", \.bytesPerSecondMax, 0...(1 << 30),
      whenUnset: "\(Quantity.text(bytes: DefaultPeerLimits.bytesPerSecond)) from public addresses",
      "bytes of operations a second one connection may send; 0 is no limit"),
    .integer(
      "roomRate", \.roomPublishesPerSecondMax, 0...1_000_000,
      whenUnset: unset(DefaultPeerLimits.roomPublishesPerSecond),
      "messages a second clients may publish in one room by way of a node; 0 is no limit"),
    .integer(
      "directRate", \.directsPerSecondMax, 0...1_000_000, whenUnset: unset(DefaultPeerLimits.directsPerSecond),
      "direct messages a second clients may send to one user by way of a node; 0 is no limit"),
    .integer(
      "newRoomRate", \.newRoomsPerSecondMax, 0...1_000_000, whenUnset: unset(DefaultPeerLimits.newRoomsPerSecond),
      "joins a second of rooms nobody on the node is in, for one connection (max-rooms at once); 0 is no limit"),
    .integer(
      "nodeNewRoomRate", \.nodeNewRoomsPerSecondMax, 0...10_000_000,
      whenUnset: unset(DefaultPeerLimits.nodeNewRoomsPerSecond),
      "the same for all connections of a node; 0 is no limit"),
    .integer(
      "adminGuesses", \.adminGuessesPerMinute, 0...1_000_000,
      "wrong admin tokens a minute one address may try; 0 is no limit"),
    // Under a second a healthy client on a slow line would lose its message.
    .duration(
      "messageTimeout", \.messageTimeoutMilliseconds, 1000...3_600_000,
      "time in which a message that has begun must be complete"),
  ]

  private static func unset(_ value: Int) -> String { "\(value) from public addresses" }

  private static let fileOnly: [Option<ServerSettings>] = [
    .document("rooms") { settings, value in
      switch RoomRuleSettings.parse(value) {
      case .success(let rules):
        settings.rooms = rules
        return nil
      case .failure(let error): return error.message
      }
    },
    .document("hooks") { settings, value in
      switch IncomingHookSettings.parse(value) {
      case .success(let hooks):
        settings.hooks = hooks
        return nil
      case .failure(let error): return error.message
      }
    },
    .document("bridges") { settings, value in
      switch BridgeSettings.parse(value) {
      case .success(let bridges):
        settings.bridges = bridges
        return nil
      case .failure(let error): return error.message
      }
    },
  ]

  private static let operation: [Option<ServerSettings>] = Option.group(
    "Operation",
    [
      .choice("logLevel", \.logLevel, "least severe event to log"),
      .choice("logFormat", \.logFormat, "how log lines look; auto is text on a terminal, else json"),
      .text("config", \.configPath, "FILE", "settings file, one JSON object").from(.argumentsAndEnvironment),
    ])
}

extension ServerSettings {
  @Sendable private static func origin(_ text: String) -> Result<OriginRule, SettingsError> {
    do throws(OriginFault) { return .success(try OriginRule(text)) } catch {
      return .failure(SettingsError(message: error.reason))
    }
  }

  /// A room is 1 to 200 bytes, and `r:` may stand before it.
  @Sendable private static func globProblem(_ text: String) -> String? {
    let glob = text.hasPrefix("r:") ? text.dropFirst(2) : text[...]
    return (1...200).contains(glob.utf8.count) ? nil : "is no glob; expected 1 to 200 bytes such as chat:* or r:news:*"
  }

  @Sendable private static func namespaceProblem(_ text: String) -> String? {
    let isGlob = text.hasPrefix("/") || text.hasPrefix("*")
    return isGlob && !text.contains("#") && text.utf8.count <= 100
      ? nil : "matches no namespace; expected / or * first, no #, at most 100 bytes"
  }

  @Sendable private static func networkProblem(_ text: String) -> String? {
    IPNetwork(text) == nil ? "is no address or network; expected such as 10.0.0.0/8 or 2001:db8::1" : nil
  }

  /// Keeps braces out: they decide which slot of a Redis cluster a key belongs to.
  @Sendable private static func prefixProblem(_ text: String) -> String? {
    let isPlain = text.utf8.count <= 64 && !text.contains { " {}*?[]\\".contains($0) }
    return isPlain ? nil : "is not usable; expected at most 64 bytes without spaces, braces, brackets, *, ? and \\"
  }

  @Sendable private static func nodeProblem(_ text: String) -> String? {
    let isPlain =
      text.utf8.count <= 64 && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
    return isPlain ? nil : "is no name of a node; expected at most 64 letters, digits, dots, dashes or underscores"
  }

  /// Anything that looks like an address must be one that is fetched.
  @Sendable private static func setProblem(_ text: String) -> String? {
    text.contains("://") ? webProblem(text) : nil
  }

  @Sendable static func webProblem(_ text: String) -> String? {
    let hasHost =
      (text.hasPrefix("https://") && text.utf8.count > 8) || (text.hasPrefix("http://") && text.utf8.count > 7)
    return hasHost && !text.contains(" ") ? nil : "is no web address; expected http:// or https:// and a host"
  }
}
