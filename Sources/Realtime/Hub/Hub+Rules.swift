// What room rules forbid clients. What their tokens forbid is another question.

extension Hub {
  static let closedRoom = "clients may not join this room"
  static let readOnlyRoom = "clients may not publish in this room"

  /// Whether a room's rule lets clients in, to join it or to be told about it. When it does not, the session is refused.
  func ruleLetsIn(_ id: SlabID, _ room: Span<UInt8>, _ answerID: [UInt8]?) -> Bool {
    let rule = rooms.find(room)?.rule ?? configuration.rules.rule(for: room)
    if !rule.mayJoin { refuse(id, .forbidden, Hub.closedRoom, answerID) }
    return rule.mayJoin
  }
}
