import ClientProtocol
import JSONCore

/// What a session may do, by what its token grants, by what room rules allow, and by what authorisers forbid.
///
/// Sessions without an identity belong to a node that asks for no tokens: their tokens forbid nothing.
/// Confined to the loop that created its hub.
final class RoomAccess {
  private let context: HubContext

  init(_ context: HubContext) {
    self.context = context
  }

  /// Whether a session may join a room, read its presence and its history, or join a wildcard.
  ///
  /// A wildcard is asked for by its own name, star included: a grant that covers that name ends in a star too, at or
  /// before the same place, so it covers every name that the wildcard can ever match.
  func mayJoin(_ session: UInt32, _ room: Span<UInt8>) -> Bool {
    context.sessions[session].identity?.rooms?.mayJoin(room) ?? true
  }

  /// Whether an operator has moved a session into a room, whatever its token says.
  func isInByOrder(_ session: UInt32, _ name: Span<UInt8>) -> Bool {
    guard let room = context.rooms.find(name), let index = context.sessions[session].subscriptionIndex(room) else {
      return false
    }
    return context.sessions[session].subscriptions[index].isOrdered
  }

  /// Whether a session may publish in a room that it has joined.
  func mayPublish(_ session: UInt32, _ room: Span<UInt8>) -> Bool {
    context.sessions[session].identity?.rooms?.mayPublish(room) ?? true
  }

  /// Whether a caller may send to everyone.
  func mayBroadcast(_ caller: Caller) -> Bool { context.identity(of: caller)?.mayBroadcast ?? true }

  /// Whether a caller may read a room. When it may not, it is refused.
  func mayRead(_ caller: Caller, _ room: Span<UInt8>, _ answerID: [UInt8]?) -> Bool {
    if RoomName.isWildcard(room) {
      context.refuse(caller, .badRoom, RoomName.wildcardRule, answerID)
      return false
    }
    guard context.identity(of: caller)?.rooms?.mayJoin(room) ?? true else {
      context.refuse(caller, .forbidden, Refusal.roomForbidden, answerID)
      return false
    }
    return isAuthorised(.read(room: [UInt8](copying: room)), caller, answerID)
  }

  /// Why a user may not join a room or a wildcard; nil: it may be joined. No session is needed.
  func refusal(ofJoining room: Span<UInt8>, user: [UInt8], _ identity: Identity?) -> ProtocolError? {
    guard RoomName.isValid(room) else { return ProtocolError(.badRoom, RoomName.rule) }
    let isWildcard = RoomName.isWildcard(room)
    if isWildcard, room.count == 1 { return ProtocolError(.badRoom, Refusal.wildcardOfEverything) }
    if identity?.rooms?.mayJoin(room) == false { return ProtocolError(.forbidden, Refusal.roomForbidden) }
    // What a wildcard brings is held to the rule of each room.
    if !isWildcard, !context.configuration.rules.rule(for: room).mayJoin {
      return ProtocolError(.forbidden, Refusal.closedRoom)
    }
    guard !context.authorisers.isEmpty else { return nil }
    let principal = Principal(user: user, info: identity?.info, connection: nil)
    return context.authorisers.refusal(of: .read(room: [UInt8](copying: room)), by: principal).map {
      ProtocolError(.forbidden, $0)
    }
  }

  /// Whether a room's rule lets clients in, to join it or to read it. When it does not, the caller is refused.
  func ruleLetsIn(_ caller: Caller, _ room: Span<UInt8>, _ answerID: [UInt8]?) -> Bool {
    let rule = context.rooms.find(room)?.rule ?? context.configuration.rules.rule(for: room)
    if !rule.mayJoin { context.refuse(caller, .forbidden, Refusal.closedRoom, answerID) }
    return rule.mayJoin
  }

  /// Whether the authorisers let a caller do something; if not, the caller was refused.
  func isAuthorised(_ action: @autoclosure () -> ClientAction, _ caller: Caller, _ answerID: [UInt8]?) -> Bool {
    guard !context.authorisers.isEmpty, let user = context.userName(of: caller) else { return true }
    var connection: [UInt8]?
    if case .session(let id) = caller { connection = context.connectionName(id) }
    let principal = Principal(user: user, info: context.identity(of: caller)?.info, connection: connection)
    guard let reason = context.authorisers.refusal(of: action(), by: principal) else { return true }
    context.refuse(caller, .forbidden, reason, answerID)
    return false
  }

  /// Answers a message to a room that its sender is not in.
  func refuseUnjoined(_ id: SlabID, _ room: Span<UInt8>, _ answerID: [UInt8]?) {
    if RoomName.isWildcard(room) {
      context.refuse(id, .badRoom, RoomName.wildcardRule, answerID)
    } else {
      context.refuse(id, .notJoined, "join the room before sending to it", answerID)
    }
  }
}
