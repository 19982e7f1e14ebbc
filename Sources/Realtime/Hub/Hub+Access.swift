import ClientProtocol
import JSONCore

// What a session may do, by what its token grants. Everything that asks is answered here. Sessions without an identity
// belong to a node that asks for no tokens: they may do everything.

extension Hub {
  /// Whether a session may join a room, read its presence and its history, or join a wildcard.
  ///
  /// A wildcard is asked for by its own name, star included: a grant that covers that name ends in a star too, at or
  /// before the same place, so it covers every name that the wildcard can ever match.
  func mayJoin(_ session: UInt32, _ room: Span<UInt8>) -> Bool {
    sessions[session].identity?.rooms?.mayJoin(room) ?? true
  }

  /// Whether a session may publish in a room that it has joined.
  func mayPublish(_ session: UInt32, _ room: Span<UInt8>) -> Bool {
    sessions[session].identity?.rooms?.mayPublish(room) ?? true
  }

  /// Whether a caller may send to everyone.
  func mayBroadcast(_ caller: Caller) -> Bool { identity(of: caller)?.mayBroadcast ?? true }

  /// Whether a session may be told about a room. When it may not, it is refused.
  func mayRead(_ id: SlabID, _ room: Span<UInt8>, _ answerID: [UInt8]?) -> Bool {
    if RoomName.isWildcard(room) {
      refuse(id, .badRoom, RoomName.wildcardRule, answerID)
      return false
    }
    guard mayJoin(id.index, room) else {
      refuse(id, .forbidden, Hub.roomForbidden, answerID)
      return false
    }
    return isAuthorised(.read(room: [UInt8](copying: room)), .session(id), answerID)
  }

  /// Why nobody with that identity may join a room; nil: it may be joined. For transports that must know before they begin.
  public func refusal(ofJoining room: [UInt8], by identity: Identity?) -> ProtocolError? {
    if !RoomName.isValid(room.span) { return ProtocolError(.badRoom, RoomName.rule) }
    if identity?.rooms?.mayJoin(room.span) == false { return ProtocolError(.forbidden, Hub.roomForbidden) }
    return configuration.rules.rule(for: room.span).mayJoin ? nil : ProtocolError(.forbidden, Hub.closedRoom)
  }

  static let roomForbidden = "the token does not allow this room: its rooms must name it"
  static let publishForbidden = "the token allows to read this room, not to publish in it"
  static let broadcastForbidden = "the token does not allow broadcasts: its permissions must list broadcast"

  /// Answers a message to a room that its sender is not in.
  func refuseUnjoined(_ id: SlabID, _ room: Span<UInt8>, _ answerID: [UInt8]?) {
    if RoomName.isWildcard(room) {
      refuse(id, .badRoom, RoomName.wildcardRule, answerID)
    } else {
      refuse(id, .notJoined, "join the room before sending to it", answerID)
    }
  }

  // MARK: Grants that change

  /// Holds a session to the grants of its new token: it leaves the rooms that they do not name.
  func reviseAccess(of id: SlabID) {
    for name in sessions[id.index].subscriptions.map(\.room.name) {
      if mayJoin(id.index, name.span) {
        let mayPublish = mayPublish(id.index, name.span)
        if let room = rooms.find(name.span), let index = sessions[id.index].subscriptionIndex(room) {
          sessions[id.index].subscriptions[index].mayPublish = mayPublish
        }
      } else {
        leave(id, roomName: name.span)
        tellExpelled(id, from: name)
      }
    }
    for name in (wildcards.memberships[id.index] ?? []).map(\.wildcard.name) where !mayJoin(id.index, name.span) {
      leave(id, wildcardName: name.span)
      tellExpelled(id, from: name)
    }
  }

  private func tellExpelled(_ id: SlabID, from name: [UInt8]) {
    refuse(id, .forbidden, "the new token does not allow a room that the old one did: it was left", nil)
    answerLeft(id, name.span, nil)
  }

  /// Answers a join whose room was forbidden by a new token before the join came to its end.
  func refuseRevised(_ id: SlabID, _ answerID: [UInt8]?) {
    refuse(id, .forbidden, Hub.roomForbidden, answerID)
    if postponed[id] != nil { settled.append(id) }
  }
}
