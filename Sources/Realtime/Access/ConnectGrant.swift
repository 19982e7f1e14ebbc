/// What an answer to a ``ConnectQuestion`` says of a client beside that it may connect. Nil: nothing.
public struct ConnectGrant: Equatable, Sendable {
  /// The user's name, which is valid.
  public var user: [UInt8]?
  /// One JSON value.
  public var info: [UInt8]?
  public var rooms: RoomGrants?
  public var permissions: Permissions?
  /// Milliseconds since 1970 at which the connection is closed.
  public var expiresAt: UInt64?

  /// Which permissions it lists.
  public struct Permissions: Equatable, Sendable {
    public let mayBroadcast: Bool
    public let mayDirect: Bool

    public init(mayBroadcast: Bool, mayDirect: Bool) {
      self.mayBroadcast = mayBroadcast
      self.mayDirect = mayDirect
    }
  }

  public init() {}

  /// What holds a connection to an identity that was decided on before, whatever token comes later.
  init(holdingTo identity: Identity) {
    user = identity.user
    info = identity.info
    rooms = identity.rooms
    permissions = Permissions(mayBroadcast: identity.mayBroadcast, mayDirect: identity.mayDirect)
    expiresAt = identity.expiresAt
  }

  /// Whether it says nothing.
  var isEmpty: Bool { self == ConnectGrant() }

  /// The identity of the client: what this says, and for the rest what was known before. Of two ends the earlier counts.
  /// Nil: neither names the user.
  ///
  /// - Parameter known: what a token says, or that the user's name is believed; nil: nothing.
  func identity(beyond known: Identity?) -> Identity? {
    guard let user = user ?? known?.user else { return nil }
    let ends = [expiresAt, known?.expiresAt].compactMap { $0 }
    return Identity(
      user: user, info: info ?? known?.info, rooms: rooms ?? known?.rooms,
      mayBroadcast: permissions?.mayBroadcast ?? known?.mayBroadcast ?? false,
      mayDirect: permissions?.mayDirect ?? known?.mayDirect ?? false,
      expiresAt: ends.min(), issuedAt: known?.issuedAt, tokenID: known?.tokenID,
      proven: known.map { $0.proven ?? $0 })
  }
}
