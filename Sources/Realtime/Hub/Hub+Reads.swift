import ClientProtocol
import JSONCore

// What sessions ask to read. A large read begins when the session's connection has room for its answer, and when what it
// has read before is paid for; whatever it brings goes out as fast as the connection takes it.

extension Hub {
  /// Has the scheduler read from the broker.
  func connectReads() {
    reads.perform = { [weak self] key, reply in self?.perform(key, reply) ?? reply(.failure(.unavailable)) }
    reads.mayStart = { [weak self] owner, request in self?.mayStart(owner, request) ?? false }
  }

  private func perform(_ key: ReadKey, _ reply: @escaping ReadScheduler.Reply) {
    switch key {
    case .history(let room, let query, let bytesMax):
      broker.history(room: room, query, bytesMax: bytesMax) { reply($0.map { .page($0) }) }
    case .members(let room, let after, let limit):
      // What users say meanwhile is newer than what the pages have of it.
      let presence = rooms.find(room.span)?.presence
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
  private func readMembers(
    _ room: [UInt8], from cursor: MemberCursor?, into list: MemberList, _ reply: @escaping BrokerReply<MemberList>
  ) {
    broker.members(room: room, after: cursor, limit: list.pageSize) { [weak self] result in
      guard case .success(let page) = result else { return reply(.failure(result.fault)) }
      guard let self, let next = list.add(page) else { return reply(.success(list)) }
      readMembers(room, from: next, into: list, reply)
    }
  }

  private func mayStart(_ owner: ReadOwner, _ request: ReadScheduler.Request) -> Bool {
    guard case .session(let id) = owner, sessions.contains(id), let transport = transport(of: id.index) else {
      return true
    }
    let target = sessions[id.index].target
    guard transport.hasRoom(target) else {
      transport.awaitRoom(target)
      return false
    }
    guard request.isDelayedByDebt, let allowance = sessions[id.index].allowance else { return true }
    let delay = allowance.readDelay(at: steady())
    guard delay > 0 else { return true }
    after(Int(clamping: delay)) { [weak self] in self?.reads.unpark(owner) }
    return false
  }

  /// Reads on a session's request, in its turn. When the session has gone first, the answer is `unavailable`.
  func read(_ key: ReadKey, for id: SlabID, _ finish: @escaping BrokerReply<ReadAnswer>) {
    let request = ReadScheduler.Request(
      isDelayedByDebt: true, key: { key }, finish: { finish($0 ?? .failure(.unavailable)) })
    reads.add(request, for: .session(id))
  }

  /// Reads a room's history for the admin endpoint: as much as one answer holds.
  public func readHistory(room: [UInt8], _ query: HistoryQuery, _ reply: @escaping BrokerReply<HistoryPage>) {
    let key = ReadKey.history(room: room, query, bytesMax: Limits.historyAnswerBytesMax)
    readForAdmin(key) { result in
      reply(result.flatMap { if case .page(let page) = $0 { .success(page) } else { .failure(.unavailable) } })
    }
  }

  /// Reads a room's members for the admin endpoint: those of at most `limit` users whose names come after a name.
  public func readMembers(
    room: [UInt8], after: [UInt8]?, limit: Int, _ reply: @escaping BrokerReply<MemberList>
  ) {
    readForAdmin(.members(room: room, after: after, limit: limit)) { result in
      reply(result.flatMap { if case .members(let list) = $0 { .success(list) } else { .failure(.unavailable) } })
    }
  }

  private func readForAdmin(_ key: ReadKey, _ reply: @escaping ReadScheduler.Reply) {
    reads.add(ReadScheduler.Request(key: { key }, finish: { reply($0 ?? .failure(.unavailable)) }), for: .admin)
  }

  /// Answers a read and charges it to the session.
  ///
  /// - Parameter costBytes: what the read cost, when that is more than the answer's bytes: a short answer may take a long look.
  func answerRead(_ id: SlabID, _ event: ServerEvent, id answerID: [UInt8]?, costBytes: Int = 0) {
    let bytes = answer(id, event, id: answerID)
    chargeRead(id, bytes: max(bytes, costBytes))
  }

  func chargeRead(_ id: SlabID, bytes: Int) {
    guard bytes > 0, sessions.contains(id) else { return }
    sessions[id.index].allowance?.charge(answer: bytes, at: steady())
  }

  /// Tells that a connection's queue has room again, as `Delivery.awaitRoom` asked. What waited goes on at the end of the tick.
  public func hasRoom(_ id: SlabID) { if sessions.contains(id) { roomy.append(id) } }

  /// Goes on with the reads of those that have room again.
  func continueReads() {
    var ids: [SlabID] = []
    swap(&ids, &roomy)
    for id in ids where sessions.contains(id) {
      let subscriptions = sessions[id.index].subscriptions
      catchUpRound &+= 1
      let first = subscriptions.isEmpty ? 0 : catchUpRound % subscriptions.count
      for index in subscriptions.indices {
        let subscription = subscriptions[(first + index) % subscriptions.count]
        if subscription.isCatchingUp, let member = subscription.room.catchUps[session: id] { advance(member) }
      }
      reads.unpark(.session(id))
    }
  }

  /// Reads no more from a session that does not take what it makes for itself.
  func pauseUntilRoom(_ id: SlabID) {
    let target = sessions[id.index].target
    guard let transport = transport(of: id.index), !transport.hasRoom(target) else { return }
    transport.pauseUntilRoom(target)
  }

  // MARK: Recent messages

  /// Has a room keep its messages from here on, for clients that resume or catch up in it.
  func keepRecall(of room: Room) {
    guard let stream = room.stream else { return }
    let expiresAt = steady() + Limits.recallMilliseconds
    guard room.recall == nil else {
      room.recall?.expiresAt = expiresAt
      return
    }
    room.recall = Recall(after: stream.position.offset, expiresAt: expiresAt)
    recallingRooms.append(room)
  }

  /// Changes what a room keeps, within the bytes of the node: rooms that have kept theirs longest drop them.
  func changeRecall(of room: Room, _ change: (inout Recall) -> Void) {
    guard room.recall != nil else { return }
    let before = room.recall?.byteCount ?? 0
    change(&room.recall!)  // Safe because it was just seen.
    recallBytes += (room.recall?.byteCount ?? 0) - before
    while recallBytes > Limits.recallNodeBytesMax, let oldest = recallingRooms.first {
      dropRecall(of: oldest)
    }
  }

  func dropRecall(of room: Room) {
    guard let recall = room.recall else { return }
    recallBytes -= recall.byteCount
    room.recall = nil
    recallingRooms.removeAll { $0 === room }
  }

  /// Drops what nobody asks for any more. Called by `expire`.
  func expireRecalls(at now: UInt64) {
    recallingRooms.removeAll { room in
      guard let recall = room.recall else { return true }
      guard recall.expiresAt <= now, room.catchUps.isEmpty else { return false }
      recallBytes -= recall.byteCount
      room.recall = nil
      return true
    }
  }
}
