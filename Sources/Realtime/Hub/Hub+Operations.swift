import ClientProtocol
import JSONCore

// What a client asks, in the form it arrives in: a JSON text or a binary envelope.

extension Hub {
  /// Takes one text from a client. Whatever is wrong with it is answered; nobody else notices.
  /// `text` must be valid UTF-8 (RFC 6455 section 8.1 has the frames checked before).
  public func receive(text: Span<UInt8>, from id: SlabID) {
    guard sessions.contains(id) else { return }
    let operation: ClientOperation
    do {
      operation = try ClientOperation(parsing: text)
    } catch {
      // What cannot be read counts too: it costs as much.
      guard charge(id, bytes: text.count, text, error.id) else { return }
      return refuse(id, error.code, error.message, error.id.map { [UInt8](copying: text.extracting($0)) })
    }
    guard isAllowed(operation.kind, .text, id, text, operation.id) else { return }
    perform(operation, text, from: id)
  }

  private func perform(_ operation: ClientOperation, _ text: Span<UInt8>, from id: SlabID) {
    if mustWait(operation, text, id) {
      return postpone(.text, text, of: id, answerID: copyID(operation, text))
    }
    switch operation.kind {
    case .message: publish(operation, text, from: .session(id))
    case .join:
      withRoom(operation, text) { name in
        let answerID = copyID(operation, text)
        if RoomName.isWildcard(name) {
          join(id, wildcardName: name, asksToResume: operation.since != nil, answerID: answerID)
        } else {
          join(id, roomName: name, since: operation.since, answerID: answerID)
        }
      }
    case .leave: withRoom(operation, text) { answerLeave(id, roomName: $0, answerID: copyID(operation, text)) }
    case .direct: direct(operation, text, from: .session(id))
    case .broadcast: broadcast(operation, text, from: .session(id))
    case .presence:
      withRoom(operation, text) { presence(id, roomName: $0, operation, text, answerID: copyID(operation, text)) }
    case .state:
      guard let state = operation.state else { return }
      withRoom(operation, text) {
        setState(id, roomName: $0, text.extracting(state), answerID: copyID(operation, text))
      }
    case .history: withRoom(operation, text) { history(id, roomName: $0, operation, answerID: copyID(operation, text)) }
    case .request: request(operation, text, from: id)
    case .ping: pong(id, answerID: copyID(operation, text))
    case .auth: authenticate(id, token: operation.token?.decoded(in: text) ?? [], answerID: copyID(operation, text))
    }
  }

  /// Takes one binary message from a client.
  public func receive(binary bytes: Span<UInt8>, from id: SlabID) {
    guard sessions.contains(id) else { return }
    let envelope: BinaryEnvelope
    do {
      envelope = try BinaryEnvelope(parsing: bytes)
    } catch {
      guard charge(id, bytes: bytes.count, bytes, nil) else { return }
      return refuse(id, error.code, error.message, nil)
    }
    guard isAllowed(.message, .binary, id, bytes, nil) else { return }
    publish(envelope, bytes, from: id)
  }

  // MARK: Operations on a room that is still being joined

  /// Whether the operation is about a room that its session has asked to join and is not in yet: a client need not wait
  /// for `joined` before it speaks, and its operations keep their order.
  private func mustWait(_ operation: ClientOperation, _ text: Span<UInt8>, _ id: SlabID) -> Bool {
    switch operation.kind {
    case .message, .join, .leave, .presence, .state: break
    case .auth, .direct, .broadcast, .history, .request, .ping: return false
    }
    var isJoining = false
    withRoom(operation, text) { name in
      if RoomName.isWildcard(name) { return isJoining = isJoiningWildcard(name, id.index) }
      guard let room = rooms.find(name), let index = sessions[id.index].subscriptionIndex(room) else { return }
      isJoining = !sessions[id.index].subscriptions[index].isJoined
    }
    return isJoining
  }

  func postpone(_ form: Postponed.Form, _ bytes: Span<UInt8>, of id: SlabID, answerID: [UInt8]?) {
    guard postponed[id, default: []].count < Limits.postponedOperationsMax else {
      return refuse(id, .unavailable, "too many operations wait for a join: wait for its answer", answerID)
    }
    postponed[id, default: []].append(Postponed(form: form, bytes: [UInt8](copying: bytes)))
    operationBegins(id, bytes: bytes.count)
  }

  /// Does what has waited for a join of these sessions. What waits for another room goes on waiting, in its order.
  func performPostponed(of ids: [SlabID]) {
    for id in ids {
      guard let operations = postponed.removeValue(forKey: id) else { continue }
      for operation in operations {
        operationEnds(id, bytes: operation.bytes.count)
        guard sessions.contains(id) else { continue }
        switch operation.form {
        case .text:
          // It was parsed before, when it came.
          guard let parsed = try? ClientOperation(parsing: operation.bytes.span) else { continue }
          perform(parsed, operation.bytes.span, from: id)
        case .binary:
          guard let envelope = try? BinaryEnvelope(parsing: operation.bytes.span) else { continue }
          publish(envelope, operation.bytes.span, from: id)
        }
      }
    }
  }

  /// States why nothing can be acknowledged, and what to do.
  ///
  /// - Parameter hasDedupe: whether the server would recognise the same operation when it comes again: a message in a room
  ///   that has an id.
  static func outOfReach(_ error: BrokerError, hasDedupe: Bool) -> String {
    switch error {
    case .refused: damaged
    case .unavailable, .unsupported:
      "Redis is out of reach; nothing was published: send it again in a moment"
        + (hasDedupe ? ", with the same id" : "")
    case .uncertain where hasDedupe:
      "Redis went out of reach before it answered; it may have been published: what is sent again with the same id is "
        + "published once"
    case .uncertain:
      "Redis went out of reach before it answered; it may have been published, and sent again it may arrive twice: only "
        + "a message in a room that has an id is published once"
    }
  }

  /// Refuses what the broker did not do: with `unavailable` when it may do it later, with `internal` when it will not.
  ///
  /// - Parameter whenAway: what to say when the broker is out of reach.
  func refuse(_ id: SlabID, failure error: BrokerError, _ whenAway: @autoclosure () -> String, _ answerID: [UInt8]?) {
    refuse(.session(id), failure: error, whenAway(), answerID)
  }

  /// Puts what a broker refused that is there in the place of its being out of reach, in a text that begins with that.
  static func saying(_ refusal: BrokerRefusal?, in text: String) -> String {
    let beginnings = ["Redis is out of reach", "Redis went out of reach before it answered"]
    guard let refusal, let beginning = beginnings.first(where: { text.hasPrefix($0) }) else { return text }
    return refusal.what + text.dropFirst(beginning.count)
  }

  /// What is said when trying again changes nothing.
  static let damaged =
    "what the server holds for this is damaged; nothing was done: tell its operator that the node's log names the key"

  private func isAllowed(
    _ kind: ClientOperation.Kind, _ form: Postponed.Form, _ id: SlabID, _ text: Span<UInt8>, _ answerID: Range<Int>?
  ) -> Bool {
    guard charge(id, bytes: text.count, text, answerID) else { return false }
    if sessions[id.index].user == nil, kind != .auth {
      let quoted = answerID.map { [UInt8](copying: text.extracting($0)) }
      guard !authenticating.isPending(id) else {
        postponeUntilJudged(form, text, of: id, answerID: quoted)
        return false
      }
      refuse(id, .unauthenticated, "authenticate first: {\"type\":\"auth\",\"token\":…}", quoted)
      return false
    }
    return true
  }

  func copyID(_ operation: ClientOperation, _ text: Span<UInt8>) -> [UInt8]? {
    operation.id.map { [UInt8](copying: text.extracting($0)) }
  }

  /// Hands the room's name over without a copy, unless it was spelled with escapes.
  func withRoom(_ operation: ClientOperation, _ text: Span<UInt8>, _ body: (Span<UInt8>) -> Void) {
    guard let room = operation.room else { return }
    guard room.hasEscapes else { return body(text.extracting(room.contents)) }
    if let decoded = room.decoded(in: text) { body(decoded.span) }
  }

  /// The index of the subscription to a room that the session is in, or nil while it is joining or has not asked to.
  func joinedIndex(_ id: SlabID, _ room: Room?) -> Int? {
    guard let room, let index = sessions[id.index].subscriptionIndex(room) else { return nil }
    return sessions[id.index].subscriptions[index].isJoined ? index : nil
  }

  // MARK: Small answers

  private func answerLeave(_ id: SlabID, roomName: Span<UInt8>, answerID: [UInt8]?) {
    if RoomName.isWildcard(roomName) { leave(id, wildcardName: roomName) } else { leave(id, roomName: roomName) }
    answerLeft(id, roomName, answerID)
  }

  func answerLeft(_ id: SlabID, _ roomName: Span<UInt8>, _ answerID: [UInt8]?) {
    var roomJSON: [UInt8] = []
    JSONString.append(roomName, to: &roomJSON)
    answer(id, .left(roomJSON: roomJSON), id: answerID)
  }

  private func pong(_ id: SlabID, answerID: [UInt8]?) {
    answer(id, .pong(at: clock()), id: answerID)
  }
}
