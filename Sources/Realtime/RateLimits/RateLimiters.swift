import ClientProtocol
import JSONCore

/// Holds clients to their rates: operations and bytes a second, publishes a second in a room, joins of new rooms, direct
/// messages to one user, connections of a user.
/// Confined to the loop that created its hub.
final class RateLimiters {
  private let context: HubContext
  private var recent = RecentRateLimiters()
  private var receivers = ReceiverRateLimiters()
  /// What all sessions together may still join of rooms that nobody is in; made with the first that counts.
  private var newRooms: NewRoomRateLimiter?

  init(_ context: HubContext) {
    self.context = context
  }

  /// Charges an operation of so many bytes to its session. Over a limit it is refused with `rate_limited`, and who goes on
  /// all the same is closed with 4429. Returns whether the operation may be done.
  func charge(_ id: SlabID, bytes: Int, _ text: Span<UInt8>, _ answerID: Range<Int>?) -> Bool {
    charge(id, bytes: bytes, answerID.map { [UInt8](copying: text.extracting($0)) })
  }

  /// Charges an operation of a session. Returns whether it may be performed; else it was refused.
  func charge(_ id: SlabID, bytes: Int, _ answerID: @autoclosure () -> [UInt8]?) -> Bool {
    guard let rateLimiter = limiter(of: id) else { return true }
    let now = context.steady()
    guard case .refused(let limit, let perSecond) = rateLimiter.charge(bytes: bytes, at: now) else { return true }
    context.counters.refusals.add(limit)
    if isPatienceAtEnd(with: id, rateLimiter, at: now) { return false }
    let unit = limit == .bytes ? "bytes" : "operations"
    context.refuse(
      id, .rateLimited, "more than \(perSecond) \(unit) a second: send more slowly", answerID())
    return false
  }

  /// Charges a ping of the client's (RFC 6455 section 5.5.2). Returns whether it shall be answered: of several pings the
  /// last one's answer is enough (section 5.5.3).
  func chargePing(_ id: SlabID, bytes: Int) -> Bool {
    guard context.sessions.contains(id), let rateLimiter = limiter(of: id) else { return true }
    let now = context.steady()
    guard case .refused(let limit, _) = rateLimiter.charge(bytes: bytes, at: now) else { return true }
    context.counters.refusals.add(limit)
    _ = isPatienceAtEnd(with: id, rateLimiter, at: now)
    return false
  }

  private func isPatienceAtEnd(with id: SlabID, _ rateLimiter: SessionRateLimiter, at now: UInt64) -> Bool {
    guard rateLimiter.exceedsPatience(at: now) else { return false }
    context.close(id, because: .rateLimited)
    return true
  }

  func limiter(of id: SlabID) -> SessionRateLimiter? {
    if let known = context.sessions[id.index].rateLimiter { return known }
    let isLocal = context.sessions[id.index].isLocal
    let operations = context.configuration.operationsPerSecond.value(isLocal: isLocal)
    let bytes = context.configuration.bytesPerSecond.value(isLocal: isLocal)
    guard operations > 0 || bytes > 0 || context.configuration.newRoomsPerSecond.value(isLocal: isLocal) > 0 else {
      return nil
    }
    let now = context.steady()
    let made =
      recent.take(of: owner(of: id), at: now)
      ?? SessionRateLimiter(
        operationsPerSecond: operations, bytesPerSecond: bytes, messageBytesMax: context.configuration.messageBytesMax,
        now: now)
    context.sessions[id.index].rateLimiter = made
    return made
  }

  /// Whose rates a session counts for when it has closed: its user's if a token names it, else its address's, because a
  /// name that nobody has proved is another one every time.
  private func owner(of id: SlabID) -> RecentRateLimiters.Owner {
    context.sessions[id.index].identity.map { .user($0.user) } ?? .init(address: context.sessions[id.index].address)
  }

  /// Keeps what a session that ends has left of its rates.
  func keepLimiter(of id: SlabID) {
    guard let rateLimiter = context.sessions[id.index].rateLimiter else { return }
    recent.keep(rateLimiter, of: owner(of: id), at: context.steady())
  }

  /// Holds a session that has just got a user to what the user's last connection has left. Until now its address counted.
  func inheritLimiter(_ id: SlabID) {
    guard let rateLimiter = context.sessions[id.index].rateLimiter else { return }
    let now = context.steady()
    guard let left = recent.take(of: owner(of: id), at: now) else { return }
    rateLimiter.limit(to: left, at: now)
  }

  /// Charges an operation to the rates of its user or address. When it is refused it was answered.
  func charge(_ request: RequestCaller, bytes: Int, _ answerID: [UInt8]?) -> Bool {
    guard let refusal = refusal(ofOperationBy: request, bytes: bytes) else { return true }
    context.refuse(.request(request), .rateLimited, refusal, answerID)
    return false
  }

  private func refusal(ofOperationBy request: RequestCaller, bytes: Int) -> String? {
    let verdict = withLimiter(of: request) { $0.charge(bytes: bytes, at: context.steady()) }
    guard case .refused(let limit, let perSecond) = verdict else { return nil }
    context.counters.refusals.add(limit)
    let unit = limit == .bytes ? "bytes" : "operations"
    return "more than \(perSecond) \(unit) a second: send more slowly"
  }

  /// Charges an operation that reads, and returns why it is refused, or nil. A request does not wait for its debt as a
  /// session's does: it is refused until that is paid.
  func refusal(ofReadBy request: RequestCaller) -> String? {
    if let refusal = refusal(ofOperationBy: request, bytes: 0) { return refusal }
    return refusal(ofDebtOf: request)
  }

  /// Why a request may read nothing large now; nil: it may.
  func refusal(ofDebtOf request: RequestCaller) -> String? {
    guard let delay = withLimiter(of: request, { $0.readDelay(at: context.steady()) }), delay > 0 else { return nil }
    context.counters.refusals.add(.bytes)
    return "more was read than the rate allows: ask again in \((delay + 999) / 1000) s (rate-bytes)"
  }

  /// Charges an answer that a request asked for.
  func chargeRead(of request: RequestCaller, bytes: Int) {
    _ = withLimiter(of: request) { $0.charge(answer: bytes, at: context.steady()) }
  }

  /// Charges a room that a poll would make on this node, and returns why it is refused, or nil.
  func refusal(ofNewRoomFor request: RequestCaller) -> String? { refusal(ofNewRoomFor: .request(request)) }

  /// Lends the limiter of a request's user, or of its address where names are not proved; nil: it has no limit. It is kept
  /// until what it has counted is over.
  private func withLimiter<Result>(of request: RequestCaller, _ body: (SessionRateLimiter) -> Result) -> Result? {
    let operations = context.configuration.operationsPerSecond.value(isLocal: request.isLocal)
    let bytesPerSecond = context.configuration.bytesPerSecond.value(isLocal: request.isLocal)
    let newRooms = context.configuration.newRoomsPerSecond.value(isLocal: request.isLocal)
    guard operations > 0 || bytesPerSecond > 0 || newRooms > 0 else { return nil }
    let now = context.steady()
    let owner: RecentRateLimiters.Owner =
      request.identity.map { .user($0.user) } ?? RecentRateLimiters.Owner(address: request.address)
    let rateLimiter =
      recent.take(of: owner, at: now)
      ?? SessionRateLimiter(
        operationsPerSecond: operations, bytesPerSecond: bytesPerSecond,
        messageBytesMax: context.configuration.messageBytesMax, now: now)
    defer { recent.keep(rateLimiter, of: owner, at: now) }
    return body(rateLimiter)
  }

  /// Charges a publish to its room, where this node has it. Returns whether it may go on; else it was refused with
  /// `rate_limited`.
  func chargePublish(in room: Room?, _ caller: Caller, _ answerID: [UInt8]?) -> Bool {
    guard let room else { return true }
    let perSecond = context.configuration.roomPublishesPerSecond.value(isLocal: context.isLocal(caller))
    guard perSecond > 0 else { return true }
    let now = context.steady()
    let rateLimiter = room.rateLimiter ?? PublishRateLimiter(perSecond: perSecond, now: now)
    room.rateLimiter = rateLimiter
    guard !rateLimiter.take(at: now) else { return true }
    context.counters.refusals.add(.roomPublishes)
    context.refuse(
      caller, .rateLimited, "the room takes \(perSecond) messages a second on this node: send it later", answerID)
    return false
  }

  /// Charges a room that this operation would make: a join of a room that nobody here is in, a message to one without a
  /// connection. Returns whether it may be made; else the operation was refused with `rate_limited`.
  func chargeNewRoom(_ caller: Caller, _ answerID: [UInt8]?) -> Bool {
    guard let refusal = refusal(ofNewRoomFor: caller) else { return true }
    context.refuse(caller, .rateLimited, refusal, answerID)
    return false
  }

  private func refusal(ofNewRoomFor caller: Caller) -> String? {
    let isLocal = context.isLocal(caller)
    let own = context.configuration.newRoomsPerSecond.value(isLocal: isLocal)
    let all = context.configuration.nodeNewRoomsPerSecond.value(isLocal: isLocal)
    if own > 0, !takeNewRoom(of: caller, perSecond: own) {
      context.counters.refusals.add(.newRooms)
      return "more than \(own) rooms a second that nobody is in: do it again in a second (new-room-rate)"
    }
    guard all > 0 else { return nil }
    let now = context.steady()
    let rateLimiter = newRooms ?? NewRoomRateLimiter(perSecond: all, burst: 0, now: now)
    newRooms = rateLimiter
    guard !rateLimiter.take(at: now) else { return nil }
    context.counters.refusals.add(.nodeNewRooms)
    return "this node takes \(all) rooms a second that nobody is in: do it again in a few seconds (node-new-room-rate)"
  }

  private func takeNewRoom(of caller: Caller, perSecond: UInt32) -> Bool {
    let take = { [context] (limiter: SessionRateLimiter) in
      let now = context.steady()
      let rooms =
        limiter.newRooms
        ?? NewRoomRateLimiter(perSecond: perSecond, burst: context.configuration.roomsPerConnectionMax, now: now)
      limiter.newRooms = rooms
      return rooms.take(at: now)
    }
    switch caller {
    case .session(let id): return limiter(of: id).map(take) ?? true
    case .request(let request): return withLimiter(of: request, take) ?? true
    case .backend: return true
    }
  }

  /// Whether the user may have one more connection on this node; else this one is closed with 4429.
  func admits(_ id: SlabID, as user: LocalUser) -> Bool {
    let max = context.configuration.connectionsPerUser.value(isLocal: context.sessions[id.index].isLocal)
    guard max > 0, user.sessions.count >= Int(max) else { return true }
    context.counters.refusals.add(.connectionsPerUser)
    context.close(id, because: .tooManyConnections)
    return false
  }

  /// Charges a direct message to its receiver. Returns whether it may be sent; if not, it was refused.
  func chargeDirect(_ caller: Caller, to receiver: [UInt8], _ answerID: [UInt8]?) -> Bool {
    let perSecond = context.configuration.directsPerSecond.value(isLocal: context.isLocal(caller))
    guard perSecond > 0, !receivers.take(for: receiver, perSecond: perSecond, at: context.steady()) else {
      return true
    }
    context.counters.refusals.add(.directs)
    context.refuse(
      caller, .rateLimited, "the user takes \(perSecond) direct messages a second on this node: send it later", answerID
    )
    return false
  }

  /// Closed connections whose rates are remembered.
  var rememberedCount: Int { recent.count }

  /// Forgets what no longer counts.
  func expire(at now: UInt64) { recent.expire(at: now) }

  /// Gives memory back after a crowd has left.
  func shrink() { receivers.shrink(at: context.steady()) }
}
