import JSONCore

/// A room of a client, by its name. A handle: it may be made as often as wanted, and sent to any task.
public struct Room: Sendable {
  /// The name.
  public let name: String
  /// The client.
  public let roost: Roost

  /// Joins the room and stays in it through reconnects. Returns what the server said when it was joined first.
  @discardableResult
  public func join() async throws -> Joined { try await roost.join(name) }

  /// Leaves the room: its sequences end.
  public func leave() async { await roost.leave(name) }

  /// The messages of the room from now on, or, of a wildcard, of all rooms that it matches. Joins the room first unless it is
  /// joined.
  public func messages() async throws -> Feed<Message> { try await roost.messages(of: name) }

  /// Publishes the members of a JSON object. Through reconnects it is sent again under the same id, so it is published once.
  ///
  /// - Parameters:
  ///   - echo: whether this client gets it, too.
  ///   - ephemeral: whether it is delivered to those who are there, and kept nowhere.
  @discardableResult
  public func send(_ data: JSON, echo: Bool = false, ephemeral: Bool = false) async throws -> Ack {
    try await roost.publish(data, in: name, echo: echo, ephemeral: ephemeral)
  }

  /// Publishes the members of a value that is encoded as a JSON object.
  @discardableResult
  public func send(encoding value: some Encodable, echo: Bool = false, ephemeral: Bool = false) async throws -> Ack {
    try await send(JSON(encoding: value), echo: echo, ephemeral: ephemeral)
  }

  /// Who is in the room, ascending by name. The first call asks the server and joins the room unless it is joined; later ones
  /// answer from what the client keeps up to date.
  public func members() async throws -> [Member] { try await roost.members(of: name) }

  /// Who is in the room, now and after each change. A slow reader gets the newest state only.
  public func memberChanges() async throws -> AsyncStream<[Member]> { try await roost.memberChanges(of: name) }

  /// Publishes a state of this user in the room, one JSON value of at most 1 KiB; nil removes it. It is set again after each
  /// reconnect.
  public func setState(_ state: JSON?) async throws { try await roost.setState(state, in: name) }

  /// Past messages: the newest `limit`, or those after an offset of an epoch.
  public func history(limit: Int = 100, since: (epoch: String, offset: UInt64)? = nil) async throws -> History {
    try await roost.history(of: name, limit: limit, since: since)
  }
}
