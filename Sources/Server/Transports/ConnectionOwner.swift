import ClientProtocol
import LoopCore
import Realtime

/// In whose name a request asks something of a connection, and with what rights. Pure.
struct ConnectionOwner: Equatable {
  /// Bytes of `rights`: as many as make two different grants with one digest unobtainable.
  static let rightsBytes = 32

  let user: [UInt8]
  /// A digest of what the request's token grants; nil: names are believed, and there are no rights.
  let rights: [UInt8]?

  init(user: [UInt8], rights: [UInt8]? = nil) {
    self.user = user
    self.rights = rights
  }

  /// - Parameter identity: what the request's token says; nil: names are believed.
  init(user: [UInt8], _ identity: Identity?) {
    self.init(user: user, rights: identity.map { Digest.sha256($0.rights) })
  }

  /// The owner of a session; nil: it has no user yet.
  init?(of session: SlabID, _ hub: Hub) {
    guard let user = hub.userName(of: session) else { return nil }
    self.init(user: user, rights: hub.rights(of: session).map { Digest.sha256($0) })
  }

  /// Why a connection of another owner may not be used; nil: it may. A token opens the connections that were opened with
  /// its own grants and no others: one that allows less must not reach what another allows, and what has come down a
  /// connection cannot be divided by rooms.
  func refusal(of owner: ConnectionOwner) -> ProtocolError? {
    guard user == owner.user else { return ProtocolError(.forbidden, "the connection is another user's") }
    guard let rights, let others = owner.rights, rights != others else { return nil }
    return ProtocolError(
      .forbidden,
      "the connection was opened with a token of other rooms or permissions: use a token that grants the same, or open another connection"
    )
  }
}
