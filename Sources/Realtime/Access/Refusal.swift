/// Why the hub refuses what clients ask, for the client to read.
enum Refusal {
  static let connectionEnded = "there is no such connection: it has ended, or never was; open another one"
  static let connectionOfAnother = "the connection is another user's"
  static let closedRoom = "clients may not join this room"
  static let readOnlyRoom = "clients may not publish in this room"
  static let roomForbidden = "the token does not allow this room: its rooms must name it"
  static let publishForbidden = "the token allows to read this room, not to publish in it"
  static let wildcardOfEverything = "a wildcard needs at least one byte before its *"
  static let broadcastForbidden = "the token does not allow broadcasts: its permissions must list broadcast"
  static let roomWithoutPresence = "the room's rule keeps no presence, so nobody can have a state in it"
  static let tokenOver = "the token is no longer valid"
  static let authWithoutConnection =
    "a request carries its token itself: Authorization: Bearer, ?token= or a cookie, not an auth operation"
  static let noConnection =
    "join, leave and state are of a connection: open an event stream (/sse), a poll connection (/poll) or a WebSocket"
  static let cannotRead = "Redis is out of reach: ask again in a moment"
  /// The token or the user was revoked.
  static let revoked = "revoked"

  /// Too much waits for decisions: on the node, and of one connection.
  static let tooManyQuestions =
    "too much waits for the backend's decisions: nothing was done, send it again in a moment"
  static let tooManyOwnQuestions =
    "too many operations of this connection wait for a decision: nothing was done, wait for answers first"
  /// A decision that was no answer to the question.
  static let unusableDecision =
    "the backend's decision cannot be used: nothing was done; tell its operator to look at the node's log"
  static let tokenUnjudgedInTime = "the token could not be judged in time: connect again later"
  static let connectUndecided = "whether this connection is allowed could not be decided: connect again later"

  /// When trying again changes nothing.
  static let damaged =
    "what the server holds for this is damaged; nothing was done: tell its operator that the node's log names the key"

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

  /// Puts what a broker refused that is there in the place of its being out of reach, in a text that begins with that.
  static func saying(_ refusal: BrokerRefusal?, in text: String) -> String {
    let beginnings = ["Redis is out of reach", "Redis went out of reach before it answered"]
    guard let refusal, let beginning = beginnings.first(where: { text.hasPrefix($0) }) else { return text }
    return refusal.what + text.dropFirst(beginning.count)
  }
}
