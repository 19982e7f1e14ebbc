/// The ways in which servers are spoken to, so that one generator measures several.
enum Dialect: String, CaseIterable, Sendable {
  /// The protocol of `roost serve`: a welcome, joins, messages with a type.
  case roost
  /// nchan: the URL names the channel; a connection receives it, and the publisher's URL takes messages.
  case nchan
  /// A first text that names the room; every later text goes to the others in it.
  case plain

  /// Whether the server speaks first on a connection.
  var hasWelcome: Bool { self == .roost }

  /// Returns the request target of a connection for one room.
  func target(_ url: Destination, room: String, user: String) -> String {
    switch self {
    case .roost: url.target(adding: "user", user)
    case .nchan: url.target(adding: "channel", room)
    case .plain: url.target
    }
  }

  /// Returns what enters a connection into a room, or nil when connecting did.
  func join(room: String) -> String? {
    switch self {
    case .roost: "{\"type\":\"join\",\"room\":\"\(room)\"}"
    case .nchan: nil
    case .plain: room
    }
  }

  /// Returns what a message to a room begins with; its own members follow.
  func messageHead(room: String) -> String {
    self == .roost ? "{\"type\":\"message\",\"room\":\"\(room)\"," : "{"
  }
}
