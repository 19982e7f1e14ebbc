import ClientProtocol
import JSONCore

/// Moves connections of a user into a room or out of it.
public struct RoomMove: Equatable, Sendable {
  /// Which way.
  public enum Direction: Sendable { case into, outOf }

  /// Whose connections.
  public let user: [UInt8]
  /// The one connection that is meant; nil: all of the user's.
  public let connection: [UInt8]?
  /// Which way.
  public let direction: Direction
  /// The room, by its name; no wildcard.
  public let room: [UInt8]

  /// Names the connections, the way and the room.
  public init(user: [UInt8], connection: [UInt8]?, _ direction: Direction, room: [UInt8]) {
    self.user = user
    self.connection = connection
    self.direction = direction
    self.room = room
  }
}

/// What an operator orders other nodes to do: the body of an envelope of the kind `order`, a JSON object.
enum AdminOrder: Equatable {
  case move(RoomMove)
  /// The node of that id begins its drain.
  case drain(node: [UInt8])

  /// Reads the body of an envelope. Nil for what this version does not know.
  init?(_ body: Span<UInt8>) {
    guard let order = try? JSONValue.parse(body) else { return nil }
    if let node = order["drain"]?.asBytes {
      self = .drain(node: node)
      return
    }
    let (into, outOf) = (order["subscribe"]?.asBytes, order["unsubscribe"]?.asBytes)
    guard let user = order["user"]?.asBytes, let room = into ?? outOf else { return nil }
    let direction: RoomMove.Direction = into == nil ? .outOf : .into
    self = .move(RoomMove(user: user, connection: order["connection"]?.asBytes, direction, room: room))
  }

  /// Makes the envelope.
  ///
  /// - Parameter now: milliseconds since 1970.
  func envelope(at now: UInt64) -> [UInt8] {
    var envelope: [UInt8] = []
    Envelope.begin(.order, timestamp: now, origin: [], userJSON: Array("null".utf8), into: &envelope)
    var writer = JSONWriter(appendingTo: envelope)
    writer.beginObject()
    switch self {
    case .drain(let node):
      writer.key("drain")
      writer.string(node)
    case .move(let move):
      writer.key(move.direction == .into ? "subscribe" : "unsubscribe")
      writer.string(move.room)
      writer.key("user")
      writer.string(move.user)
      if let connection = move.connection {
        writer.key("connection")
        writer.string(connection)
      }
    }
    writer.endObject()
    return writer.finish()
  }
}

/// Does what operators order for sessions of this node. Confined to the loop that created its hub.
final class AdminOrders {
  private let context: HubContext
  private let joins: RoomJoins
  private let operations: OperationDispatcher

  init(_ context: HubContext, joins: RoomJoins, operations: OperationDispatcher) {
    self.context = context
    self.joins = joins
    self.operations = operations
  }

  /// Moves the sessions that are meant, as far as they are here. Returns how many those are.
  func apply(_ move: RoomMove) -> Int {
    guard let user = context.users.find(move.user.span) else { return 0 }
    var sessions: [SlabID] = []
    user.sessions.forEach { sessions.append(context.sessions.id(at: $0)) }
    if let connection = move.connection {
      let meant = context.localSession(named: connection.span)
      sessions.removeAll { $0 != meant }
    }
    for id in sessions where context.sessions.contains(id) {
      switch move.direction {
      case .into: joins.join(id, roomName: move.room.span, since: nil, answerID: nil, isOrdered: true)
      case .outOf: leave(id, move.room)
      }
    }
    return sessions.count
  }

  /// Has a session leave a room, if it is in it or joins it, as if its client had asked: after what waits for the join.
  private func leave(_ id: SlabID, _ room: [UInt8]) {
    guard let known = context.rooms.find(room.span), context.sessions[id.index].subscriptionIndex(known) != nil else {
      return
    }
    let text = Array("{\"type\":\"leave\",\"room\":".utf8) + JSONString.quoting(room) + [UInt8(ascii: "}")]
    guard let operation = try? ClientOperation(parsing: text.span) else { return }
    operations.perform(operation, text.span, from: id)
  }
}
