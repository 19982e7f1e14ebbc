import ClientProtocol
import JSONCore

// Questions about rooms, and what arrives for users rather than rooms.

extension Hub {
  func presence(
    _ id: SlabID, roomName: Span<UInt8>, _ operation: ClientOperation, _ text: Span<UInt8>, answerID: [UInt8]?
  ) {
    guard mayRead(id, roomName, answerID), ruleLetsIn(id, roomName, answerID) else { return }
    let room = [UInt8](copying: roomName)
    let limit = min(operation.limit ?? Limits.presenceLimitDefault, Limits.presenceLimitMax)
    let after = operation.after?.decoded(in: text)
    operationBegins(id, bytes: room.count)
    read(.members(room: room, after: after, limit: limit), for: id) { [weak self] answer in
      self?.operationEnds(id, bytes: room.count)
      guard let self else { return }
      guard case .success(.members(let list)) = answer else {
        return refuse(id, failure: answer.fault, Hub.cannotRead, answerID)
      }
      var page = PresencePage(list)
      if let room = rooms.find(room.span), let presence = room.presence {
        page.agree(with: presence, after: after, limit: limit, now: clock())
        // A notice of it was lost, or is still on its way: everybody receives what this client does.
        for user in page.users where !presence.hasAnnounced(user.state, of: user.user) {
          announce(state: user.state, of: user.user, in: room)
        }
      }
      let announced = rooms.find(room.span)?.presence?.announced?.count ?? 0
      answerRead(
        id, .presence(room: room, page), id: answerID,
        costBytes: list.costBytes + announced / Limits.announcedPerCostByte)
    }
  }

  func history(_ id: SlabID, roomName: Span<UInt8>, _ operation: ClientOperation, answerID: [UInt8]?) {
    guard mayRead(id, roomName, answerID), ruleLetsIn(id, roomName, answerID) else { return }
    let room = [UInt8](copying: roomName)
    let limit = operation.limit ?? Limits.historyLimitDefault
    let since = operation.since
    let query: HistoryQuery = since.map { .after($0.offset, limit: limit) } ?? .newest(limit: limit)
    operationBegins(id, bytes: room.count)
    read(Hub.historyKey(room, query), for: id) { [weak self] answer in
      guard case .success(.page(let page)) = answer else {
        self?.answerHistory(id, room, .failure(answer.fault), answerID)
        return
      }
      // Offsets of another epoch that this one does not continue say nothing: the whole of it is what the client has not
      // seen.
      if let since, since.epoch != page.position.epoch, since.offset > 0,
        !since.isContinued(by: page.position, page.past)
      {
        self?.read(Hub.historyKey(room, .after(0, limit: limit)), for: id) { [weak self] answer in
          guard case .success(.page(let page)) = answer else {
            self?.answerHistory(id, room, .failure(answer.fault), answerID)
            return
          }
          self?.answerHistory(id, room, .success(page), answerID)
        }
      } else {
        self?.answerHistory(id, room, .success(page), answerID)
      }
    }
  }

  private static func historyKey(_ room: [UInt8], _ query: HistoryQuery) -> ReadKey {
    .history(room: room, query, bytesMax: Limits.historyAnswerBytesMax)
  }

  private func answerHistory(
    _ id: SlabID, _ room: [UInt8], _ result: Result<HistoryPage, BrokerError>, _ answerID: [UInt8]?
  ) {
    operationEnds(id, bytes: room.count)
    guard case .success(let page) = result else { return refuse(id, failure: result.fault, Hub.cannotRead, answerID) }
    answerRead(id, .history(room: room, HistoryText(page, of: room)), id: answerID)
  }

  private static let cannotRead = "Redis is out of reach: ask again in a moment"

  // MARK: For users rather than rooms

  public func heard(user name: Span<UInt8>, envelope bytes: Span<UInt8>) -> Int {
    guard let user = users.find(name), let envelope = Envelope(bytes) else { return 0 }
    if envelope.kind == .disconnect {
      obeyDisconnect(bytes.extracting(envelope.body))
      return user.sessions.count
    }
    var text: [UInt8] = []
    MessageEncoder.personal(envelope, in: bytes, to: &text)
    var receivers: [UInt32] = []
    user.sessions.forEach { receivers.append($0) }
    return offer(text.span, envelope.eventKind, envelope.allotment(in: bytes), toEach: receivers)
  }

  public func heardByEveryone(envelope bytes: Span<UInt8>) {
    guard let envelope = Envelope(bytes) else { return }
    if envelope.kind == .disconnect { return obeyDisconnect(bytes.extracting(envelope.body)) }
    if envelope.kind == .revoke { return obeyRevocation(bytes.extracting(envelope.body)) }
    let origin = localSession(named: bytes.extracting(envelope.origin))
    var text: [UInt8] = []
    MessageEncoder.personal(envelope, in: bytes, to: &text)
    // A session that has not authenticated yet gets nothing from others.
    let receivers = (0..<sessions.end).filter {
      sessions.isOccupied($0) && $0 != origin?.index && sessions[$0].user != nil
    }
    offer(text.span, envelope.eventKind, envelope.allotment(in: bytes), toEach: receivers)
  }

  /// Closes what an administrator named: a user's connections, or one connection, as far as they are here.
  private func obeyDisconnect(_ body: Span<UInt8>) {
    guard let order = try? JSONValue.parse(body) else { return }
    if let name = order["user"]?.asBytes, let user = users.find(name.span) {
      user.sessions.forEach { close(sessions.id(at: $0), because: .closedByAdmin) }
    }
    if let name = order["connection"]?.asBytes, let id = localSession(named: name.span) {
      close(id, because: .closedByAdmin)
    }
  }
}
