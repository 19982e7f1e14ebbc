/// What a program may choose of a client.
public struct ClientOptions: Sendable {
  /// The name of the user, where the server asks for no token; nil: the server makes one.
  public var user: String?
  /// Gives a token, a JWT; called for every connection, and before a token expires. When it throws, the client tries again
  /// after a wait.
  public var token: (@Sendable () async throws -> String)?
  /// The transports to try, in this order. One that works is kept while it works.
  public var transports = Transport.allCases
  /// Calls that wait for a connection or for an answer. One more throws ``ClientError/Code/queueFull``.
  public var offlineCallsMax = 1_000
  /// Bytes of those calls: 4 MiB. One call may wait however large it is.
  public var offlineBytesMax = 4 << 20
  /// Elements that wait for the reader of one sequence. One more ends it with ``ClientError/Code/tooSlow``.
  public var backlogMax = 10_000
  /// Bytes of those elements: 16 MiB.
  public var backlogBytesMax = 16 << 20

  /// Holds the defaults.
  public init(user: String? = nil, token: (@Sendable () async throws -> String)? = nil) {
    self.user = user
    self.token = token
  }
}
