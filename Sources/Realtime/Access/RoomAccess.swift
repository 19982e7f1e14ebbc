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

  /// Whether a session may publish in a room that it has joined.
  func mayPublish(_ session: UInt32, _ room: Span<UInt8>) -> Bool {
    context.sessions[session].identity?.rooms?.mayPublish(room) ?? true
  }

  /// Whether a caller may send to everyone.
  func mayBroadcast(_ caller: Caller) -> Bool { context.identity(of: caller)?.mayBroadcast ?? true }

  /// Whether a session may read a room. When it may not, it is refused.
  func mayRead(_ id: SlabID, _ room: Span<UInt8>, _ answerID: [UInt8]?) -> Bool {
    if RoomName.isWildcard(room) {
      context.refuse(id, .badRoom, RoomName.wildcardRule, answerID)
      return false
    }
    guard mayJoin(id.index, room) else {
      context.refuse(id, .forbidden, Refusal.roomForbidden, answerID)
      return false
    }
    return isAuthorised(.read(room: [UInt8](copying: room)), .session(id), answerID)
  }

  /// Whether a room's rule lets clients in, to join it or to read it. When it does not, the session is refused.
  func ruleLetsIn(_ id: SlabID, _ room: Span<UInt8>, _ answerID: [UInt8]?) -> Bool {
    let rule = context.rooms.find(room)?.rule ?? context.configuration.rules.rule(for: room)
    if !rule.mayJoin { context.refuse(id, .forbidden, Refusal.closedRoom, answerID) }
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
