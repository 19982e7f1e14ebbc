import Glibc
import HTTPCore
import JSONCore
import LoopCore
import Realtime
import RedisBackend
import Settings
import Telemetry
import TimeCore
import Tokens
import Webhooks

/// One node: a broker, a hub, and the connections of one port, on a loop of the program that starts it. Confined to the
/// thread of that loop.
///
/// A program makes it, starts it, runs the loop, and stops it. It touches neither signals nor exit statuses nor standard
/// error: see `NodeProcess` for the command that does.
public final class Node {
  /// The version in `roost --version`, `/admin/nodes` and the log.
  public static let version = "0.1.0"

  let settings: ServerSettings
  let loop: EventLoop
  let log: Log
  package let hub: Hub
  let table: ConnectionTable
  let metrics = Metrics()
  let origins: OriginPolicy
  let embedded: EmbeddedBroker?
  let redis: RedisBroker?
  /// Posts what happens to a backend; nil: nothing is posted.
  let webhooks: WebhookEvents?
  /// Exports the spans of traces; nil: none are recorded.
  let spans: SpanExporter?
  let workerPage: WorkerPage?
  /// Remembers the last 15 minutes of this node.
  private(set) lazy var sampler = NodeSampler(self)
  /// Which rooms of this node are large or busy.
  let traffic: RoomTraffic
  /// Asks other nodes what they have in memory, and answers them.
  private(set) lazy var clusterReads = ClusterReads(hub: hub, broker: broker) { [unowned self] in answer($0) }
  let id: [UInt8]
  private let startedAt = Clock.instant()
  private let adminToken: String
  /// By which system call clients are sent to, for the log.
  private let sends: String
  private var routes: Routes?
  private var forwarder: ConnectionForwarder?
  private(set) var listeners: [Listener] = []
  /// The entries of the listeners, in the same order.
  private var entries: [ListenPlan.Entry] = []
  private let worker: Worker?
  /// Warnings about the start, for the log.
  private let notes: [String]
  /// The judge of tokens; nil without authentication.
  private var keys: KeyRing?
  /// The client bundle that is served at `/socket.io/socket.io.js`; nil: none is.
  var socketIOClient: [UInt8]?
  /// Whether no more connections are taken, and those that are open are closed one by one.
  var isDraining: Bool { phase == .draining || phase == .ended }
  private let configurationWarnings: ConfigurationWarnings
  /// Who decides for this node and answers requests; nil without a webhook.
  private(set) var backend: Backend?
  var refusalReport = RefusalReport()
  /// What the bridges of this host count; nil: there are none.
  var bridgePage: BridgePage?
  /// The last Origin that was refused, fit for the log.
  var lastRefusedOrigin: String?
  var nodeRoll = NodeRoll()
  /// Whether an operator ordered its drain, by the admin API of whatever node.
  var wasOrderedToDrain = false
  private enum Phase { case new, running, draining, ended }
  private var phase = Phase.new
  /// Called once when clients can connect.
  public var listening: () -> Void = {}
  /// Called once when the node has ended, with the reason unless it was stopped.
  public var ended: (Failure?) -> Void = { _ in }
  /// The most connections since memory was last given back.
  private var mostConnections = 0

  var hasEnded: Bool { phase == .ended }
  var hasOwnAdminPort: Bool { settings.adminPort != nil && settings.adminPort != settings.port }
  let broker: any Broker

  /// Builds a node that does nothing yet.
  ///
  /// - Parameters:
  ///   - loop: what it runs on. Its owner runs it, and closes it after the node has ended.
  ///   - log: takes what the node logs.
  ///   - worker: which of several processes on the port this is, or nil for a single one.
  ///   - notes: warnings about the start for the log.
  public init(
    _ settings: ServerSettings, on loop: EventLoop, log handler: any LogHandler, worker: Worker? = nil,
    notes: [String] = []
  ) throws(Failure) {
    self.loop = loop
    self.settings = settings
    self.notes = notes
    self.worker = worker
    workerPage = worker?.page
    id = NodeSetup.makeID(settings.nodeID, worker: worker?.page)
    log = Log(handler, node: String(decoding: id, as: UTF8.self))
    origins = OriginPolicy(
      settings.origins, backendHeaders: settings.asksAboutConnects ? settings.webhooks.headers : [])
    adminToken = settings.adminToken ?? NodeSetup.makeToken()
    let broker: any Broker
    if let url = settings.redis {
      let redis = try NodeSetup.makeRedis(url, settings, loop, id, log)
      (broker, self.redis, embedded) = (redis, redis, nil)
    } else {
      let embedded = EmbeddedBroker(
        nodeID: id, historySize: settings.historyMessagesMax,
        historyMilliseconds: UInt64(settings.historyTTLMilliseconds), rules: NodeSetup.roomRules(settings),
        dedupeBytes: settings.dedupeMemoryBytes, clock: Clock.steadyMilliseconds)
      (broker, self.redis, self.embedded) = (embedded, nil, embedded)
    }
    self.broker = broker
    hub = Hub(
      NodeSetup.hubConfiguration(settings, id), broker: broker, clock: Clock.wallMilliseconds,
      steady: Clock.steadyMilliseconds)
    traffic = RoomTraffic(hub)
    let (ring, sends) = NodeSetup.makeRing(settings)
    table = ConnectionTable(
      loop, hub: hub, limits: NodeSetup.limits(settings), metrics: metrics, ring: ring,
      trace: log.isWritten(.debug) ? log : nil)
    self.sends = sends
    configurationWarnings = ConfigurationWarnings(settings, table, log)
    spans = NodeSetup.makeSpans(settings, loop, hub, log)
    webhooks = NodeSetup.makeWebhooks(settings, loop, id, redis, hub.tracer, log)
    webhooks?.observe(hub, embedded)
    if log.isWritten(.debug) { hub.observers.add([.sessions, .rooms, .messages]) { [log] event in log.trace(event) } }
    let keys = AdminEndpoint.Keys(adminToken: Array(adminToken.utf8), apiKey: settings.apiKey.map { Array($0.utf8) })
    let guesses = AuthFailureLimiter(perMinute: settings.adminGuessesPerMinute, now: loop.instant)
    let admin = AdminEndpoint(
      hub: hub, broker: broker, keys: keys, messageBytesMax: settings.maxMessageBytes, guesses: guesses
    ) { [weak table] in table?.respond($0, $1) }
    hub.drainOrdered = { [weak self] in self?.obeyDrain() }
    hub.makeReport = { [weak self] in self?.report() ?? Array("{}".utf8) }
    registerActions()
    admin.node = self
    backend = makeBackend()
    let forwarder = ConnectionForwarder(
      hub: hub, broker: broker, polls: table.polls, engines: table.engines, metrics: metrics)
    self.forwarder = forwarder
    forwarder.answerRead = { [weak self] in self?.clusterReads.answer($0) }
    routes = Routes(
      table: table, node: self, admin: admin, live: AdminLive(table, admin), send: makeSendEndpoint(forwarder),
      eventStreams: makeEventStreamEndpoint(), poll: makePollEndpoint(forwarder),
      incomingHooks: makeIncomingHookEndpoint(), socketIO: makeSocketIOEndpoint(forwarder))
  }

  /// Starts to serve, as soon as the loop runs. Binds the ports before it returns.
  public func start() throws(Failure) {
    precondition(phase == .new, "a node starts once")
    try loadCertificate()
    try loadKeys()
    try loadSocketIOClient()
    try bind()
    phase = .running
    broker.start()
    webhooks?.start()
    spans?.start()
    sampler.start()
    everySecond()
    watchCluster()
    listenWhenReady(until: loop.instant + Node.readinessWait)
  }

  /// Reads files and finds the host's addresses as a start does, logs what a start warns of, and starts nothing: for settings
  /// that are to be checked. Binds no port, since a node may run that has it.
  public func check() throws(Failure) {
    try loadCertificate()
    try loadKeys()
    try loadSocketIOClient()
    do throws(ListenFault) { try ListenPlan(settings).check() } catch { throw .cannotListen(error) }
    for warning in notes + warnings { log.warn(warning) }
  }

  /// The public port, once the node is started: the one that was asked for, or the one that the system chose for 0.
  public var port: UInt16? { listeners.first?.port }

  /// Clients that come before Redis was reached would only be refused. Without Redis a node serves all the same, and
  /// says so in `/readyz`.
  private static let readinessWait = Interval.milliseconds(500)

  private func listenWhenReady(until deadline: Instant) {
    guard phase == .running else { return }
    guard isReady || loop.instant >= deadline else {
      loop.after(.milliseconds(2)) { [weak self] in self?.listenWhenReady(until: deadline) }
      return
    }
    // Users revoked before this node started are refused from the first connection on.
    hub.refreshRevocations { [weak self] in self?.listen() }
  }

  private func listen() {
    guard phase == .running else { return }
    for (listener, entry) in zip(listeners, entries) {
      do throws(SystemError) {
        try listener.listen()
      } catch {
        return finish(.cannotListen(ListenPlan(settings).fault(error, entry, port: listener.port)))
      }
    }
    announceStart()
    listening()
  }

  /// Seconds since this node was built.
  var uptimeSeconds: UInt64 { UInt64((Clock.instant() - startedAt).seconds) }

  /// Whether clients may be sent here.
  var isReady: Bool { redis.map { $0.isReady } ?? true }

  /// The user of a connection that asked for a name, or for none. Nil when the name is not allowed.
  func userName(asked name: [UInt8]?) -> [UInt8]? {
    guard let name, !name.isEmpty else { return UserName.guest() }
    return UserName.isValid(name) ? name : nil
  }

  private func loadCertificate() throws(Failure) {
    guard let certificate = settings.tlsCertificatePath, let key = settings.tlsKeyPath else { return }
    do throws(TLSError) {
      table.tls = try TLSContext(certificatePath: certificate, keyPath: key)
    } catch {
      throw .certificate(error)
    }
  }

  private func loadKeys() throws(Failure) {
    guard settings.authentication == .jwt else { return }
    do throws(KeyFault) {
      let keys = try NodeSetup.makeKeys(settings, loop, log)
      self.keys = keys
      hub.judgeToken = { [weak keys] token, conclude in keys?.judge(token, conclude) }
    } catch {
      throw .keys(error)
    }
  }

  /// Reads keys and certificates again: tokens are judged by the keys as they are on disk now, and new connections get the
  /// certificate as it is there; open ones keep theirs. What cannot be read changes nothing.
  public func reload() {
    keys?.reload()
    let hasRedisTLS = redis?.reloadTLS() == true
    guard settings.tlsCertificatePath != nil else {
      if keys == nil, !hasRedisTLS { log.info("nothing to reload: there is neither a certificate nor a key") }
      return
    }
    do throws(Failure) {
      try loadCertificate()
      log.info("reloaded the certificate")
    } catch {
      log.error("kept the old certificate: \(error)")
    }
  }

  private func bind() throws(Failure) {
    let all = ListenPlan(settings)
    var sockets: [(entry: ListenPlan.Entry, socket: BoundSocket)] = []
    if let worker {
      for (role, socket) in worker.sockets {
        if let entry = all.all.first(where: { $0.role == role }) { sockets.append((entry, socket)) }
      }
    } else {
      do throws(ListenFault) { sockets = try all.open() } catch { throw .cannotListen(error) }
    }
    var refusal: [UInt8] = []
    ErrorResponse.make(.unavailable, "this node has no descriptors left: try again in a moment")
      .append(to: &refusal, connection: .close)
    for (entry, socket) in sockets {
      entries.append(entry)
      listeners.append(
        Listener(loop, on: socket, refusal: refusal) { [weak self] socket, peer in
          self?.table.accept(socket, peer, role: entry.role)
        })
    }
  }

  private func everySecond() {
    guard phase != .ended else { return }
    embedded?.expire()
    hub.expire()
    shrinkAfterCrowd()
    traffic.expire(at: loop.instant)
    publishCounters()
    webhooks?.reportDrops()
    configurationWarnings.logNew()
    reportRefusals()
    loop.after(.seconds(1)) { [weak self] in self?.everySecond() }
  }

  /// After most connections have left, what they took goes back to the system: once per crowd, not once per leaver, and
  /// once more when their rooms have ended.
  private func shrinkAfterCrowd() {
    let count = table.count
    mostConnections = max(mostConnections, count)
    guard mostConnections > 256, count < mostConnections / 4 else { return }
    mostConnections = count
    shrink()
    loop.after(.seconds(5)) { [weak self] in self?.shrink() }
  }

  private func shrink() {
    table.shrink()
    hub.shrink()
    embedded?.shrink()
    redis?.shrink()
    Memory.trim()
  }

  private func announceStart() {
    let milliseconds = (Clock.instant() - startedAt).milliseconds
    log.info(
      "listening", ("host", settings.host), ("port", Int(listeners.first?.port ?? 0)),
      ("broker", settings.redis.map { String(describing: $0) } ?? "embedded"), ("sends", sends),
      ("version", Node.version),
      ("startMilliseconds", milliseconds))
    guard (workerPage?.index ?? 0) == 0 else { return }
    if settings.adminToken == nil {
      log.warn("made an admin token for this start; set --admin-token to choose it", ("adminToken", adminToken))
    }
    for warning in notes + warnings { log.warn(warning) }
  }

  /// What about this node is not safe on the internet, each as a sentence.
  var warnings: [String] { configurationWarnings.all }

  // MARK: Ending

  /// Ends in order: no new connections, every client is asked to reconnect at a moment of its own and closed then, at last
  /// the lease is given up. `ended` is called when that is done.
  public func stop() {
    guard phase == .running else { return }
    phase = .draining
    log.info(
      "draining", ("connections", table.sessionCount), ("milliseconds", settings.drainMilliseconds))
    hub.isHandingOver = settings.leaveGraceMilliseconds > 0
    let time = Interval.milliseconds(settings.drainMilliseconds)
    table.drain(within: time)
    let deadline = loop.instant + time
    forwarder?.drain { [loop] action in
      var generator = SystemRandomNumberGenerator()
      loop.after(DrainSchedule(deadline - loop.instant).moment(using: &generator), action)
    }
    awaitDrained(until: deadline)
  }

  /// Takes no more connections, so that another program can have the ports.
  func closeListeners() { for listener in listeners { listener.close() } }

  private func awaitDrained(until deadline: Instant) {
    let waiting = table.waitingPollCount + (forwarder?.waitingCount ?? 0)
    if table.sessionCount + waiting == 0 || loop.instant >= deadline {
      closeListeners()
      return giveUpLease()
    }
    loop.after(.milliseconds(50)) { [weak self] in self?.awaitDrained(until: deadline) }
  }

  /// Gives the lease up, at once or after the grace that clients which were closed have to reconnect elsewhere.
  private func giveUpLease() {
    let stopped: () -> Void = { [weak self] in
      self?.stopWebhooks {
        self?.stopSpans {
          self?.log.info("stopped")
          self?.finish(nil)
        }
      }
    }
    let handsOver = hub.isHandingOver && (hub.handedOver > 0 || table.sessionCount > 0)
    releaseWebhooks { [broker, settings] in
      guard handsOver else { return broker.stop(stopped) }
      broker.handOver(forMilliseconds: settings.leaveGraceMilliseconds, stopped)
    }
  }

  private func finish(_ failure: Failure?) {
    guard phase != .ended else { return }
    phase = .ended
    sampler.stop()
    closeListeners()
    table.closeSockets()
    routes = nil
    ended(failure)
  }
}
