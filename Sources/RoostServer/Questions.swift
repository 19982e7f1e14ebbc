/// A client, as handlers see it.
public struct Client: Sendable {
  /// The user's name.
  public let user: String
  /// The user's `info`, as a token or ``RoostNode/Configuration/connect`` said it.
  public let info: JSON?
  /// The name of the connection, or nil for a request without one.
  public let connection: String?
}

/// A request of a client: `{"type":"request","action":A,"payload":P}`.
public struct ClientRequest: Sendable {
  /// The name of the action.
  public let action: String
  /// What came with it, or nil.
  public let payload: JSON?
  /// Who asks.
  public let client: Client
  /// The node that was asked.
  public let node: RoostNode
}

/// A request is refused: the client gets `ok: false` with this code and message.
public struct RequestError: Error, Sendable {
  /// What programs tell errors apart by.
  public enum Code: Sendable {
    case badRequest, forbidden, notFound, rateLimited, unavailable
  }

  /// What programs tell errors apart by.
  public let code: Code
  /// What is wrong and what to do, for people.
  public let message: String

  /// Makes an error for the client to read.
  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }
}

/// A client that wants to connect.
public struct ConnectAttempt: Sendable {
  /// The connection's name; nil for a request, or for a connection that has none yet.
  public let connection: String?
  /// `websocket`, `sse` or `poll`; nil for a request that opens no connection.
  public let transport: String?
  /// The client's numeric address.
  public let address: String
  /// Who it is by its token, or says it is where names are believed; nil: this handler must say it.
  public let user: String?
  /// What its token says of the user.
  public let info: JSON?
  /// The token that it came with, where `auth` is not set. The first message `auth` does not reach this handler.
  public let token: String?
  /// The headers named in ``RoostNode/Configuration/connectHeaders``, by name in lower case.
  public let headers: [String: String]
}

/// Whether a client may connect, and who it is.
public enum ConnectAnswer: Sendable {
  /// It may, and this is said of it.
  case allow(Grant)
  /// It may not; the client reads the reason, and does not come back by itself.
  case refuse(String)

  /// It may, as this user.
  public static func allow(user: String) -> ConnectAnswer { .allow(Grant(user: user)) }

  /// What is said of a client. Nil: what its token said.
  public struct Grant: Sendable {
    /// The user's name, 1 to 200 bytes of UTF-8 without control characters.
    public var user: String?
    /// What presence shows of the user.
    public var info: JSON?
    /// Globs of the rooms that it may join and publish to: `chat:*`, and `r:news:*` to read only.
    public var rooms: [String]?
    /// Whether it may broadcast; nil: as its token says, and without one it may not.
    public var mayBroadcast: Bool?
    /// Whether it may send direct messages where the setting `client-direct` is `permission`.
    public var mayDirect: Bool?
    /// The moment at which the connection is closed with 4401, in milliseconds since 1970.
    public var expiresAt: UInt64?

    /// Says nothing but the user.
    public init(user: String? = nil) { self.user = user }
  }
}

/// Whether a client may join a room.
public enum JoinAnswer: Sendable, Equatable {
  /// It may.
  case allow
  /// It may not (`forbidden`); the client reads the reason.
  case refuse(String)
}

/// A message that a client wants to publish.
public struct ClientMessage: Sendable {
  /// What a message is made of.
  public enum Body: Sendable {
    /// A JSON object: what receivers would get beside `type`, `room`, `user`, `offset` and `ts`.
    case json(JSON)
    /// Bytes.
    case binary([UInt8])
  }

  /// The room.
  public let room: String
  /// Who publishes.
  public let client: Client
  /// What it says.
  public let body: Body
  /// Whether it is kept nowhere.
  public let isEphemeral: Bool
}

/// What becomes of a message.
public enum MessageAnswer: Sendable, Equatable {
  /// It is published as it is.
  case allow
  /// The members of this JSON object are published instead. For a JSON message only.
  case replace(JSON)
  /// It is not published (`forbidden`); the sender reads the reason.
  case refuse(String)
}

/// What a client is about to do.
public enum Attempt: Sendable, Equatable {
  /// Joining a room, or reading its presence or history. The name of a wildcard ends in a star.
  case read(room: String)
  /// Publishing in a room.
  case publish(room: String)
  /// Sending to a user.
  case direct(to: String)
  /// Sending to everyone.
  case broadcast
}
