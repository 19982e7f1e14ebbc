import ClientProtocol
import JSONCore

/// A message of a room.
public struct Message: Sendable, Hashable {
  /// The room.
  public let room: String
  /// Who sent it; nil: a backend.
  public let user: String?
  /// Counts 1, 2, 3 … within the room's epoch; nil for an ephemeral message.
  public let offset: UInt64?
  /// When the server took it, in milliseconds since 1970.
  public let timestamp: UInt64
  /// The whole message as the server sent it: the sender's members beside `type`, `room`, `user`, `offset` and `ts`.
  public let json: JSON

  /// Decodes the sender's members; those of the protocol are skipped.
  public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value { try json.decode(type) }
}

/// A message to this user (`direct`), or to everyone (`broadcast`).
public struct PersonalMessage: Sendable, Hashable {
  /// Who sent it; nil: a backend.
  public let user: String?
  /// The whole message as the server sent it.
  public let json: JSON

  /// Decodes the sender's members; those of the protocol are skipped.
  public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value { try json.decode(type) }
}

/// Where a message was published.
public struct Ack: Sendable, Hashable {
  /// The life of the room's counter; nil for an ephemeral message.
  public let epoch: String?
  /// The message's place; nil for an ephemeral message.
  public let offset: UInt64?
}

/// What the server says about a room that was joined.
public struct Joined: Sendable, Hashable {
  /// The room.
  public let room: String
  /// The life of the room's counter; nil for a wildcard.
  public let epoch: String?
  /// The room's position.
  public let offset: UInt64
  /// Users in the room.
  public let members: Int
  /// After a lost connection: whether everything that was missed comes; false: some messages are lost. Nil for the first
  /// join.
  public let recovered: Bool?
}

/// A user in a room.
public struct Member: Sendable, Hashable, Identifiable {
  /// The name.
  public let user: String
  /// What the user's token says of it.
  public var info: JSON?
  /// What the user has set by ``Room/setState(_:)``.
  public var state: JSON?

  /// The name.
  public var id: String { user }
}

/// Past messages of a room.
public struct History: Sendable, Hashable {
  /// The life of the room's counter.
  public let epoch: String
  /// The messages, oldest first.
  public let messages: [Message]
  /// Whether there are more after the last one.
  public let more: Bool
}

/// What the server says about a connection.
public struct Welcome: Sendable, Hashable {
  /// The name of the connection.
  public let connection: String
  /// The id of the node.
  public let node: String
  /// The name of this user; nil: not known yet.
  public var user: String?
  /// Milliseconds between the server's pings.
  public let pingInterval: Int
}

/// Where a client stands.
public enum ClientState: Sendable, Hashable {
  /// There is no connection, and none is tried: before the first use, after ``Roost/close()``, or because the server closed
  /// it for good.
  case closed(code: UInt16, reason: String)
  /// A connection is being opened.
  case connecting
  /// The server has sent its welcome.
  case open
  /// The connection was lost, or could not be opened; the next attempt follows.
  case waiting(milliseconds: Int, code: UInt16, reason: String)
}

/// What happens to a client.
public enum Event: Sendable, Hashable {
  /// The state has changed.
  case state(ClientState)
  /// A connection is open.
  case welcome(Welcome)
  /// A room was joined, for the first time or again.
  case joined(Joined)
  /// An operator has taken this client out of a room, or its token no longer allows it.
  case left(room: String)
  /// A message of a room or of a room that a wildcard matches.
  case message(Message)
  /// A message to this user.
  case direct(PersonalMessage)
  /// A message to everyone.
  case broadcast(PersonalMessage)
  /// A user has come into a room.
  case userJoined(room: String, user: String, info: JSON?)
  /// A user has left a room.
  case userLeft(room: String, user: String)
  /// A user has set its state in a room, or, with nil, removed it.
  case userState(room: String, user: String, state: JSON?)
  /// Who came and went in a crowd, in sum; `more`: there were others.
  case presenceUpdate(room: String, count: Int, joined: [String], left: [String], more: Bool)
  /// Messages that this client does not get, because history no longer had them.
  case gap(room: String, from: UInt64, to: UInt64)
  /// The node has lost its Redis, or has it back.
  case degraded, restored
  /// The token expires at this time, in milliseconds since 1970. ``Roost/Options/token`` is asked for another one.
  case tokenExpires(at: UInt64)
  /// So many direct messages to this user were dropped, because too much waited for it.
  case directsDropped(Int)
  /// Binary bytes of a room.
  case binary(room: String, user: String, bytes: [UInt8])
  /// Something failed that no call waits for; `room`: it could not be joined.
  case error(ClientError, room: String?)
}

extension Message {
  init?(_ message: ServerMessage, _ text: [UInt8]) {
    guard let room = message.room else { return nil }
    self.init(
      room: string(room), user: message.user.map(string), offset: message.offset, timestamp: message.timestamp ?? 0,
      json: JSON(text))
  }
}

extension Welcome {
  init(_ message: ServerMessage) {
    self.init(
      connection: message.connection.map(string) ?? "", node: message.node.map(string) ?? "",
      user: message.user.map(string), pingInterval: Int(clamping: message.pingInterval ?? 25_000))
  }
}

extension Joined {
  init(_ room: String, _ message: ServerMessage, recovered: Bool?) {
    self.init(
      room: room, epoch: message.epoch.map(string), offset: message.offset ?? 0,
      members: Int(clamping: message.members ?? 0), recovered: recovered)
  }
}

/// Names on the wire are valid UTF-8.
func string(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

extension JSONValue {
  /// The value as text.
  var json: JSON {
    var writer = JSONWriter()
    writer.value(self)
    return JSON(writer.finish())
  }
}
