import ClientProtocol

/// What a client is about to do, for those who may forbid it.
public enum ClientAction {
  /// Joining a room, or reading its presence or history. The name of a wildcard ends in a star.
  case read(room: [UInt8])
  case publish(room: [UInt8])
  case direct(to: [UInt8])
  case broadcast
}

/// The client who is about to do something.
public struct Principal {
  public let user: [UInt8]
  /// The user's `info`, one JSON value, or nil.
  public let info: [UInt8]?
  /// The connection's name, or nil for a request without one.
  public let connection: [UInt8]?

  public init(user: [UInt8], info: [UInt8]?, connection: [UInt8]?) {
    self.user = user
    self.info = info
    self.connection = connection
  }
}

/// Those who may forbid what clients do, beyond what tokens and room rules forbid. They decide at once, on the loop's thread.
public struct Authorisers {
  /// Returns why it is forbidden, for the client to read; nil: it may be done.
  public typealias Authoriser = (ClientAction, Principal) -> String?

  private var authorisers: [Authoriser] = []

  var isEmpty: Bool { authorisers.isEmpty }

  /// Adds one. What one of them forbids is forbidden.
  public mutating func add(_ authoriser: @escaping Authoriser) { authorisers.append(authoriser) }

  func refusal(of action: ClientAction, by principal: Principal) -> String? {
    authorisers.lazy.compactMap { $0(action, principal) }.first
  }
}
