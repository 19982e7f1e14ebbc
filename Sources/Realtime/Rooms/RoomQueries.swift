import ClientProtocol
import JSONCore

/// What clients ask about rooms, and the states that sessions set in them.
/// Confined to the loop that created its hub.
final class RoomQueries {
  private let context: HubContext
  private let access: RoomAccess
  private let backPressure: BackPressure
  private let limiters: RateLimiters
  private let reads: SessionReads
  private let announcements: RoomAnnouncements
  private let fanOut: FanOut

  init(
    _ context: HubContext, access: RoomAccess, backPressure: BackPressure, limiters: RateLimiters, reads: SessionReads,
    announcements: RoomAnnouncements, fanOut: FanOut
  ) {
    self.context = context
    self.access = access
    self.backPressure = backPressure
    self.limiters = limiters
    self.reads = reads
    self.announcements = announcements
    self.fanOut = fanOut
  }

  func presence(
    _ caller: Caller, roomName: Span<UInt8>, _ operation: ClientOperation, _ text: Span<UInt8>, answerID: [UInt8]?
  ) {
    guard access.mayRead(caller, roomName, answerID), access.ruleLetsIn(caller, roomName, answerID),
      mayReadOn(caller, answerID)
    else { return }
    let room = [UInt8](copying: roomName)
    let limit = min(operation.limit ?? Limits.presenceLimitDefault, Limits.presenceLimitMax)
    let after = operation.after?.decoded(in: text)
    backPressure.operationBegins(caller, bytes: room.count)
    let key = ReadKey.members(room: room, after: after, limit: limit)
    reads.read(key, for: caller, answerID: answerID) { [weak self] answer in
      self?.backPressure.operationEnds(caller, bytes: room.count)
      guard let self else { return }
      guard case .success(.members(let list)) = answer else {
        return context.refuse(caller, failure: answer.fault, Refusal.cannotRead, answerID)
      }
      let query = PresenceQuery(room: room, after: after, limit: limit, answerID: answerID)
      // The page contains what this tick has gathered to announce, so the answer comes after that. Messages that wait for
      // the interval of their room's rule go on waiting.
      if let known = context.rooms.find(room.span), !known.isPaced, known.batch?.hasNotices == true {
        fanOut.deliverBatch(of: known)
      }
      answerPresence(caller, query, list)
    }
  }

  private struct PresenceQuery {
    let room: [UInt8]
    let after: [UInt8]?
    let limit: Int
    let answerID: [UInt8]?
  }

  private func answerPresence(_ caller: Caller, _ query: PresenceQuery, _ list: MemberList) {
    var page = PresencePage(list)
    let room = context.rooms.find(query.room.span)
    if let room, let presence = room.presence {
      page.agree(with: presence, after: query.after, limit: query.limit, now: context.clock())
      // A notice of it was lost, or is still on its way: everybody receives what this client does.
      for user in page.users where !presence.hasAnnounced(user.state, of: user.user) {
        announcements.announce(state: user.state, of: user.user, in: room)
      }
    }
    let announced = room?.presence?.announced?.count ?? 0
    answer(
      caller, .presence(room: query.room, page), id: query.answerID,
      costBytes: list.costBytes + announced / Limits.announcedPerCostByte)
  }

  func history(_ caller: Caller, roomName: Span<UInt8>, _ operation: ClientOperation, answerID: [UInt8]?) {
    guard access.mayRead(caller, roomName, answerID), access.ruleLetsIn(caller, roomName, answerID),
      mayReadOn(caller, answerID)
    else { return }
    let room = [UInt8](copying: roomName)
    let limit = operation.limit ?? Limits.historyLimitDefault
    let since = operation.since
    let query: HistoryQuery = since.map { .after($0.offset, limit: limit) } ?? .newest(limit: limit)
    backPressure.operationBegins(caller, bytes: room.count)
    reads.read(RoomQueries.historyKey(room, query), for: caller, answerID: answerID) { [weak self] answer in
      guard case .success(.page(let page)) = answer else {
        self?.answerHistory(caller, room, .failure(answer.fault), answerID)
        return
      }
      // Offsets of another epoch that this one does not continue say nothing: the whole of it is what the client has not
      // seen.
      if let since, since.epoch != page.position.epoch, since.offset > 0,
        !since.isContinued(by: page.position, page.lineage)
      {
        let whole = RoomQueries.historyKey(room, .after(0, limit: limit))
        self?.reads.read(whole, for: caller, answerID: answerID) { [weak self] answer in
          guard case .success(.page(let page)) = answer else {
            self?.answerHistory(caller, room, .failure(answer.fault), answerID)
            return
          }
          self?.answerHistory(caller, room, .success(page), answerID)
        }
      } else {
        self?.answerHistory(caller, room, .success(page), answerID)
      }
    }
  }

  private static func historyKey(_ room: [UInt8], _ query: HistoryQuery) -> ReadKey {
    .history(room: room, query, bytesMax: Limits.historyAnswerBytesMax)
  }

  private func answerHistory(
    _ caller: Caller, _ room: [UInt8], _ result: Result<HistoryPage, BrokerError>, _ answerID: [UInt8]?
  ) {
    backPressure.operationEnds(caller, bytes: room.count)
    guard case .success(let page) = result else {
      return context.refuse(caller, failure: result.fault, Refusal.cannotRead, answerID)
    }
    answer(caller, .history(room: room, HistoryText(page, of: room)), id: answerID)
  }

  /// Whether a request has paid for what was read before; a session's reads wait for that by themselves.
  private func mayReadOn(_ caller: Caller, _ answerID: [UInt8]?) -> Bool {
    guard case .request(let request) = caller, let refusal = limiters.refusal(ofDebtOf: request) else { return true }
    context.refuse(caller, .rateLimited, refusal, answerID)
    return false
  }

  /// Answers a read and charges it.
  private func answer(_ caller: Caller, _ event: ServerEvent, id answerID: [UInt8]?, costBytes: Int = 0) {
    switch caller {
    case .session(let id): reads.answerRead(id, event, id: answerID, costBytes: costBytes)
    case .request(let request):
      let bytes = request.answer(event, id: answerID)
      reads.noteAnswered(bytes: bytes)
      limiters.chargeRead(of: request, bytes: max(bytes, costBytes))
    case .backend: break
    }
  }

  /// Sets a user's state in a room: one JSON value, `null` to remove it.
  func setState(_ id: SlabID, roomName: Span<UInt8>, _ state: Span<UInt8>, answerID: [UInt8]?) {
    guard let room = context.rooms.find(roomName), let index = context.joinedIndex(id, room),
      let user = context.sessions[id.index].user,
      let member = context.member(id.index)
    else { return access.refuseUnjoined(id, roomName, answerID) }
    guard room.rule.hasPresence else { return context.refuse(id, .forbidden, Refusal.roomWithoutPresence, answerID) }
    guard context.sessions[id.index].subscriptions[index].mayPublish, room.rule.mayPublish else {
      return context.refuse(
        id, .forbidden, room.rule.mayPublish ? Refusal.publishForbidden : Refusal.readOnlyRoom, answerID)
    }
    guard limiters.chargePublish(in: room, .session(id), answerID) else { return }
    let text = JSONString.equals(state, "null") ? nil : [UInt8](copying: state)
    let size = state.count + room.name.count
    backPressure.operationBegins(id, bytes: size)
    reads.seal(room: room.name)
    context.broker.setState(room: room.name, member, text, isAssertion: false) { [weak self] result in
      guard let self else { return }
      backPressure.operationEnds(id, bytes: size)
      if case .failure(let error) = result {
        return context.refuse(
          id, failure: error, "Redis is out of reach; nothing was kept: say it again in a moment", answerID)
      }
      // A session that has left meanwhile has no state, even if it is about to come back.
      if context.sessions.contains(id), context.joinedIndex(id, room) != nil {
        announcements.presence(of: room).keep(text, of: user.name)
      }
      if let answerID { context.answer(id, .ack(roomJSON: room.nameJSON, nil), id: answerID) }
    }
  }
}
