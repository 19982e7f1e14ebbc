import AddressCore
import LoopCore
import Realtime
import RedisBackend
import Settings
import TimeCore
import Tokens

/// Makes the parts of a node from the settings.
package enum NodeSetup {
  static func hubConfiguration(_ settings: ServerSettings, _ id: [UInt8]) -> HubConfiguration {
    var configuration = HubConfiguration(nodeID: id)
    configuration.roomsPerConnectionMax = settings.maxRooms
    configuration.wildcardsMax = settings.maxWildcards
    configuration.operationsPerSecond = peerLimit(settings.messagesPerSecondMax, DefaultPeerLimits.operationsPerSecond)
    configuration.bytesPerSecond = peerLimit(settings.bytesPerSecondMax, DefaultPeerLimits.bytesPerSecond)
    configuration.roomPublishesPerSecond = peerLimit(
      settings.roomPublishesPerSecondMax, DefaultPeerLimits.roomPublishesPerSecond)
    configuration.newRoomsPerSecond = peerLimit(settings.newRoomsPerSecondMax, DefaultPeerLimits.newRoomsPerSecond)
    configuration.nodeNewRoomsPerSecond = peerLimit(
      settings.nodeNewRoomsPerSecondMax, DefaultPeerLimits.nodeNewRoomsPerSecond)
    configuration.connectionsPerUser = peerLimit(settings.connectionsPerUserMax, DefaultPeerLimits.connectionsPerUser)
    configuration.messageBytesMax = settings.maxMessageBytes
    configuration.pingIntervalMilliseconds = settings.pingIntervalMilliseconds
    configuration.historySize = settings.historyMessagesMax
    configuration.rules = roomRules(settings)
    configuration.presenceAnnounceMax = settings.presenceAnnounceMax
    configuration.presenceIntervalMilliseconds = settings.presenceIntervalMilliseconds
    configuration.leaveDebounceMilliseconds = settings.leaveDebounceMilliseconds
    configuration.authTimeoutMilliseconds = settings.authTimeoutMilliseconds
    configuration.clientDirects = directPolicy(settings.clientDirect)
    configuration.directsPerSecond = peerLimit(settings.directsPerSecondMax, DefaultPeerLimits.directsPerSecond)
    return configuration
  }

  private static func directPolicy(_ asked: ClientDirectMode) -> DirectPolicy {
    switch asked {
    case .on: .everyone
    case .off: .nobody
    case .permission: .permitted
    }
  }

  /// The room rules of the settings, with what they leave out filled in from the node's own settings.
  static func roomRules(_ settings: ServerSettings) -> RoomRules {
    RoomRules(
      settings.rooms.map { asked in
        let keepsAsOthers = asked.historySize == nil && asked.historyTTLMilliseconds == nil
        let retention = Retention(
          messagesMax: asked.historySize ?? settings.historyMessagesMax,
          milliseconds: asked.historyTTLMilliseconds ?? settings.historyTTLMilliseconds)
        let slow: SlowPolicy =
          switch asked.slow {
          case .disconnect: .disconnect
          case .dropOldest: .dropOldest
          case .latest: .latest
          case .throttle: asked.key == nil ? .disconnect : .latest
          }
        let rule = RoomRule(
          retention: keepsAsOthers ? nil : retention, hasPresence: asked.presence, mayJoin: asked.join,
          mayPublish: asked.publish, slow: slow, key: asked.key.map { Array($0.utf8) },
          throttleMilliseconds: asked.throttleMilliseconds, lagBytesMax: asked.queueBytes ?? settings.maxQueueBytes,
          announceMax: asked.presenceAnnounceMax, presenceIntervalMilliseconds: asked.presenceIntervalMilliseconds,
          leaveDebounceMilliseconds: asked.leaveDebounceMilliseconds)
        return (RoomGlob(Array(asked.match.utf8)), rule)
      })
  }

  static func limits(_ settings: ServerSettings) -> ConnectionLimits {
    var limits = ConnectionLimits()
    limits.messageBytesMax = settings.maxMessageBytes
    limits.queueBytesMax = settings.maxQueueBytes
    limits.connectionsMax = settings.maxConnections
    limits.pingInterval = .milliseconds(settings.pingIntervalMilliseconds)
    limits.pingTimeout = .milliseconds(settings.pingTimeoutMilliseconds)
    limits.messageTimeout = .milliseconds(settings.messageTimeoutMilliseconds)
    limits.isEchoEnabled = settings.echo
    limits.connectionsPerAddress = peerLimit(
      settings.connectionsPerAddressMax, DefaultPeerLimits.connectionsPerAddress)
    limits.handshakesPerSecond = peerLimit(settings.handshakesPerSecondMax, DefaultPeerLimits.handshakesPerSecond)
    limits.trustedProxies = TrustedProxies(settings.trustedProxies.compactMap { IPNetwork($0) })
    limits.requiresProxyHeader = settings.proxyProtocol
    return limits
  }

  /// What was set counts for everyone; what was not spares local addresses.
  private static func peerLimit(_ asked: Int?, _ standard: Int) -> PeerLimit {
    PeerLimit(asked ?? standard, sparesLocal: asked == nil)
  }

  /// The id that was asked for, numbered when several workers would share it, or ten random characters.
  static func makeID(_ asked: String?, worker: WorkerPage?) -> [UInt8] {
    if let asked { return Array((worker.map { "\(asked).\($0.index + 1)" } ?? asked).utf8) }
    let alphabet = Array("abcdefghjkmnpqrstvwxyz0123456789".utf8)
    return Digest.randomBytes(10).map { alphabet[Int($0) & 31] }
  }

  static func makeToken() -> String { Digest.hex(Digest.randomBytes(16)) }

  static func makeKeys(_ settings: ServerSettings, _ loop: EventLoop, _ log: Log) throws(KeyFault) -> KeyRing {
    var configuration = KeyRing.Configuration()
    configuration.secret = settings.jwtSecret.map { Array($0.utf8) }
    configuration.secretPath = settings.jwtSecretPath
    configuration.publicKeyPath = settings.jwtPublicKeyPath
    configuration.setLocation = settings.jwksLocation
    configuration.refreshMilliseconds = settings.jwksRefreshMilliseconds
    configuration.waitMilliseconds = settings.authTimeoutMilliseconds
    configuration.policy.requiresExpiry = settings.jwtRequiresExpiry
    configuration.policy.defaultRooms = defaultRooms(settings.jwtDefaultRooms)
    configuration.policy.audiences = settings.jwtAudiences.map { Array($0.utf8) }
    configuration.policy.issuers = settings.jwtIssuers.map { Array($0.utf8) }
    configuration.policy.leewayMilliseconds = UInt64(settings.jwtLeewayMilliseconds)
    return try KeyRing(loop, configuration, clock: Clock.wallMilliseconds) {
      switch $0 {
      case .info: log.info($1)
      case .warning: log.warn($1)
      case .error: log.error($1)
      }
    }
  }

  /// What a token without `rooms` may use; nil: all rooms.
  static func defaultRooms(_ globs: [String]) -> RoomGrants? {
    globs.contains("*") ? nil : RoomGrants(globs.map { Array($0.utf8) })
  }

  /// Makes the ring for sends, unless it is not wanted or the kernel refuses it, and returns the name of the system call for the log.
  static func makeRing(_ settings: ServerSettings) -> (SendRing?, String) {
    guard settings.ioUring else { return (nil, "send") }
    do throws(SystemError) { return (try SendRing(), "io_uring") } catch { return (nil, "send (\(error))") }
  }

  static func makeRedis(
    _ url: RedisURL, _ settings: ServerSettings, _ loop: EventLoop, _ id: [UInt8], _ log: Log
  ) throws(Node.Failure) -> RedisBroker {
    let configuration = redisConfiguration(url, settings)
    var tls: TLSClientContext?
    if url.usesTLS {
      do throws(TLSError) { tls = try redisTLS(settings) } catch { throw .certificate(error) }
    }
    let resolver: Resolver
    do throws(SystemError) { resolver = try Resolver(loop) } catch { throw .system(error) }
    return RedisBroker(loop: loop, resolver: resolver, configuration: configuration, tls: tls, nodeID: id) {
      switch $0 {
      case .info: log.info($1)
      case .warning: log.warn($1)
      case .error: log.error($1)
      }
    }
  }

  /// The same for a program that is no node.
  package static func makeRedis(
    _ url: RedisURL, _ settings: ServerSettings, _ loop: EventLoop, _ id: [UInt8],
    _ log: @escaping (LogLevel, String) -> Void
  ) throws(Node.Failure) -> RedisBroker {
    let name = String(decoding: id, as: UTF8.self)
    return try makeRedis(url, settings, loop, id, Log(LineHandler(log), node: name))
  }

  /// Resident memory of this process in bytes.
  package static func residentBytes() -> UInt64 { ProcessFacts.residentBytes() }

  /// What the settings say about the use of a Redis.
  package static func redisConfiguration(_ url: RedisURL, _ settings: ServerSettings) -> RedisConfiguration {
    let rules = roomRules(settings)
    let leaveDebounce = settings.leaveDebounceMilliseconds
    var configuration = RedisConfiguration(
      topology: topology(url.topology), user: url.user, password: url.password, database: url.database,
      prefix: settings.redisPrefix, historySize: settings.historyMessagesMax,
      historyTTLMilliseconds: settings.historyTTLMilliseconds, rules: rules,
      dedupeBytes: settings.dedupeMemoryBytes
    ) { rules.leaveDebounceMilliseconds(of: $0, standard: leaveDebounce) }
    configuration.roomEvents = roomEventPolicy(settings.webhooks)
    configuration.sentinelUser = settings.redisSentinelUser
    configuration.sentinelPassword = settings.redisSentinelPassword
    return configuration
  }

  /// Reads what the settings say about TLS to Redis.
  package static func redisTLS(_ settings: ServerSettings) throws(TLSError) -> TLSClientContext {
    try TLSClientContext(
      authorityPath: settings.redisAuthorityPath, certificatePath: settings.redisCertificatePath,
      keyPath: settings.redisKeyPath)
  }

  private static func topology(_ topology: RedisURL.Topology) -> RedisTopology {
    func endpoint(_ endpoint: RedisURL.Endpoint) -> RedisEndpoint {
      .tcp(host: endpoint.host, port: UInt16(endpoint.port))
    }
    return switch topology {
    case .single(let address): .single(endpoint(address))
    case .unixSocket(let path): .single(.unix(path: path))
    case .sentinel(let sentinels, let master): .sentinel(sentinels.map(endpoint), master: master)
    case .cluster(let nodes): .cluster(nodes.map(endpoint))
    }
  }
}

/// Passes entries on as lines.
private final class LineHandler: LogHandler {
  private let line: (LogLevel, String) -> Void

  init(_ line: @escaping (LogLevel, String) -> Void) { self.line = line }

  var droppedCount: UInt64 { 0 }
  func takes(_ level: LogLevel) -> Bool { true }
  func write(_ entry: LogEntry) { line(entry.level, entry.message) }
}
