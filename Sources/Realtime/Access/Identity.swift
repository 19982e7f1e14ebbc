/// Who a client is and what it may do, as its token says. Shared by everything that was opened with the token.
public final class Identity: Sendable {
  public let user: [UInt8]
  /// One JSON value shown in presence, or nil.
  public let info: [UInt8]?
  /// The rooms it may join and publish to, or nil: all.
  public let rooms: RoomGrants?
  // Every connection may have an identity of its own, so the two times have no flags beside them.
  private let expiry: UInt64
  private let issue: UInt64
  /// What the token says by itself, where a decision of the backend has taken its place; nil: nothing else was said.
  let proven: Identity?
  // Here it fits into a gap: 16 bytes less for every connection.
  public let mayBroadcast: Bool
  /// Whether its permissions list `direct`, which counts where `client-direct` asks for it.
  public let mayDirect: Bool
  /// The token's own name (RFC 7519 section 4.1.7), by which it can be revoked, or nil.
  public let tokenID: [UInt8]?

  public init(
    user: [UInt8], info: [UInt8]? = nil, rooms: RoomGrants? = nil, mayBroadcast: Bool = false,
    mayDirect: Bool = false, expiresAt: UInt64? = nil, issuedAt: UInt64? = nil, tokenID: [UInt8]? = nil,
    proven: Identity? = nil
  ) {
    self.user = user
    self.info = info
    self.rooms = rooms
    self.mayBroadcast = mayBroadcast
    self.mayDirect = mayDirect
    expiry = expiresAt ?? .max
    issue = issuedAt ?? .max
    self.tokenID = tokenID
    self.proven = proven
  }

  /// Milliseconds since 1970 at which its connections are closed, or nil: never.
  public var expiresAt: UInt64? { expiry == .max ? nil : expiry }
  /// Milliseconds since 1970 at which the token was issued (RFC 7519 section 4.1.6), or nil: not said.
  public var issuedAt: UInt64? { issue == .max ? nil : issue }

  /// What the token grants, as one text: two tokens that grant the same have the same, whatever the order of their rooms.
  /// Of a decision by the backend on a token it is what the token says by itself.
  public var rights: [UInt8] {
    if let proven { return proven.rights }
    var text: [UInt8] = [UInt8(ascii: mayBroadcast ? "b" : "-"), UInt8(ascii: mayDirect ? "d" : "-")]
    (rooms ?? RoomGrants([Array("*".utf8)])).append(to: &text)
    return text
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

  /// Appends the globs in an order that does not depend on the token's, each once and with its length.
  func append(to text: inout [UInt8]) {
    for (letter, globs) in [("w", writable), ("r", readable)] {
      var last: [UInt8]?
      for glob in globs.map(\.bytes).sorted(by: { $0.lexicographicallyPrecedes($1) }) where glob != last {
        text.append(contentsOf: "\(letter)\(glob.count):".utf8)
        text += glob
        last = glob
      }
    }
  }
}
