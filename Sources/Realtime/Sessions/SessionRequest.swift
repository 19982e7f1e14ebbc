import ClientProtocol

/// What a connection brings to its session.
public struct SessionRequest {
  /// The connection, in the numbering of `SessionTransport`.
  public var connection: UInt32
  public var format: WireFormat
  public var transport: Transport
  /// The client's numeric address.
  public var address: [UInt8]
  /// The user, when it is known without a token.
  public var user: [UInt8]?
  /// What a token that was judged already says, or nil.
  public var identity: Identity?
  /// A token that came with the connection and is still to be judged, or nil.
  public var token: [UInt8]?
  /// The headers of its request that go along where others decide who may connect.
  public var headers: [HeaderLine] = []
  /// Whether the address is loopback or private, which limits that were not set spare.
  public var isLocal: Bool

  public init(
    connection: UInt32, format: WireFormat, transport: Transport, address: [UInt8], user: [UInt8]? = nil,
    identity: Identity? = nil, token: [UInt8]? = nil, isLocal: Bool = false
  ) {
    self.connection = connection
    self.format = format
    self.transport = transport
    self.address = address
    self.user = user
    self.identity = identity
    self.token = token
    self.isLocal = isLocal
  }
}
