import ClientProtocol

/// Something that happened in a hub.
public enum HubEvent {
  /// A connection has a session.
  case connected(connection: [UInt8], transport: Transport, address: [UInt8])
  /// A session has a user.
  case identified(connection: [UInt8], user: [UInt8], transport: Transport, address: [UInt8])
  /// A session has ended. The user is nil when it had none yet.
  case disconnected(connection: [UInt8], user: [UInt8]?, transport: Transport, address: [UInt8])
  /// A token was refused, did not come, or has expired. The reason holds nothing secret.
  case notAuthenticated(connection: [UInt8], reason: String)
  /// A token could not be judged now.
  case tokenUnjudged(connection: [UInt8], reason: String)
  /// A room was created on this node: its first member joined, or its first message came for a wildcard.
  case roomCreated([UInt8])
  /// A room was removed from this node: nobody here has been in it for a while.
  case roomEnded([UInt8])
  /// This node published a message: for a client, a backend or an operator. The envelope is an encoded ``Envelope``.
  case published(room: [UInt8], Position, envelope: [UInt8])
  /// The members of a room on this node learn that a user is there, or no longer there. The user is a JSON string.
  case userChanged(room: [UInt8], userJSON: [UInt8], isPresent: Bool)

  /// What an observer may be interested in, so that no event is made that nobody wants.
  public struct Kinds: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let sessions = Kinds(rawValue: 1)
    public static let rooms = Kinds(rawValue: 2)
    public static let messages = Kinds(rawValue: 4)
    public static let presence = Kinds(rawValue: 8)
  }
}

/// Those who are informed of what happens in a hub, on the loop's thread, while it happens: an observer must not call the
/// hub back before it returns.
public struct Observers {
  private var entries: [(kinds: HubEvent.Kinds, observe: (HubEvent) -> Void)] = []
  private var allKinds: HubEvent.Kinds = []

  /// Adds an observer of some kinds of events. Before the first session only.
  public mutating func add(_ kinds: HubEvent.Kinds, _ observe: @escaping (HubEvent) -> Void) {
    entries.append((kinds, observe))
    allKinds.formUnion(kinds)
  }

  /// Reports an event, which is made only when somebody wants it.
  @inline(__always)
  func report(_ kind: HubEvent.Kinds, _ event: @autoclosure () -> HubEvent) {
    if allKinds.contains(kind) { report(kind, made: event()) }
  }

  private func report(_ kind: HubEvent.Kinds, made event: HubEvent) {
    for entry in entries where entry.kinds.contains(kind) { entry.observe(event) }
  }
}
