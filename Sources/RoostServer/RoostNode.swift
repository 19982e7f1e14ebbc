import ClientProtocol
import LoopCore
import Realtime

/// A node of Roost inside this program: what `roost serve` is, started and stopped by code, with handlers in Swift.
///
/// The node has a thread and an event loop of its own. This object is its remote control: every method may be called from
/// any task, and none of them blocks. A node runs until ``stop()``, also when nobody refers to this object any more.
public final class RoostNode: Sendable {
  private let link = NodeLink()

  private init() {}

  /// The port that clients connect to: the one of the settings, or, for 0, the one that the system chose.
  public var port: UInt16 { link.port }

  /// Starts a node. Returns when clients can connect; throws a ``NodeError`` when it cannot start.
  public static func start(_ configuration: Configuration = Configuration()) async throws -> RoostNode {
    let settings = try configuration.serverSettings()
    let node = RoostNode()
    let link = node.link
    try await link.awaitStart {
      let hasThread = HelperThread.start { NodeHost.run(settings, configuration, node, link) }
      if !hasThread { link.ended(NodeError(.cannotStart, "the system gives no thread: raise its limit of threads")) }
    }
    return node
  }

  /// Stops the node: it takes no more connections, sends its clients away within the setting `drain`, and gives up its place
  /// in the cluster. Returns when that is done. Of several calls all return then.
  public func stop() async {
    link.post { $0.node.stop() }
    _ = try? await link.awaitEnd()
  }

  /// Returns when the node has ended: after ``stop()``, or after an operator drained it. Throws when it ended by a fault.
  public func waitUntilStopped() async throws { try await link.awaitEnd() }

  /// Reads keys and certificates again, as SIGHUP has `roost serve` do. The log says what became of it.
  public func reload() { link.post { $0.node.reload() } }

  /// The metrics in Prometheus' text format, as `/metrics` serves them.
  public func metrics() async throws -> String {
    try await link.call(bytes: 0) { host, reply in reply(.success(text(host.node.metricsText()))) }
  }
}

// MARK: Publishing

extension RoostNode {
  /// Publishes the members of a JSON object in a room of the cluster. Returns its place when Redis has it.
  ///
  /// - Parameters:
  ///   - data: a JSON object. Names of the protocol (`type`, `room`, `user`, `offset`, `ts`, `id`, `echo`, `ephemeral`) are
  ///     refused: nest them.
  ///   - user: in whose name; nil: `user` is null in the message.
  ///   - idempotencyKey: of several publishes in a room with the same key within five minutes one is done.
  @discardableResult
  public func publish(
    _ data: JSON, in room: String, as user: String? = nil, idempotencyKey: String? = nil
  ) async throws -> MessagePosition {
    let (room, user, key) = (Array(room.utf8), user.map { Array($0.utf8) }, idempotencyKey.map { Array($0.utf8) })
    let position: Position = try await link.call(bytes: data.bytes.count) { host, reply in
      NodeHost.attempt(reply) { reply throws(ProtocolError) in
        try host.hub.publish(room: room, data: data.bytes.span, user: user, idempotencyKey: key, reply)
      }
    }
    return MessagePosition(position)
  }

  /// Sends the members of a JSON object to every connection in the cluster. The parameters are those of
  /// ``publish(_:in:as:idempotencyKey:)``.
  public func broadcast(_ data: JSON, as user: String? = nil, idempotencyKey: String? = nil) async throws {
    _ = try await send(data, as: user, to: .everyone, idempotencyKey)
  }

  /// Sends the members of a JSON object to every connection of a user on any node. Returns how many those were. The other
  /// parameters are those of ``publish(_:in:as:idempotencyKey:)``.
  @discardableResult
  public func send(
    _ data: JSON, to user: String, as sender: String? = nil, idempotencyKey: String? = nil
  ) async throws -> Int {
    try await send(data, as: sender, to: .user(Array(user.utf8)), idempotencyKey)
  }

  private func send(_ data: JSON, as user: String?, to audience: Audience, _ key: String?) async throws -> Int {
    let (user, key) = (user.map { Array($0.utf8) }, key.map { Array($0.utf8) })
    return try await link.call(bytes: data.bytes.count) { host, reply in
      NodeHost.attempt(reply) { reply throws(ProtocolError) in
        try host.hub.send(data: data.bytes.span, user: user, to: audience, idempotencyKey: key, reply)
      }
    }
  }

  // MARK: Connections

  /// Closes every connection of a user on any node with 4409. Returns how many those were.
  @discardableResult
  public func disconnect(user: String) async throws -> Int {
    let user = Array(user.utf8)
    return try await link.call(bytes: user.count) { host, reply in
      host.hub.disconnect(user: user) { reply($0.mapError { NodeError($0) }) }
    }
  }

  /// Closes one connection of whatever node with 4409.
  public func disconnect(connection: String) async throws {
    let connection = Array(connection.utf8)
    let _: Int = try await link.call(bytes: connection.count) { host, reply in
      host.hub.disconnect(connection: connection) { reply($0.mapError { NodeError($0) }) }
    }
  }

  /// Has every connection of a user on any node join a room, as if its client had asked for it. Returns how many those were.
  @discardableResult
  public func subscribe(user: String, to room: String) async throws -> Int { try await move(user, .into, room) }

  /// Has every connection of a user on any node leave a room. Returns how many those were.
  @discardableResult
  public func unsubscribe(user: String, from room: String) async throws -> Int { try await move(user, .outOf, room) }

  private func move(_ user: String, _ direction: RoomMove.Direction, _ room: String) async throws -> Int {
    let move = RoomMove(user: Array(user.utf8), connection: nil, direction, room: Array(room.utf8))
    if let problem = RoomName.problem(move.room.span) { throw NodeError(.refused, problem) }
    return try await link.call(bytes: move.room.count) { host, reply in
      host.hub.move(move) { reply($0.mapError { NodeError($0) }) }
    }
  }

  // MARK: Reading

  /// The names of at most `limit` users in a room of the cluster, ascending, those after `user`.
  public func users(in room: String, after user: String? = nil, limit: Int = 1_000) async throws -> [String] {
    let (room, user, limit) = (Array(room.utf8), user.map { Array($0.utf8) }, min(max(1, limit), 10_000))
    return try await link.call(bytes: room.count) { host, reply in
      host.hub.readMembers(room: room, after: user, limit: limit) { result in
        reply(
          result.map { list in
            var names: [String] = []
            for member in list.members where names.last != text(member.user) { names.append(text(member.user)) }
            return names
          }.mapError { NodeError($0) })
      }
    }
  }
}

extension NodeHost {
  /// Asks the hub for something that may be refused before it is asked for.
  static func attempt<Value>(
    _ reply: @escaping @Sendable (Result<Value, NodeError>) -> Void,
    _ ask: (@escaping BrokerReply<Value>) throws(ProtocolError) -> Void
  ) {
    do throws(ProtocolError) {
      try ask { reply($0.mapError { NodeError($0) }) }
    } catch {
      reply(.failure(NodeError(error)))
    }
  }
}
