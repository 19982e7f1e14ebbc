import ClientProtocol
import JSONCore

/// A client as the protocol sees it: who it is and where it listens. Its bytes are its connection's business.
struct Session: ~Copyable {
  /// A room that the session has joined or is joining.
  struct Subscription {
    let room: Room
    /// Milliseconds since 1970 at which it asked to join.
    let since: UInt64
    /// The session's place in the room's roster, or nil while it is joining.
    var place: UInt32?
    private var flags: Flags

    /// What is true or not of a subscription, in one byte: a word more would be one for every member of every room.
    private struct Flags: OptionSet {
      let rawValue: UInt8
      static let lagging = Flags(rawValue: 1)
      static let mayPublish = Flags(rawValue: 2)
      static let catchingUp = Flags(rawValue: 4)
      static let ordered = Flags(rawValue: 8)
    }

    init(room: Room, since: UInt64, mayPublish: Bool, isOrdered: Bool) {
      self.room = room
      self.since = since
      flags = []
      self.mayPublish = mayPublish
      self.isOrdered = isOrdered
    }

    private func has(_ flag: Flags) -> Bool { flags.contains(flag) }

    private mutating func set(_ flag: Flags, _ isSet: Bool) {
      if isSet { flags.insert(flag) } else { flags.remove(flag) }
    }

    /// Whether the place is one among the lagging members, not in the roster.
    var isLagging: Bool {
      get { has(.lagging) }
      set { set(.lagging, newValue) }
    }

    /// Whether its token lets it publish here. Decided when it joins, so that a message costs no comparison of names.
    var mayPublish: Bool {
      get { has(.mayPublish) }
      set { set(.mayPublish, newValue) }
    }

    /// Whether the session is among the room's `catchUps`: it still has to get messages before it takes a place. The object
    /// stands there only, because every idle member would pay for a word here.
    var isCatchingUp: Bool {
      get { has(.catchingUp) }
      set { set(.catchingUp, newValue) }
    }

    /// Whether an operator has moved it here: it stays, whatever its token allows.
    var isOrdered: Bool {
      get { has(.ordered) }
      set { set(.ordered, newValue) }
    }

    /// Whether its join was answered.
    var isJoined: Bool { place != nil || isCatchingUp }
  }

  /// The connection, in the numbering of `SessionTransport`.
  let connection: UInt32
  var format: WireFormat
  let transport: Transport
  private var flags: Flags
  let address: [UInt8]
  /// Milliseconds since 1970 at which it connected.
  let since: UInt64
  /// Nil until it is authenticated.
  var user: LocalUser?
  /// What its token says, or nil: without authentication, and until it is authenticated.
  var identity: Identity?
  /// The moment of its entry in the hub's deadlines; `UInt64.max`: it has none.
  var deadline = UInt64.max
  var subscriptions: [Subscription] = []
  var inFlight = InFlight()
  /// What it may still send; nil until its first operation, and without limits.
  var rateLimiter: SessionRateLimiter?

  /// What is true or not of a session, in one byte: every idle session owns this record.
  private struct Flags: OptionSet {
    let rawValue: UInt8
    static let unwritable = Flags(rawValue: 1)
    static let expiryTold = Flags(rawValue: 2)
    static let local = Flags(rawValue: 4)
  }

  init(connection: UInt32, format: WireFormat, transport: Transport, address: [UInt8], since: UInt64, isLocal: Bool) {
    self.connection = connection
    self.format = format
    self.transport = transport
    self.address = address
    self.since = since
    flags = isLocal ? .local : []
  }

  /// Whether its connection's socket takes no more for now. Known only where a room rule asks for it.
  var isUnwritable: Bool {
    get { flags.contains(.unwritable) }
    set { if newValue { flags.insert(.unwritable) } else { flags.remove(.unwritable) } }
  }

  /// Whether `token_expires` was sent for its token.
  var isExpiryTold: Bool {
    get { flags.contains(.expiryTold) }
    set { if newValue { flags.insert(.expiryTold) } else { flags.remove(.expiryTold) } }
  }

  /// Whether the client's address is one that nobody on the internet has.
  var isLocal: Bool { flags.contains(.local) }

  func subscriptionIndex(_ room: Room) -> Int? { subscriptions.firstIndex { $0.room === room } }
}

/// An operation that waits: for its room to be joined, for a token to be judged, for its turn.
struct Postponed {
  /// In which form a client's operation comes.
  enum Form {
    /// A JSON text.
    case text
    /// A binary envelope.
    case binary
  }

  let form: Form
  let bytes: [UInt8]
  /// What its answer carries instead of its `id`; nil: the `id`.
  private let answerTag: [UInt8]?

  /// - Parameter answerID: what its answer carries, as `ClientOperation.answerID` gives it.
  init(_ form: Form, _ bytes: Span<UInt8>, answerID: [UInt8]?) {
    self.form = form
    self.bytes = [UInt8](copying: bytes)
    answerTag = RequestAnswers.isTag(answerID) ? answerID : nil
  }

  /// The operation of a text, parsed again; nil: it is none, which does not happen to one that was parsed when it came.
  var operation: ClientOperation? {
    guard form == .text, var parsed = try? ClientOperation(parsing: bytes.span) else { return nil }
    parsed.answerTag = answerTag
    return parsed
  }
}

/// A user with at least one connection on this node.
final class LocalUser: Named {
  let name: [UInt8]
  var sessions = SessionList()

  init(name: [UInt8]) { self.name = name }

  /// Appends the name as a JSON string, quotes included. Not kept: most users only listen.
  func appendNameJSON(to output: inout [UInt8]) {
    let name = name
    JSONString.append(name.span, to: &output)
  }
}

/// The places of a user's sessions. Most users have one, which costs no array.
struct SessionList {
  private var first: UInt32?
  private var rest: [UInt32] = []

  var isEmpty: Bool { first == nil }
  var count: Int { first == nil ? 0 : rest.count + 1 }

  mutating func append(_ session: UInt32) {
    if first == nil { first = session } else { rest.append(session) }
  }

  mutating func remove(_ session: UInt32) {
    if first == session {
      first = rest.popLast()
    } else {
      rest.removeAll { $0 == session }
    }
  }

  func forEach(_ body: (UInt32) -> Void) {
    guard let first else { return }
    body(first)
    for session in rest { body(session) }
  }
}
