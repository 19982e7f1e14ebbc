import ClientProtocol
import JSONCore

/// The meeting point of a node: sessions, rooms, and what the broker brings.
///
/// One path for every message: a client's operation goes to the broker, and everyone, the sender's own node included,
/// receives it from there. The hub touches no socket and no clock; time comes in, bytes go out through its transports.
/// What it does is done by its parts, each of which owns its state; the hub makes them and passes on what comes in.
/// Confined to the loop that created it.
public final class Hub {
  let context: HubContext
  let wildcards = WildcardTable()
  let access: RoomAccess
  let backPressure: BackPressure
  let pending: PendingOperations
  let limiters: RateLimiters
  let reads: SessionReads
  let caches: RecoveryCaches
  let batches = BatchQueue()
  let slowConsumers: SlowConsumers
  let catchUps: CatchUpDelivery
  let fanOut: FanOut
  let graces: LeaveGraces
  let announcements: RoomAnnouncements
  let streams: RoomStreams
  let lifetimes: RoomLifetimes
  let joins: RoomJoins
  let polls: RoomPolls
  let wildcardJoins: WildcardJoins
  let revocations: Revocations
  let authentication: Authentication
  let personalMessages: PersonalMessages
  let publisher: Publisher
  let queries: RoomQueries
  let requests: ClientRequests
  let questions: OperationQuestions
  let operations: OperationDispatcher
  let orders: AdminOrders

  /// The session that is being ended: what is answered because of its end brings no more operations for it.
  var ending: SlabID?
  /// The session that was opened last, for the log.
  private var newest: SlabID?
  /// Whether sessions that end from now on stay in presence, for `Broker.handOver`: a drain ends them, and their users are
  /// on their way to another node. Who leaves a room leaves it all the same.
  public var isHandingOver = false
  /// Sessions that have ended so.
  public private(set) var handedOver = 0
  /// Begins the node's drain, as an operator ordered; the node sets it.
  public var drainOrdered: () -> Void = {}
  /// Makes the node's report for its lease; the node sets it.
  public var makeReport: () -> [UInt8] = { Array("{}".utf8) }
  /// Answers questions of other nodes, once each, at once or later; the node sets it.
  public var answerQuestion: (_ question: [UInt8], _ answer: @escaping ([UInt8]) -> Void) -> Void = { _, _ in }

  /// - Parameters:
  ///   - clock: milliseconds since 1970, for time stamps and the expiry of tokens and revocations.
  ///   - steady: milliseconds that no one can set, for everything that lasts so long; nil: `clock`.
  public init(
    _ configuration: HubConfiguration, broker: any Broker, clock: @escaping () -> UInt64,
    steady: (() -> UInt64)? = nil
  ) {
    context = HubContext(configuration, broker: broker, clock: clock, steady: steady ?? clock)
    access = RoomAccess(context)
    backPressure = BackPressure(context)
    pending = PendingOperations(context, backPressure: backPressure)
    limiters = RateLimiters(context)
    reads = SessionReads(context)
    caches = RecoveryCaches(context)
    slowConsumers = SlowConsumers(context, batches: batches)
    catchUps = CatchUpDelivery(context, reads: reads, caches: caches, batches: batches, slowConsumers: slowConsumers)
    fanOut = FanOut(context, wildcards: wildcards, batches: batches, slowConsumers: slowConsumers, catchUps: catchUps)
    graces = LeaveGraces(context)
    announcements = RoomAnnouncements(context, batches: batches, fanOut: fanOut, graces: graces)
    streams = RoomStreams(
      context, reads: reads, caches: caches, batches: batches, slowConsumers: slowConsumers, catchUps: catchUps,
      fanOut: fanOut)
    lifetimes = RoomLifetimes(context, wildcards: wildcards, fanOut: fanOut, streams: streams)
    joins = RoomJoins(
      context, wildcards: wildcards, access: access, backPressure: backPressure, pending: pending, limiters: limiters,
      reads: reads, caches: caches, batches: batches, slowConsumers: slowConsumers, catchUps: catchUps, graces: graces,
      announcements: announcements, streams: streams, lifetimes: lifetimes)
    wildcardJoins = WildcardJoins(context, wildcards: wildcards, access: access, pending: pending, lifetimes: lifetimes)
    revocations = Revocations(context)
    polls = RoomPolls(
      context, access: access, limiters: limiters, reads: reads, caches: caches, streams: streams,
      lifetimes: lifetimes, joins: joins, revocations: revocations)
    authentication = Authentication(context, pending: pending, limiters: limiters, revocations: revocations)
    personalMessages = PersonalMessages(context, revocations: revocations)
    publisher = Publisher(
      context, access: access, backPressure: backPressure, pending: pending, limiters: limiters, reads: reads)
    queries = RoomQueries(
      context, access: access, backPressure: backPressure, limiters: limiters, reads: reads,
      announcements: announcements, fanOut: fanOut)
    requests = ClientRequests(context, wildcards: wildcards, backPressure: backPressure)
    questions = OperationQuestions(context, access: access, wildcards: wildcards, backPressure: backPressure)
    operations = OperationDispatcher(
      context, wildcards: wildcards, access: access, backPressure: backPressure, pending: pending, limiters: limiters,
      joins: joins, wildcardJoins: wildcardJoins, authentication: authentication, publisher: publisher,
      queries: queries, requests: requests, questions: questions)
    questions.carryOut = { [weak operations] in operations?.carryOut($1, of: $0, $2) }
    fanOut.polledRoomMoved = { [weak polls] in polls?.roomMoved($0) }
    orders = AdminOrders(context, joins: joins, operations: operations)
    personalMessages.obey = { [weak self] in self?.obey($0) ?? 0 }
    catchUps.verify = { [weak streams] in streams?.verify($0) }
    revocations.endSession = { [weak authentication] in
      authentication?.endUnauthenticated($0, reason: Refusal.revoked, answerID: nil)
    }
    authentication.identityChanged = { [weak operations] id in
      operations?.reviseAccess(of: id)
      operations?.performPostponed(of: [id])
    }
    broker.listener = self
  }

  // MARK: What the node sets before the first session

  /// What operators may change.
  public var configuration: HubConfiguration { context.configuration }

  /// Where bytes go, by wire format; not owned.
  public var transports: Transports {
    get { context.transports }
    set { context.transports = newValue }
  }

  /// Runs something after so many milliseconds, followed by a `flush`.
  public var after: (_ milliseconds: Int, _ action: @escaping () -> Void) -> Void {
    get { context.after }
    set { context.after = newValue }
  }

  /// Those who are informed of what happens here.
  public var observers: Observers {
    get { context.observers }
    set { context.observers = newValue }
  }

  /// Those who may forbid what clients do.
  public var authorisers: Authorisers {
    get { context.authorisers }
    set { context.authorisers = newValue }
  }

  /// The actions that clients may request.
  public var actions: ActionHandlers {
    get { requests.actions }
    set { requests.actions = newValue }
  }

  /// Those who decide, in their own time, what clients may do.
  public var deciders: Deciders {
    get { questions.deciders }
    set {
      questions.deciders = newValue
      authentication.decideConnect = newValue.connect
    }
  }

  /// Judges tokens, at once or later. Nil: no tokens are asked for, names are believed.
  public var judgeToken: ((_ token: [UInt8], _ conclude: @escaping (TokenVerdict) -> Void) -> Void)? {
    get { authentication.judgeToken }
    set { authentication.judgeToken = newValue }
  }

  // MARK: Figures

  /// Counts for `/metrics` and for the node's report.
  public var counters: HubCounters { context.counters }
  /// Bytes that rooms keep as recent messages.
  public var recoveryCacheBytes: Int { caches.cachedBytes }
  /// Bytes that rooms keep for lagging members.
  public var lagBytes: Int { slowConsumers.lagBytes }
  /// Whether the batch being delivered is the only one of this tick: then a member's next bytes are surely this batch,
  /// and it can be sent at once instead of being queued for the end of the tick.
  public var isDeliveringAlone: Bool { batches.isDeliveringAlone }

  // MARK: Time

  /// Delivers what the tick has gathered and lets arrivals in. The node calls it once at the end of each tick.
  public func flush() {
    reads.tickBegins()
    defer { batches.flushEnds() }
    batches.flush { room in
      room.isDirty = false
      if room.rule.throttleMilliseconds > 0, room.batch != nil { fanOut.pace(room) }
      if !room.arrivals.isEmpty { announcements.announceArrivals(to: room) }
      fanOut.deliverBatch(of: room)
      if !room.arrivals.isEmpty { joins.admitArrivals(to: room) }
      if !room.catchUps.isEmpty { catchUps.advanceCatchUps(of: room) }
    }
    for id in reads.takeRoomy() where context.sessions.contains(id) {
      catchUps.advance(session: id)
      reads.unpark(id)
    }
    if streams.isRestorationDue { streams.sayRestored() }
    if pending.hasSettled { operations.performPostponed(of: pending.takeSettled()) }
  }

  /// Whether `flush` has anything to do.
  public var hasWork: Bool {
    streams.isRestorationDue || !batches.isEmpty || pending.hasSettled || reads.hasWork
  }

  /// Does what is due by time: rooms that nobody came back to, recent messages that nobody asks for any more.
  /// The node calls it about once a second.
  public func expire() {
    let date = context.clock()
    authentication.endExpiredSessions(date)
    revocations.expire(at: date)
    let now = context.steady()
    authentication.endUnidentifiedSessions(now)
    limiters.expire(at: now)
    // The members whom a drain leaves behind are found by the rooms that the broker knows this node to have.
    polls.expire(at: now)
    if !isHandingOver { lifetimes.expireLingering(at: now) }
    wildcardJoins.expire(at: now)
    lifetimes.expireWildcardRooms(at: now)
    announcements.comparePresence(at: now)
    context.counters.rooms = context.rooms.count
    caches.expire(at: now)
    catchUps.retryStalledCatchUps()
    joins.recoverWaiting()
    streams.recoverRefused()
  }

  /// Gives memory back after a crowd has left.
  public func shrink() {
    context.shrink()
    authentication.shrink()
    limiters.shrink()
    batches.shrink()
  }
}

// MARK: Sessions

extension Hub {
  /// Opens a session and greets it with `welcome`.
  public func open(_ request: SessionRequest) -> SlabID {
    let session = Session(
      connection: request.connection, format: request.format, transport: request.transport,
      address: request.address,
      since: context.clock(), isLocal: request.isLocal)
    let id = context.sessions.insert(session)
    newest = id
    let name = context.connectionName(id)
    context.observers.report(
      .sessions, .connected(connection: name, transport: request.transport, address: request.address))
    let verdict = authentication.recognize(id, request)
    context.answer(
      id,
      .welcome(
        connection: name, node: configuration.nodeID, user: context.sessions[id.index].user?.name,
        pingIntervalMilliseconds: configuration.pingIntervalMilliseconds))
    if streams.isDegraded { context.answer(id, .degraded) }
    if let verdict {
      authentication.conclude(id, verdict, answerID: nil)
    } else {
      authentication.announceExpiry(of: id)
    }
    return id
  }

  /// Ends a session: it leaves its rooms, and nothing is sent to it any more. Idempotent.
  public func close(_ id: SlabID) {
    guard context.sessions.contains(id), ending != id else { return }
    ending = id
    defer { ending = nil }
    context.observers.report(
      .sessions,
      .disconnected(
        connection: context.connectionName(id), user: context.sessions[id.index].user?.name,
        transport: context.sessions[id.index].transport, address: context.sessions[id.index].address))
    context.requestAnswers.end(id)
    pending.forgetPostponed(id)
    questions.forget(id)
    backPressure.forget(id)
    authentication.forget(id)
    personalMessages.forget(id)
    limiters.keepLimiter(of: id)
    reads.forget(id)
    var subscriptions: [Session.Subscription] = []
    swap(&subscriptions, &context.sessions[id.index].subscriptions)
    for subscription in subscriptions { joins.depart(id.index, from: subscription, staysPresent: isHandingOver) }
    if !wildcards.isEmpty { wildcardJoins.leaveWildcards(id.index) }
    if let member = context.member(id.index), let user = context.sessions[id.index].user {
      user.sessions.remove(id.index)
      if user.sessions.isEmpty {
        context.users.remove(user.name)
        context.broker.unsubscribe(user: user.name)
      }
      if isHandingOver { handedOver += 1 } else { context.broker.disconnect(member) }
    }
    context.sessions.remove(id.index)
  }

  /// Tells a client when to come back, because this node is about to close its connection.
  public func announceReconnect(_ id: SlabID, afterMilliseconds milliseconds: Int) {
    context.answer(id, .reconnect(afterMilliseconds: milliseconds))
  }

  /// The connection's name, as clients and other nodes know it.
  public func name(of session: SlabID) -> [UInt8] { context.connectionName(session) }

  /// The same for a connection whose session is being opened: ``open(_:)`` may close it before it returns, as when its
  /// token is refused. Nil: no session of it was opened last.
  public func nameOfNewest(_ connection: UInt32) -> [UInt8]? {
    guard let newest, context.sessions.contains(newest), context.sessions[newest.index].connection == connection else {
      return nil
    }
    return context.connectionName(newest)
  }

  // MARK: What connections bring

  /// Takes one text from a client. Whatever is wrong with it is answered; nobody else notices.
  /// `text` must be valid UTF-8 (RFC 6455 section 8.1 has the frames checked before).
  public func receive(text: Span<UInt8>, from id: SlabID) { operations.receive(text: text, from: id) }

  /// Takes one binary message from a client.
  public func receive(binary bytes: Span<UInt8>, from id: SlabID) { operations.receive(binary: bytes, from: id) }

  /// Performs one operation of a client that has no connection: all but those that change a connection. It is charged to
  /// the caller's user, or to its address where names are not proved, with the rates of a connection.
  ///
  /// - Parameter text: the operation as JSON; valid UTF-8.
  public func perform(_ text: Span<UInt8>, by request: RequestCaller) { operations.perform(text, by: request) }

  /// Charges a ping of the client's (RFC 6455 section 5.5.2). Returns whether it shall be answered: of several pings the
  /// last one's answer is enough (section 5.5.3).
  public func chargePing(_ id: SlabID, bytes: Int) -> Bool { limiters.chargePing(id, bytes: bytes) }

  /// Whether any room rule spares slow readers: without one nobody needs to report them.
  public var sparesSlowReaders: Bool { configuration.rules.spareSlowReaders }

  /// Notes that a connection's socket takes no more for now, while something is queued for it.
  public func becameUnwritable(_ id: SlabID) { slowConsumers.becameUnwritable(id) }

  /// Notes that all that was queued for a connection is sent: it gets what its rooms have kept for it, until its socket
  /// takes no more again.
  public func becameWritable(_ id: SlabID) { slowConsumers.becameWritable(id) }

  /// Notes that a connection's queue has room again, as `SessionTransport.awaitRoom` asked. What waited continues at the tick's end.
  public func hasRoom(_ id: SlabID) { reads.hasRoom(id) }

  /// Tells a connection how many messages outside of rooms it has missed. Called when it can take more after an offer to
  /// it was refused.
  public func canTakeMore(_ id: SlabID) { personalMessages.canTakeMore(id) }

  // MARK: What is allowed

  /// Judges a token, revocations included. Called only where tokens are asked for.
  public func judge(_ token: [UInt8], _ conclude: @escaping (TokenVerdict) -> Void) {
    authentication.judge(token, conclude)
  }

  /// Whether somebody decides who may connect: `decideConnect` must be asked before a session is opened with an identity.
  public var asksAboutConnects: Bool { authentication.decideConnect != nil }

  /// Decides whether a client may connect, for a transport that must know before it begins. Answers once, with its identity.
  public func decideConnect(_ question: ConnectQuestion, _ conclude: @escaping (TokenVerdict) -> Void) {
    authentication.decide(question) { conclude($0.verdict) }
  }

  /// Decides whether a client may join all of some rooms and wildcards, for a transport that must know before it begins: what
  /// is wrong with the first one that it may not join, or nil. Answers once, at once or later.
  public func admit(
    to rooms: [[UInt8]], user: [UInt8], by identity: Identity?, _ reply: @escaping (ProtocolError?) -> Void
  ) {
    questions.admit(to: rooms, user: user, identity, reply)
  }

  /// The same for what looks at tokens and rules itself: rooms that these forbid are not asked about.
  public func decideJoins(
    of rooms: [[UInt8]], user: [UInt8], by identity: Identity?, _ reply: @escaping (ProtocolError?) -> Void
  ) {
    questions.decideJoins(of: rooms, user: user, identity, reply)
  }

  /// Whether somebody decides, in its own time, about operations: they are answered later than others then.
  public var asksAboutOperations: Bool { questions.isActive }

  /// Why a user whose name is believed may do nothing now; nil: it may.
  public func refusal(ofUser name: [UInt8]) -> String? {
    revocations.isRevoked(Identity(user: name)) ? Refusal.revoked : nil
  }

  /// Has a session join a room or a wildcard that its connection was opened for: as the operation `join` does, at no
  /// charge to its rates. It is answered with `joined` or `error`.
  ///
  /// - Parameter since: where it was before; nil: it does not ask for what it missed.
  public func join(_ id: SlabID, room name: [UInt8], since: Position?) { operations.join(id, name, since: since) }

  /// The room that a session joined first of those that it is in; nil: it is in none.
  public func firstRoom(of id: SlabID) -> [UInt8]? {
    context.sessions.contains(id) ? context.sessions[id.index].subscriptions.first?.room.name : nil
  }
}
