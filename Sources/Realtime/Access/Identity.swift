/// Who a client is and what it may do, as its token says. Shared by everything that was opened with the token.
public final class Identity: Sendable {
  public let user: [UInt8]
  /// One JSON value shown in presence, or nil.
  public let info: [UInt8]?
  /// The rooms it may join and publish to, or nil: all.
  public let rooms: RoomGrants?
  /// Milliseconds since 1970 at which its connections are closed, or nil: never.
  public let expiresAt: UInt64?
  /// Milliseconds since 1970 at which the token was issued (RFC 7519 section 4.1.6), or nil: not said.
  public let issuedAt: UInt64?
  // Here it fits into a gap: 16 bytes less for every connection.
  public let mayBroadcast: Bool
  /// Whether its permissions list `direct`, which counts where `client-direct` asks for it.
  public let mayDirect: Bool
  /// The token's own name (RFC 7519 section 4.1.7), by which it can be revoked, or nil.
  public let tokenID: [UInt8]?

  public init(
    user: [UInt8], info: [UInt8]? = nil, rooms: RoomGrants? = nil, mayBroadcast: Bool = false,
    mayDirect: Bool = false, expiresAt: UInt64? = nil, issuedAt: UInt64? = nil, tokenID: [UInt8]? = nil
  ) {
    self.user = user
    self.info = info
    self.rooms = rooms
    self.mayBroadcast = mayBroadcast
    self.mayDirect = mayDirect
    self.expiresAt = expiresAt
    self.issuedAt = issuedAt
    self.tokenID = tokenID
  }
}

extension Identity {
  /// Who a client is whose name is believed: everything is allowed.
  public static func believed(_ user: [UInt8]) -> Identity { Identity(user: user, mayBroadcast: true, mayDirect: true) }
}

/// The rooms that a token is good for.
public struct RoomGrants: Equatable, Sendable {
  private let readable: [RoomGlob]
  private let writable: [RoomGlob]

  /// Takes globs as tokens carry them: `chat:*` to join and publish, `r:news:*` to join only.
  public init(_ globs: [[UInt8]]) {
    var readable: [RoomGlob] = []
    var writable: [RoomGlob] = []
    for glob in globs {
      if glob.starts(with: "r:".utf8) {
        readable.append(RoomGlob(Array(glob[2...])))
      } else {
        writable.append(RoomGlob(glob))
      }
    }
    self.readable = readable
    self.writable = writable
  }

  public func mayJoin(_ room: Span<UInt8>) -> Bool {
    mayPublish(room) || readable.contains { $0.matches(room) }
  }

  public func mayPublish(_ room: Span<UInt8>) -> Bool {
    writable.contains { $0.matches(room) }
  }
}
