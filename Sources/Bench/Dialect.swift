/// The ways in which servers are spoken to, so that one generator measures several.
enum Dialect: String, CaseIterable, Sendable {
  /// The protocol of `roost serve`: a welcome, joins, messages with a type.
  case roost
  /// Socket.IO over WebSockets, as `roost serve` speaks it: packets with the operations as events.
  case socketio
  /// nchan: the URL names the channel; a connection receives it, and the publisher's URL takes messages.
  case nchan
  /// A first text that names the room; every later text goes to the others in it.
  case plain

  /// Whether the server speaks first on a connection.
  var hasWelcome: Bool { self == .roost || self == .socketio }

  /// Returns the request target of a connection for one room.
  func target(_ url: Destination, room: String, user: String) -> String {
    switch self {
    case .roost: url.target(adding: "user", user)
    case .socketio: url.target(adding: "EIO", "4&transport=websocket")
    case .nchan: url.target(adding: "channel", room)
    case .plain: url.target
    }
  }

  /// Returns what enters a connection into a room, or nil when connecting did.
  ///
  /// - Parameter isOwnNamespace: whether Socket.IO clients are in a namespace of the room's name, in whose room they are
  ///   without joining.
  func join(room: String, isOwnNamespace: Bool = false) -> String? {
    switch self {
    case .roost: "{\"type\":\"join\",\"room\":\"\(room)\"}"
    case .socketio: isOwnNamespace ? nil : "420[\"join\",\"\(room)\"]"
    case .nchan: nil
    case .plain: room
    }
  }

  /// Returns what a message to a room begins with; its own members follow.
  func messageHead(room: String, isOwnNamespace: Bool = false) -> String {
    switch self {
    case .roost: "{\"type\":\"message\",\"room\":\"\(room)\","
    case .socketio:
      isOwnNamespace
        ? "42/\(room),[\"bench\",{" : "42[\"message\",{\"room\":\"\(room)\",\"event\":\"bench\",\"args\":[{"
    case .nchan, .plain: "{"
    }
  }

  /// Returns what follows the members of a message and their closing brace.
  func messageTail(isOwnNamespace: Bool = false) -> String { self == .socketio ? isOwnNamespace ? "]" : "]}]" : "" }
}

/// What a Socket.IO server sends that a connection has to do something about.
enum SocketIOAnswer {
  /// The session is open: connect to a namespace.
  case opened
  /// Connected to a namespace.
  case connected
  /// An ack, of a join.
  case acked
  case ping

  /// Nil: an event, or anything else.
  init?(_ packet: Span<UInt8>) {
    guard packet.count > 0 else { return nil }
    let second = packet.count > 1 ? packet[1] : 0
    switch (packet[0], second) {
    case (UInt8(ascii: "0"), _): self = .opened
    case (UInt8(ascii: "2"), 0): self = .ping
    case (UInt8(ascii: "4"), UInt8(ascii: "0")): self = .connected
    case (UInt8(ascii: "4"), UInt8(ascii: "3")): self = .acked
    default: return nil
    }
  }

  /// The packet that is due on what came, or nil.
  func reply(user: String, namespace: String? = nil) -> String? {
    switch self {
    case .opened: "40\(namespace.map { "/\($0)," } ?? ""){\"user\":\"\(user)\"}"
    case .ping: "3"
    case .connected, .acked: nil
    }
  }
}
