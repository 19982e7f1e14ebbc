import ClientProtocol
import JSONCore
import Realtime

/// Something that happened at a node. Of a cluster each node's program gets its own node's.
public enum NodeEvent: Sendable {
  /// A connection has a user.
  case connected(user: String, connection: String, transport: String, address: String)
  /// A connection of a user has ended.
  case disconnected(user: String, connection: String)
  /// A user has come into a room that has members at this node.
  case joined(room: String, user: String)
  /// A user has left a room that has members at this node.
  case left(room: String, user: String)
  /// This node has published a message in a room, of a client or of a backend.
  case message(PublishedMessage)
  /// So many events were dropped because the observer was too slow; see ``EmbeddingLimits/eventsWaitingMax``.
  case missed(Int)
}

/// A message that has been published.
public struct PublishedMessage: Sendable {
  /// Its place among the messages of its room.
  public let position: MessagePosition
  /// The room.
  public let room: String
  /// Who published it; nil: nobody in particular.
  public let user: String?
  /// What it says.
  public let body: ClientMessage.Body
}

/// A place in a room's order of messages.
public struct MessagePosition: Sendable, Hashable {
  /// The life of the room's counter.
  public let epoch: String
  /// Counts 1, 2, 3 … within the epoch.
  public let offset: UInt64

  init(_ position: Position) {
    var text: [UInt8] = []
    position.epoch.append(to: &text)
    epoch = String(decoding: text, as: UTF8.self)
    offset = position.offset
  }
}

/// An event as the node's thread gives it: bytes, which the observer's task turns into what is shown.
enum ObservedEvent: Sendable {
  case connected(user: [UInt8], connection: [UInt8], transport: Transport, address: [UInt8])
  case disconnected(user: [UInt8], connection: [UInt8])
  case userChanged(room: [UInt8], userJSON: [UInt8], isPresent: Bool)
  case published(room: [UInt8], Position, envelope: [UInt8])

  /// Nil for what is not shown.
  init?(_ event: HubEvent) {
    switch event {
    case .identified(let connection, let user, let transport, let address):
      self = .connected(user: user, connection: connection, transport: transport, address: address)
    case .disconnected(let connection, let user?, _, _): self = .disconnected(user: user, connection: connection)
    case .userChanged(let room, let userJSON, let isPresent):
      self = .userChanged(room: room, userJSON: userJSON, isPresent: isPresent)
    case .published(let room, let position, let envelope):
      self = .published(room: room, position, envelope: envelope)
    default: return nil
    }
  }

  /// About how much memory it holds.
  var byteCount: Int {
    switch self {
    case .connected(let user, let connection, _, let address): 200 + user.count + connection.count + address.count
    case .disconnected(let user, let connection): 150 + user.count + connection.count
    case .userChanged(let room, let userJSON, _): 150 + room.count + userJSON.count
    case .published(let room, _, let envelope): 150 + room.count + envelope.count
    }
  }

  /// The event as it is shown; nil for an envelope of another version.
  var event: NodeEvent? {
    switch self {
    case .connected(let user, let connection, let transport, let address):
      return .connected(
        user: text(user), connection: text(connection), transport: "\(transport.name)", address: text(address))
    case .disconnected(let user, let connection): return .disconnected(user: text(user), connection: text(connection))
    case .userChanged(let room, let userJSON, let isPresent):
      let user = ObservedEvent.user(userJSON) ?? ""
      return isPresent ? .joined(room: text(room), user: user) : .left(room: text(room), user: user)
    case .published(let room, let position, let bytes):
      guard let envelope = Envelope(bytes.span) else { return nil }
      let body: ClientMessage.Body
      switch envelope.kind {
      case .message: body = .json(JSON([UInt8(ascii: "{")] + bytes[envelope.body] + [UInt8(ascii: "}")]))
      case .binary: body = .binary(Array(bytes[envelope.body]))
      default: return nil
      }
      return .message(
        PublishedMessage(
          position: MessagePosition(position), room: text(room), user: ObservedEvent.user(Array(bytes[envelope.user])),
          body: body))
    }
  }

  private static func user(_ json: [UInt8]) -> String? { (try? JSONValue.parse(json.span))?.asString }
}

/// Names on the wire are valid UTF-8.
func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
