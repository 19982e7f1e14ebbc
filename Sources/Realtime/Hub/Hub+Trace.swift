// What a hub tells of for a log at its most talkative level. Nothing is made of an event while nobody listens.

/// An event in the life of a session or a room.
public enum HubEvent: Sendable {
  /// A connection has got a session.
  case connected(connection: [UInt8], transport: Transport, address: [UInt8])
  /// It is known whose the connection is.
  case identified(connection: [UInt8], user: [UInt8])
  /// A token was refused, did not come, or has expired. The reason holds nothing secret.
  case notAuthenticated(connection: [UInt8], reason: String)
  /// A token could not be judged now.
  case tokenUnjudged(connection: [UInt8], reason: String)
  /// A room has begun on this node: its first member came, or its first message through a wildcard.
  case roomCreated([UInt8])
  /// A room has ended on this node: nobody here has been in it for a while.
  case roomEnded([UInt8])
}

extension Hub {
  /// The connection's name, as clients and other nodes know it.
  public func name(of session: SlabID) -> [UInt8] { connectionName(session) }

  /// The same for a connection whose session is being opened: ``open(_:)`` may close it before it returns, as when its
  /// token is refused. Nil: no session of it was opened last.
  public func nameOfNewest(_ target: UInt32) -> [UInt8]? {
    guard let newest, sessions.contains(newest), sessions[newest.index].target == target else { return nil }
    return connectionName(newest)
  }
}
