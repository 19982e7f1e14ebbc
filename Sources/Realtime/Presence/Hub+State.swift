import ClientProtocol
import JSONCore

// What users say about themselves in a room, and how long they stay in it after they have left.

extension Hub {
  /// Takes what a user says about itself in a room: one JSON value, `null` to take it back.
  func setState(_ id: SlabID, roomName: Span<UInt8>, _ state: Span<UInt8>, answerID: [UInt8]?) {
    guard let room = rooms.find(roomName), let index = joinedIndex(id, room), let user = sessions[id.index].user,
      let member = member(id.index)
    else { return refuseUnjoined(id, roomName, answerID) }
    guard room.rule.hasPresence else { return refuse(id, .forbidden, Hub.roomWithoutPresence, answerID) }
    guard sessions[id.index].subscriptions[index].mayPublish, room.rule.mayPublish else {
      return refuse(id, .forbidden, room.rule.mayPublish ? Hub.publishForbidden : Hub.readOnlyRoom, answerID)
    }
    guard chargePublish(in: room, .session(id), answerID) else { return }
    let text = JSONString.equals(state, "null") ? nil : [UInt8](copying: state)
    let size = state.count + room.name.count
    operationBegins(id, bytes: size)
    reads.seal(room: room.name)
    broker.setState(room: room.name, member, text, isAssertion: false) { [weak self] result in
      guard let self else { return }
      operationEnds(id, bytes: size)
      if case .failure(let error) = result {
        return refuse(id, failure: error, "Redis is out of reach; nothing was kept: say it again in a moment", answerID)
      }
      // A session that has left meanwhile says it no more, even if it is about to come back.
      if sessions.contains(id), joinedIndex(id, room) != nil { presence(of: room).keep(text, of: user.name) }
      if let answerID { answer(id, .ack(roomJSON: room.nameJSON, nil), id: answerID) }
    }
  }

  static let roomWithoutPresence = "the room's rule keeps no presence, so nobody can have a state in it"

  /// Tells the members what a user says about itself.
  ///
  /// - Parameter isSaid: whether the user has just said so. Else it corrects what the members know.
  func announceState(of userJSON: Span<UInt8>, _ state: Span<UInt8>, isSaid: Bool, in room: Room) {
    let presence = presence(of: room)
    if let user = Hub.name(in: userJSON) {
      presence.noteState(state, of: user, isSaid: isSaid, isOwn: isSaid && isMember(user, of: room))
      guard !presence.keepForUpdate(state, of: user) else { return }
    }
    // To the session that said it, too: what another one of the user said meanwhile may come before or after.
    let (user, state) = ([UInt8](copying: userJSON), [UInt8](copying: state))
    appendNotice(.userState(roomJSON: room.nameJSON, userJSON: user, state: state), to: room)
  }

  /// Corrects what the members know of a user's state.
  func announce(state: [UInt8]?, of user: [UInt8], in room: Room) {
    var json: [UInt8] = []
    JSONString.append(user.span, to: &json)
    let state = state ?? Array("null".utf8)
    announceState(of: json.span, state.span, isSaid: false, in: room)
  }

  /// Forgets what a user said in a room when its last session here has left.
  func forgetOwnState(of user: LocalUser, in room: Room) {
    guard let presence = room.presence, presence.keepsState(of: user.name) else { return }
    var isHere = false
    user.sessions.forEach { if sessions[$0].subscriptionIndex(room) != nil { isHere = true } }
    if !isHere { presence.forgetOwnState(of: user.name) }
  }

  // MARK: Grace

  /// Milliseconds for which a user who has left a room is still there.
  func grace(of room: Room) -> Int { room.rule.leaveDebounceMilliseconds ?? configuration.leaveDebounceMilliseconds }

  /// Has the broker look, when a grace in the room is over, who has not come back. Every node of the room does: the one
  /// that the user left may be gone by then.
  func graceBegins(in room: [UInt8], _ milliseconds: Int) {
    let due = steady() + UInt64(milliseconds)
    if let known = graceChecks[room], known <= due { return }
    graceChecks[room] = due
    after(milliseconds) { [weak self] in
      guard let self, graceChecks[room] == due else { return }
      graceChecks[room] = nil
      endGraces(in: room)
    }
  }

  func endGraces(in room: [UInt8]) {
    broker.endGraces(room: room) { [weak self] result in
      switch result {
      case .success(let next?): self?.graceBegins(in: room, max(next, Limits.graceCheckMilliseconds))
      case .success(nil): break
      case .failure: self?.graceBegins(in: room, Limits.graceRetryMilliseconds)
      }
    }
  }
}
