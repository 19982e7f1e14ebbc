extension ServerSettings {
  /// What the command line of `roost serve` asks for.
  public enum Parsed: Sendable {
    case serve(ServerSettings)
    case help(String)
    case version
  }

  /// Reads all settings: a flag beats the environment, the environment beats the file, the file beats the default.
  ///
  /// `arguments` begin behind `serve`, or behind the command of `table`, which errors name and whose options are those of `serve`. `coreCount` is how many workers run by default with Redis. `readFile` is called
  /// once at most, with the path of `--config`. A value that another place overrides must be right all the same.
  public static func parse(
    arguments: [String], environment: [String: String], coreCount: Int,
    table: OptionTable<ServerSettings> = ServerSettings.table,
    readFile: (String) -> Result<[UInt8], SettingsError> = SettingsFile.read
  ) throws(SettingsError) -> Parsed {
    let list: ArgumentList
    switch try table.read(arguments) {
    case .help: return .help(table.help(defaults: ServerSettings()))
    case .version: return .version
    case .list(let read): list = read
    }
    var settings = ServerSettings()
    let fromEnvironment = environment["ROOST_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
    if let path = list.value(of: "config") ?? fromEnvironment {
      let bytes: [UInt8]
      switch readFile(path) {
      case .success(let read): bytes = read
      case .failure(let error): throw SettingsError(message: "--config \(error.message); expected a JSON file")
      }
      try table.apply(file: bytes, name: path, to: &settings)
    }
    try table.apply(environment: environment, to: &settings)
    try table.apply(list, to: &settings)
    settings.workers = settings.workersAsked ?? (settings.redis == nil ? 1 : min(256, max(1, coreCount)))
    if let problem = settings.contradiction { throw SettingsError(message: problem) }
    return .serve(settings)
  }

  private var isBehindSentinels: Bool {
    if case .sentinel = redis?.topology { return true }
    return false
  }

  /// What two settings demand of each other and do not get; nil when they agree.
  private var contradiction: String? {
    if authentication == .jwt, jwtSecret == nil, jwtSecretPath == nil, jwtPublicKeyPath == nil, jwksLocation == nil {
      return "--auth jwt needs a key; expected --jwt-secret, --jwt-secret-file, --jwt-public-key or --jwks"
    }
    if let problem = webhookContradiction { return problem }
    if (tlsCertificatePath == nil) != (tlsKeyPath == nil) {
      return "--tls-cert and --tls-key need each other; \(tlsKeyPath == nil ? "--tls-key" : "--tls-cert") is missing"
    }
    if (redisCertificatePath == nil) != (redisKeyPath == nil) {
      return "--redis-cert and --redis-key need each other; "
        + "\(redisKeyPath == nil ? "--redis-key" : "--redis-cert") is missing"
    }
    if redisAuthorityPath != nil || redisCertificatePath != nil, redis?.usesTLS != true {
      return "--redis-ca and --redis-cert are for TLS; expected --redis rediss://"
    }
    if redisSentinelUser != nil, redisSentinelPassword == nil {
      return "--redis-sentinel-user needs --redis-sentinel-password"
    }
    if redisSentinelPassword != nil, !isBehindSentinels {
      return "--redis-sentinel-password is for sentinels; expected --redis redis+sentinel://"
    }
    if redirectPort != nil, tlsCertificatePath == nil {
      return "--redirect-port needs TLS to redirect to; expected --tls-cert and --tls-key"
    }
    if proxyProtocol, trustedProxies.isEmpty {
      return "--proxy-protocol needs --trusted-proxies: anybody could claim any address"
    }
    if maxQueueBytes < maxMessageBytes {
      let (queue, message) = (Quantity.text(bytes: maxQueueBytes), Quantity.text(bytes: maxMessageBytes))
      return "--max-queue \(queue) is below --max-message \(message), so that one message could close its readers; "
        + "expected at least \(message)"
    }
    let bridging = BridgeSettings.contradiction(bridges, hasRedis: redis != nil)
    if let problem = iceContradiction ?? webhooks.contradiction ?? tracing.contradiction ?? bridging { return problem }
    if workers > 1, redis == nil {
      return "--workers \(workers) needs --redis: workers are nodes of their own and share rooms through Redis only"
    }
    if workers > 1, port == 0 {
      return "--workers \(workers) needs a fixed --port: with 0 every worker would take another one"
    }
    return nil
  }

  /// The same of webhooks that ask.
  private var webhookContradiction: String? {
    let asking = authentication == .webhook ? "--auth webhook" : webhooks.decisions.isEmpty ? nil : "--webhook-ask"
    if let asking, webhooks.url == nil { return "\(asking) needs a backend to ask; expected --webhook-url" }
    if !webhooks.headers.isEmpty, !asksAboutConnects {
      return "--webhook-headers go along with the question who may connect; expected --webhook-ask connect or "
        + "--auth webhook"
    }
    return nil
  }

  /// The flags of limits that were not set, whose defaults spare private addresses.
  public var limitsByDefault: [String] {
    let limits: [(String, Int?)] = [
      ("--rate", messagesPerSecondMax), ("--rate-bytes", bytesPerSecondMax), ("--room-rate", roomPublishesPerSecondMax),
      ("--handshake-rate", handshakesPerSecondMax), ("--max-connections-per-address", connectionsPerAddressMax),
      ("--max-connections-per-user", connectionsPerUserMax), ("--direct-rate", directsPerSecondMax),
    ]
    return limits.filter { $0.1 == nil }.map(\.0)
  }

  /// The settings about tokens that are set though this `auth` looks at none, as a list of flags; nil when there are none.
  public var unusedTokenSettings: String? {
    guard authentication != .jwt else { return nil }
    let defaults = ServerSettings()
    let flags: [(String, Bool)] = [
      ("--jwt-secret", jwtSecret != nil), ("--jwt-secret-file", jwtSecretPath != nil),
      ("--jwt-public-key", jwtPublicKeyPath != nil), ("--jwks", jwksLocation != nil),
      ("--jwks-refresh", jwksRefreshMilliseconds != defaults.jwksRefreshMilliseconds),
      ("--jwt-audience", !jwtAudiences.isEmpty), ("--jwt-issuer", !jwtIssuers.isEmpty),
      ("--jwt-leeway", jwtLeewayMilliseconds != defaults.jwtLeewayMilliseconds),
      ("--jwt-require-exp", !jwtRequiresExpiry),
      ("--jwt-default-rooms", authentication == .none && jwtDefaultRooms != defaults.jwtDefaultRooms),
    ]
    let set = flags.filter(\.1).map(\.0)
    return set.isEmpty ? nil : set.joined(separator: ", ")
  }
}
