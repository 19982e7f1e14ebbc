import ClientProtocol
import JSONCore

/// Reads what may be large, a few reads at a time.
///
/// A read begins when the session's connection has room for its answer, and when what the session has read before is paid
/// for. What it brings goes out as fast as the connection takes it.
/// Confined to the loop that created its hub.
final class SessionReads {
  private let context: HubContext
  private let scheduler = ReadScheduler(
    flightsMax: Limits.readsMax, answeredAtOnceMax: Limits.readsAtOnceMax,
    answeredBytesMax: Limits.readBytesAtOnceMax)
  /// Sessions whose connections have room again for what can wait.
  private var roomy: [SlabID] = []

  init(_ context: HubContext) {
    self.context = context
    scheduler.perform = { [weak self] key, reply in self?.perform(key, reply) ?? reply(.failure(.unavailable)) }
    scheduler.mayStart = { [weak self] owner, request in self?.mayStart(owner, request) ?? false }
  }

  func perform(_ key: ReadKey, _ reply: @escaping ReadScheduler.Reply) {
    switch key {
    case .history(let room, let query, let bytesMax):
      context.broker.history(room: room, query, bytesMax: bytesMax) { reply($0.map { .page($0) }) }
    case .members(let room, let after, let limit):
      // States that are set meanwhile are newer than those of the pages.
      let presence = context.rooms.find(room.span)?.presence
      presence?.beginMemberRead()
      readMembers(
        room, from: after.map { MemberCursor(user: $0) }, into: MemberList(usersMax: limit, isFromStart: after == nil)
      ) {
        reply($0.map { .members($0) })
        presence?.endMemberRead()
      }
    }
  }

  /// Reads page after page until the list is full.
  func readMembers(
    _ room: [UInt8], from cursor: MemberCursor?, into list: MemberList, _ reply: @escaping BrokerReply<MemberList>
  ) {
    context.broker.members(room: room, after: cursor, limit: list.pageSize) { [weak self] result in
      guard case .success(let page) = result else { return reply(.failure(result.fault)) }
      guard let self, let next = list.add(page) else { return reply(.success(list)) }
      readMembers(room, from: next, into: list, reply)
    }
  }

  private func mayStart(_ owner: ReadOwner, _ request: ReadScheduler.Request) -> Bool {
    guard case .session(let id) = owner, context.sessions.contains(id), let transport = context.transport(of: id.index)
    else {
      return true
    }
    let connection = context.sessions[id.index].connection
    guard request.isForRequest || transport.hasRoom(connection) else {
      transport.awaitRoom(connection)
      return false
    }
    guard request.isDelayedByDebt, let rateLimiter = context.sessions[id.index].rateLimiter else { return true }
    let delay = rateLimiter.readDelay(at: context.steady())
    guard delay > 0 else { return true }
    context.after(Int(clamping: delay)) { [weak self] in self?.scheduler.unpark(owner) }
    return false
  }

  /// Reads on a caller's request, in its turn. When a session has gone first, the answer is `unavailable`.
  ///
  /// - Parameter answerID: of the operation; a tag says that the answer does not go down the connection.
  func read(
    _ key: ReadKey, for caller: Caller, answerID: [UInt8]? = nil, _ finish: @escaping BrokerReply<ReadAnswer>
  ) {
    let request = ReadScheduler.Request(
      isDelayedByDebt: true, isForRequest: RequestAnswers.origin(answerID) == .request, key: { key },
      finish: { finish($0 ?? .failure(.unavailable)) })
    switch caller {
    case .session(let id): scheduler.add(request, for: .session(id))
    case .request(let caller): scheduler.add(request, for: .request(ObjectIdentifier(caller)))
    case .backend: scheduler.add(request, for: .admin)
    }
  }

  /// Reads a room's history for the admin endpoint: as much as one answer holds.
  func readHistory(room: [UInt8], _ query: HistoryQuery, _ reply: @escaping BrokerReply<HistoryPage>) {
    let key = ReadKey.history(room: room, query, bytesMax: Limits.historyAnswerBytesMax)
    readForAdmin(key) { result in
      reply(result.flatMap { if case .page(let page) = $0 { .success(page) } else { .failure(.unavailable) } })
    }
  }

  /// Reads a room's members for the admin endpoint: those of at most `limit` users whose names come after a name.
  func readMembers(
    room: [UInt8], after: [UInt8]?, limit: Int, _ reply: @escaping BrokerReply<MemberList>
  ) {
    readForAdmin(.members(room: room, after: after, limit: limit)) { result in
      reply(result.flatMap { if case .members(let list) = $0 { .success(list) } else { .failure(.unavailable) } })
    }
  }

  private func readForAdmin(_ key: ReadKey, _ reply: @escaping ReadScheduler.Reply) {
    scheduler.add(ReadScheduler.Request(key: { key }, finish: { reply($0 ?? .failure(.unavailable)) }), for: .admin)
  }

  /// Answers a read and charges it to the session.
  ///
  /// - Parameter costBytes: what the read cost, when that is more than the answer's bytes: a short answer may take a long look.
  func answerRead(_ id: SlabID, _ event: ServerEvent, id answerID: [UInt8]?, costBytes: Int = 0) {
    let bytes = context.answer(id, event, id: answerID)
    chargeRead(id, bytes: max(bytes, costBytes))
  }

  func chargeRead(_ id: SlabID, bytes: Int) {
    noteAnswered(bytes: bytes)
    guard bytes > 0, context.sessions.contains(id) else { return }
    context.sessions[id.index].rateLimiter?.charge(answer: bytes, at: context.steady())
  }

  /// Notes how much a read has brought: the answers of a tick are bounded.
  func noteAnswered(bytes: Int) { scheduler.noteAnswered(bytes: bytes) }

  /// Notes that a connection's queue has room again, as `SessionTransport.awaitRoom` asked. What waited continues at the tick's end.
  func hasRoom(_ id: SlabID) { if context.sessions.contains(id) { roomy.append(id) } }

  /// Reads no more from a session that does not take what it makes for itself.
  func pauseUntilRoom(_ id: SlabID) {
    let connection = context.sessions[id.index].connection
    guard let transport = context.transport(of: id.index), !transport.hasRoom(connection) else { return }
    transport.pauseUntilRoom(connection)
  }

  /// Asks for a read. It may begin, and even end, before this returns.
  func add(_ request: ReadScheduler.Request, for owner: ReadOwner) { scheduler.add(request, for: owner) }

  /// Drops what a session that ends still waits for.
  func forget(_ id: SlabID) { scheduler.forget(.session(id)) }

  /// Continues with a session's reads after its connection has room again.
  func unpark(_ id: SlabID) { scheduler.unpark(.session(id)) }

  /// Notes that something changes in a room: a read that began before does not answer a later request.
  func seal(room: [UInt8]) { scheduler.seal(room: room) }

  /// Continues with what waited for the next tick.
  func tickBegins() { scheduler.tickBegins() }

  /// Whether anything waits for the end of the tick.
  var hasWork: Bool { !roomy.isEmpty || scheduler.waitsForTick }

  /// Takes the sessions whose connections have room again.
  func takeRoomy() -> [SlabID] {
    guard !roomy.isEmpty else { return [] }
    var ids: [SlabID] = []
    swap(&ids, &roomy)
    return ids
  }
}
