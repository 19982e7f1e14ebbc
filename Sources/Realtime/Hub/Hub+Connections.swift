import ClientProtocol
import JSONCore

// What requests ask of connections that live here, by their names.

extension Hub {
  /// The id of the node that holds a connection of that name; nil: no connection has such a name.
  public static func node(ofConnection name: [UInt8]) -> [UInt8]? {
    guard let dash = name.lastIndex(of: UInt8(ascii: "-")), dash > 0,
      SessionNumber.parse(name.span.extracting((dash + 1)..<name.count)) != nil
    else { return nil }
    return Array(name[..<dash])
  }

  /// The session of this node whose connection has that name, or nil.
  public func session(named name: [UInt8]) -> SlabID? { context.localSession(named: name.span) }

  /// The connection of a session in the numbering of the transport of one wire format; nil: it is another's.
  public func connection(of session: SlabID, in format: WireFormat) -> UInt32? {
    guard context.sessions.contains(session), context.sessions[session.index].format == format else { return nil }
    return context.sessions[session.index].connection
  }

  /// Whether a session is a user's; nil stands for any user.
  public func belongs(_ session: SlabID, to user: [UInt8]?) -> Bool {
    guard context.sessions.contains(session), let owner = context.sessions[session.index].user else { return false }
    return user == nil || user == owner.name
  }

  /// The user of a session; nil: not known yet.
  public func userName(of session: SlabID) -> [UInt8]? {
    context.sessions.contains(session) ? context.sessions[session.index].user?.name : nil
  }

  /// What the token of a session grants (`Identity.rights`); nil: it has none.
  public func rights(of session: SlabID) -> [UInt8]? {
    context.sessions.contains(session) ? context.sessions[session.index].identity?.rights : nil
  }

  /// Performs one operation as a session's own, and answers the caller: everything but the answer is as if the client had sent
  /// it over its connection. `joined` and `left` also go down the connection, in their place among what it gets.
  ///
  /// - Parameters:
  ///   - text: the operation as JSON; valid UTF-8.
  ///   - user: in whose name it is asked; nil: that was not said, and names are believed.
  ///   - reply: takes the answer, one JSON object, and the code when it is an error. Called once.
  public func perform(
    _ text: Span<UInt8>, forConnection name: [UInt8], by user: [UInt8]?,
    reply: @escaping (_ text: [UInt8], ErrorCode?) -> Void
  ) {
    guard let id = session(named: name), id != ending else {
      RequestAnswers.send(.error(.notFound, Refusal.connectionEnded), id: nil, reply)
      return
    }
    guard belongs(id, to: user) else {
      RequestAnswers.send(.error(.forbidden, Refusal.connectionOfAnother), id: nil, reply)
      return
    }
    operations.perform(text, for: id, reply)
  }

  /// Takes one operation from a client whose connection acknowledges it in a form of its own: everything but the answer is as
  /// by ``receive(text:from:)``. `joined` and `left` also go down the connection, after the answer.
  ///
  /// - Parameters:
  ///   - text: the operation as JSON; valid UTF-8.
  ///   - reply: takes the answer, one JSON object, and the code when it is an error. Called once, unless the session has ended.
  public func perform(
    _ text: Span<UInt8>, from id: SlabID, reply: @escaping (_ text: [UInt8], ErrorCode?) -> Void
  ) {
    operations.perform(text, from: id, reply)
  }

  /// Has a session leave a room or a wildcard, at no charge to its rates. It is answered with `left`.
  public func leave(_ id: SlabID, room name: [UInt8]) { operations.leave(id, name) }

  /// Where a session is in a room that it has joined: after what it was given there. Nil: it is not in it, or nobody knows.
  public func position(of id: SlabID, in name: [UInt8]) -> Position? {
    guard context.sessions.contains(id), let room = context.rooms.find(name.span), let stream = room.stream,
      context.joinedIndex(id, room) != nil
    else { return nil }
    return stream.position.at(room.catchUps[session: id]?.offset ?? room.rosterOffset)
  }

  /// Users in a room as its members know them; 0 where this node does not have it.
  public func userCount(of name: [UInt8]) -> Int { context.rooms.find(name.span).map(context.userCount) ?? 0 }
}
