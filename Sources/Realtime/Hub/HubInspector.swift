import ClientProtocol

/// Looks at what a node holds in memory, for operators: changes nothing, asks no broker. Confined to the hub's loop.
public struct HubInspector {
  private let hub: Hub

  public init(_ hub: Hub) { self.hub = hub }

  // MARK: Rooms

  /// A room as this node has it.
  public struct RoomState {
    public let name: [UInt8]
    /// Connections of this node in it, those that are joining included.
    public let connectionCount: Int
    /// Where its messages stand; nil: not known yet.
    public let position: Position?
  }

  /// Rooms in memory, those that nobody of this node is in any more included.
  public var roomCount: Int { hub.context.rooms.count }

  /// Calls `body` with rooms of this node, in no order, with at most so many.
  public func forEachRoom(max: Int, _ body: (RoomState) -> Void) {
    var left = max
    hub.context.rooms.forEach { room in
      guard left > 0 else { return }
      left -= 1
      body(
        RoomState(
          name: room.name, connectionCount: room.subscriberCount - (room.isPolled ? 1 : 0),
          position: room.stream?.position))
    }
  }

  // MARK: Connections

  /// What a node knows of a connection besides what presence has.
  public struct SessionState {
    /// The rooms that it has joined or is joining, and when it asked, in milliseconds since 1970; at most ``roomsMax``.
    public let rooms: [(name: [UInt8], since: UInt64)]
    /// Rooms and wildcards, all of them.
    public let roomCount: Int
    /// The wildcards that it has joined, stars included.
    public let wildcards: [[UInt8]]
    /// Bytes that wait for it to read.
    public let queuedBytes: Int
    /// What its token says; nil: names are believed, or it is not authenticated.
    public let identity: Identity?
  }

  /// Rooms that a `SessionState` names: `max-rooms` may allow more than anybody reads.
  public static let roomsMax = 1_000

  /// What is known of the connection of that name; nil: it is not here.
  public func session(named name: [UInt8]) -> SessionState? {
    guard let id = hub.session(named: name) else { return nil }
    let context = hub.context
    let subscriptions = context.sessions[id.index].subscriptions
    let wildcards = hub.wildcards.memberships(of: id.index).map(\.wildcard.name)
    return SessionState(
      rooms: subscriptions.prefix(HubInspector.roomsMax).map { (name: $0.room.name, since: $0.since) },
      roomCount: subscriptions.count + wildcards.count, wildcards: Array(wildcards.prefix(HubInspector.roomsMax)),
      queuedBytes: context.transport(of: id.index)?.queuedBytes(of: context.sessions[id.index].connection) ?? 0,
      identity: context.sessions[id.index].identity)
  }
}
