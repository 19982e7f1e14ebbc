import ClientProtocol
import LoopCore
import Realtime

/// A broker over one Redis, or over the masters of a Redis Cluster: any number of nodes with the same Redis and prefix
/// form one cluster.
///
/// Two connections to each master, one for commands and one that is subscribed. docs/redis.md names every key and
/// channel. This is the facade of its parts, which own their state. Confined to the loop that created it, which keeps it
/// alive.
public final class RedisBroker: TickParticipant {
  /// The level of a log line.
  public enum Severity: Sendable { case info, warning, error }
  /// Takes one line for the log. Never contains a secret.
  public typealias Log = (Severity, String) -> Void

  let context: BrokerContext
  private let batch: PublishBatch
  private let presenceBatch: PresenceBatch
  private let retries: RetrySender
  let epochs: RoomEpochs
  let ids: MessageIDs
  let publisher: MessagePublisher
  private let roomReader: RoomReader
  private let channels: ChannelSubscriber
  private let questions: NodeQuestions
  private let receiver: MessageReceiver
  private let presence: PresenceWriter
  private let presenceReader: PresenceReader
  let reconciler: PresenceReconciler
  let membership: Membership
  let orphans: OrphanScanScheduler
  private let clusterReader: ClusterReader
  private let revocationStore: RevocationStore
  private let hookDeliveries: HookDeliveryStore
  /// What bridges keep.
  package let bridges: BridgeStore
  /// The events of rooms that wait for their delivery; nil: none are recorded.
  public let roomEvents: (any RoomEventSource)?
  private let coordinator: FailoverCoordinator
  private let discovery: MasterDiscovery
  /// What all connections trust and show; nil: they are plain.
  private let tls: TLSClientContext?
  /// Detects that this process was paused; nil where no other master can have taken over meanwhile.
  private let pauseDetector: PauseDetector?

  /// - Parameters:
  ///   - tls: what to trust and how to prove oneself; nil: connections are plain.
  ///   - nodeID: this node's id; connections' names are the id, a dash, and something without a dash.
  ///   - log: takes one line per change of state; it must not call back.
  public init(
    loop: EventLoop, resolver: Resolver, configuration: RedisConfiguration, tls: TLSClientContext? = nil,
    nodeID: [UInt8], log: @escaping Log
  ) {
    self.tls = tls
    let log = RedisBroker.withoutRepetition(log)
    let name = RedisBroker.clientName(nodeID)
    let pauseDetector = configuration.topology.mayFailOver ? PauseDetector(loop: loop) : nil
    self.pauseDetector = pauseDetector
    let discovery = MasterDiscovery(
      loop: loop, resolver: resolver, configuration: configuration, tls: tls, name: name, log: log)
    self.discovery = discovery
    let mode = discovery.mode
    let isSharded = mode == .cluster
    let keys = RedisKeys(prefix: configuration.prefix, isSharded: isSharded)
    let shards = ShardMap(mode: mode) { endpoint in
      func makeLink(_ end: String) -> RedisLink {
        let link = RedisLink(
          loop: loop, resolver: resolver, configuration: configuration, tls: tls, endpoint: endpoint, name: name + end,
          log: log)
        link.locate = discovery.locate
        link.pauseDetector = pauseDetector
        return link
      }
      return Shard(
        commands: makeLink("-commands"), subscriber: makeLink("-subscriber"), mode: mode, keys: keys)
    }
    context = BrokerContext(
      loop: loop, configuration: configuration, node: nodeID, keys: keys, shards: shards, log: log)
    batch = PublishBatch(
      scripts: context.scripts, keys: keys, metaMilliseconds: configuration.metaMilliseconds, isSharded: isSharded)
    presenceBatch = PresenceBatch(
      router: context.commands, scripts: context.scripts, keys: keys,
      metaMilliseconds: configuration.metaMilliseconds, node: nodeID, isSharded: isSharded, events: context.events)
    epochs = RoomEpochs(context)
    ids = MessageIDs(context)
    retries = RetrySender(context)
    let nodes = NodeStates()
    publisher = MessagePublisher(
      context, batch: batch, presence: presenceBatch, epochs: epochs, ids: ids, retries: retries, nodes: nodes)
    roomReader = RoomReader(context, epochs: epochs, presence: presenceBatch)
    channels = ChannelSubscriber(context)
    receiver = MessageReceiver(context)
    questions = NodeQuestions(context, states: nodes)
    presence = PresenceWriter(context, batch: presenceBatch, messages: batch, epochs: epochs)
    presenceReader = PresenceReader(context, batch: presenceBatch, nodes: nodes)
    reconciler = PresenceReconciler(context, presence: presence)
    membership = Membership(context, nodes: nodes, presence: presence)
    orphans = OrphanScanScheduler(context, membership: membership, reconciler: reconciler)
    clusterReader = ClusterReader(context)
    revocationStore = RevocationStore(context)
    hookDeliveries = HookDeliveryStore(context)
    bridges = BridgeStore(context)
    roomEvents = RoomEventQueue(context)
    coordinator = FailoverCoordinator(
      context, epochs: epochs, retries: retries, presence: presence, reconciler: reconciler, membership: membership,
      orphans: orphans, channels: channels, discovery: discovery)
    wire()
    loop.attach(tick: self)
  }

  /// The connections to one Redis fail for one reason: it is logged once.
  private static func withoutRepetition(_ log: @escaping Log) -> Log {
    var last = ""
    return { severity, line in
      if line != last { log(severity, line) }
      last = line
    }
  }

  /// CLIENT SETNAME takes no spaces and no control characters.
  private static func clientName(_ node: [UInt8]) -> String {
    "roost-" + String(decoding: node.map { $0 > 0x20 && $0 < 0x7F ? $0 : 0x5F }, as: UTF8.self)
  }

  /// Connects parts with those that are made after them.
  private func wire() {
    context.shards.made = { [weak coordinator, weak receiver, weak channels] shard in
      shard.coordinator = coordinator
      shard.receiver = receiver
      shard.channels = channels
    }
    context.commands.willSend = { [weak batch, weak presenceBatch] in
      batch?.close()
      presenceBatch?.close()
    }
    presenceBatch.leaderEpochKey = { [weak epochs] in epochs?.leaderEpochKey ?? [] }
    presence.isReconciliationDue = { [weak reconciler] in reconciler?.isDue == true }
    receiver.questions = questions
    coordinator.connectionLost = { [weak questions] in questions?.connectionLost(of: $0) }
    epochs.changed = { [weak membership] in membership?.renewSoon() }
    membership.resyncRequested = { [weak reconciler] in reconciler?.reconcileAll() }
    let mapIsStale = { [weak discovery] in discovery?.refresh() ?? () }
    context.commands.mapIsStale = mapIsStale
    channels.mapIsStale = mapIsStale
    receiver.mapIsStale = mapIsStale
    tls?.hasReadAgain = { [log = context.log] problem in
      if let problem {
        log(.error, "kept the old files for TLS with Redis: \(problem)")
      } else {
        log(.info, "read the files for TLS with Redis again: new connections use them")
      }
    }
  }

  /// Reads the files for TLS again; connections that are open keep what they have. Files that cannot be used change
  /// nothing. Returns false when there are none.
  public func reloadTLS() -> Bool {
    tls?.readAgain()
    return tls != nil
  }

  /// Gives memory back after many clients have left: dictionaries do not shrink by themselves.
  public func shrink() {
    for shard in context.shards.current { shard.shrink() }
    epochs.forget()
    presence.shrink()
  }

  /// Sends what this tick has gathered.
  public func tickEnds() {
    discovery.flush()
    batch.close()
    presenceBatch.close()
    for shard in context.shards.current { shard.flush() }
    guard pauseDetector?.tickEnded() == true, Failover.processWasPaused.contains(.reconnect) else { return }
    for shard in context.shards.current {
      shard.commands.failAfterPause()
      shard.subscriber.failAfterPause()
    }
  }

  // MARK: Life

  /// Connects, and begins to take the node's lease.
  public func start() {
    discovery.start()
    channels.watch()
    switch context.configuration.topology {
    case .single(let endpoint): begin(with: endpoint)
    // The sentinels answer where it really is.
    case .sentinel(let sentinels, _): begin(with: sentinels[0])
    case .cluster: break
    }
  }

  private func begin(with endpoint: RedisEndpoint) {
    context.shards.begin(with: endpoint)
    channels.assign()
  }

  /// Removes the node's presence, gives up its lease, and closes the connections.
  public func stop(_ reply: @escaping () -> Void) { end(reply) { [membership] in membership.leave($0) } }

  /// Ends the node's lease after a grace, and closes the connections.
  public func handOver(forMilliseconds grace: Int, _ reply: @escaping () -> Void) {
    end(reply) { [membership] in membership.drain(forMilliseconds: grace, $0) }
  }

  /// Sends a last command to Redis, if it is in reach, and closes the connections.
  private func end(_ reply: @escaping () -> Void, _ lastCommand: (_ finish: @escaping () -> Void) -> Void) {
    guard context.beginStop() else { return reply() }
    membership.pause()
    var isAnswered = false
    let finish = { [weak self] in
      guard !isAnswered else { return }
      isAnswered = true
      self?.abandon()
      reply()
    }
    guard context.isAvailable else { return finish() }
    context.loop.after(milliseconds: RedisLimits.stopMilliseconds, finish)
    lastCommand(finish)
  }

  /// Closes all connections without a last command, as a crash does.
  func abandon() {
    _ = context.beginStop()
    context.becameUnavailable()
    membership.pause()
    discovery.stop()
    context.commands.stop()
    for shard in context.shards.current {
      for waiter in shard.stop() { waiter(.failure(.unavailable)) }
    }
    retries.abandon()
    questions.stop()
  }
}

// MARK: Broker

extension RedisBroker: Broker {
  public var listener: (any BrokerListener)? {
    get { context.listener }
    set { context.listener = newValue }
  }

  /// Notices are published and not kept.
  public var losesNotices: Bool { true }
  /// Whether the lease was taken and commands are taken, by some master at least.
  public var isAvailable: Bool { context.isAvailable }
  /// Whether nothing is out of reach.
  public var isWhole: Bool { context.isUp }
  /// What a Redis that is there refused a moment ago.
  public var refusal: BrokerRefusal? {
    let shards = context.shards.current
    return (shards.map(\.commands) + shards.map(\.subscriber)).lazy.compactMap(\.refusal).first?.refusal
  }

  // MARK: Messages

  public func publish(_ message: RoomMessage, _ reply: @escaping BrokerReply<Position>) {
    publisher.publish(message, reply)
  }

  public func publish(ephemeral envelope: [UInt8], in room: [UInt8], _ reply: @escaping BrokerReply<Void>) {
    publisher.publish(ephemeral: envelope, in: room, reply)
  }

  public func subscribe(room: [UInt8], _ reply: @escaping BrokerReply<Void>) {
    channels.subscribe(context.keys.roomChannel(room), reply)
  }

  public func unsubscribe(room: [UInt8]) {
    channels.unsubscribe(context.keys.roomChannel(room))
    presence.delist(room)
    roomReader.end(room: room)
  }

  public func subscribe(prefix: [UInt8], _ reply: @escaping BrokerReply<Void>) {
    channels.subscribe(prefix: prefix, reply)
  }

  public func unsubscribe(prefix: [UInt8]) { channels.unsubscribe(prefix: prefix) }

  public func position(room: [UInt8], _ reply: @escaping BrokerReply<Position>) {
    roomReader.position(room: room, reply)
  }

  public func begin(room: [UInt8], _ reply: @escaping BrokerReply<Position>) { roomReader.begin(room: room, reply) }

  public func compare(room: [UInt8], with known: StreamEnd, _ reply: @escaping BrokerReply<Position>) {
    roomReader.compare(room: room, with: known, reply)
  }

  public func history(
    room: [UInt8], _ query: HistoryQuery, bytesMax: Int, _ reply: @escaping BrokerReply<HistoryPage>
  ) {
    roomReader.history(room: room, query, bytesMax: bytesMax, reply)
  }

  public func send(
    _ envelope: [UInt8], to audience: Audience, dedupe: [UInt8]?, _ reply: @escaping BrokerReply<Int>
  ) {
    publisher.send(envelope, to: audience, dedupe: dedupe, reply)
  }

  public func delivery(
    _ id: [UInt8], of hook: [UInt8], at position: Position?, _ reply: @escaping BrokerReply<Position?>
  ) {
    hookDeliveries.delivery(id, of: hook, at: position, reply)
  }

  public func ask(
    node: [UInt8], _ question: [UInt8], withinMilliseconds milliseconds: Int, _ reply: @escaping (NodeAnswer) -> Void
  ) {
    questions.ask(node: node, question, withinMilliseconds: milliseconds, reply)
  }

  // MARK: Presence

  public func enter(room: [UInt8], _ member: Member, _ reply: @escaping BrokerReply<Position>) {
    presence.enter(room: room, member, reply)
  }

  public func leave(room: [UInt8], _ member: Member, graceMilliseconds: Int) {
    presence.leave(room: room, member, graceMilliseconds: graceMilliseconds)
  }

  public func endGraces(room: [UInt8], _ reply: @escaping BrokerReply<Int?>) { presence.endGraces(room: room, reply) }

  public func setState(
    room: [UInt8], _ member: Member, _ state: [UInt8]?, isAssertion: Bool, _ reply: @escaping BrokerReply<Void>
  ) {
    presence.setState(room: room, member, state, isAssertion: isAssertion, reply)
  }

  public func members(
    room: [UInt8], after cursor: MemberCursor?, limit: Int, _ reply: @escaping BrokerReply<MemberPage>
  ) {
    presenceReader.members(room: room, after: cursor, limit: limit, reply)
  }

  public func users(room: [UInt8], from cursor: [UInt8]?, _ reply: @escaping BrokerReply<UserPage>) {
    presenceReader.users(room: room, from: cursor, reply)
  }

  public func subscribe(user: [UInt8]) { channels.subscribeEventually(context.keys.userChannel(user)) }

  public func unsubscribe(user: [UInt8]) { channels.unsubscribe(context.keys.userChannel(user)) }

  public func connect(_ member: Member) { presence.connect(member) }

  public func disconnect(_ member: Member) { presence.disconnect(member) }

  public func connections(of user: [UInt8], _ reply: @escaping BrokerReply<[Member]>) {
    presenceReader.connections(of: user, reply)
  }

  public func connection(named name: [UInt8], _ reply: @escaping BrokerReply<Member?>) {
    presenceReader.connection(named: name, reply)
  }

  // MARK: Cluster

  public func nodes(_ reply: @escaping BrokerReply<[NodeEntry]>) { clusterReader.nodes(reply) }

  public func rooms(
    prefix: [UInt8], after cursor: [UInt8]?, limit: Int, _ reply: @escaping BrokerReply<RoomListing>
  ) {
    clusterReader.rooms(prefix: prefix, after: cursor, limit: limit, reply)
  }

  public func revoke(
    _ subject: Revocation.Subject, forMilliseconds milliseconds: UInt64, _ reply: @escaping BrokerReply<UInt64?>
  ) {
    revocationStore.revoke(subject, forMilliseconds: milliseconds, reply)
  }

  public func revocations(_ reply: @escaping BrokerReply<[Revocation]>) { revocationStore.revocations(reply) }
}

@available(*, unavailable)
extension RedisBroker: Sendable {}
