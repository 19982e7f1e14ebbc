import ClientProtocol

/// A place in a room's members, which are in the order of their users, then of their names.
public struct MemberCursor: Hashable, Sendable {
  public var user: [UInt8]
  /// The connection after which to go on; nil: after the last one of the user.
  public var connection: [UInt8]?

  public init(user: [UInt8], connection: [UInt8]? = nil) {
    self.user = user
    self.connection = connection
  }

  /// Whether a connection of a user comes after it.
  func isBefore(_ user: [UInt8], _ name: [UInt8]) -> Bool {
    guard user == self.user else { return self.user.lexicographicallyPrecedes(user) }
    return connection.map { $0.lexicographicallyPrecedes(name) } ?? false
  }
}

/// A part of a room's members.
public struct MemberPage: Equatable, Sendable {
  /// Ascending by user, then by name. A user whose grace runs has one with an empty name, of no node.
  public var members: [Member]
  /// What users of the page say about themselves, as JSON, by user.
  public var states: [[UInt8]: [UInt8]]
  /// Users in the whole room.
  public var userCount: Int
  /// Connections in the whole room.
  public var connectionCount: Int
  /// Where to go on, or nil at the end.
  public var next: MemberCursor?

  public init(
    members: [Member], states: [[UInt8]: [UInt8]] = [:], userCount: Int, connectionCount: Int, next: MemberCursor?
  ) {
    self.members = members
    self.states = states
    self.userCount = userCount
    self.connectionCount = connectionCount
    self.next = next
  }
}

/// A part of a room's users.
public struct UserPage: Equatable, Sendable {
  public var users: [[UInt8]]
  /// What users of the page say about themselves, as JSON, by user.
  public var states: [[UInt8]: [UInt8]]
  /// Where to go on, opaque; nil at the end.
  public var next: [UInt8]?

  public init(users: [[UInt8]], states: [[UInt8]: [UInt8]] = [:], next: [UInt8]?) {
    self.users = users
    self.states = states
    self.next = next
  }
}

/// The presence of a broker: which connections are in which rooms, and what they say about themselves.
public protocol PresenceBroker: AnyObject {
  /// Whether notices may be lost or repeated, so that the listener has to remember what it received.
  var losesNotices: Bool { get }
  /// Puts a connection into a room's members; idempotent. When it is its user's first there, every node of the room
  /// receives a `userJoined` notice; a user who is back within its grace has never left.
  func enter(room: [UInt8], _ member: Member, _ reply: @escaping BrokerReply<Position>)
  /// Takes a connection out of a room's members. When it was its user's last there, every node of the room receives
  /// `userLeft`; with a grace the user stays, every node receives `userLeaving`, and `userLeft` follows once `endGraces`
  /// finds that the grace has passed.
  func leave(room: [UInt8], _ member: Member, graceMilliseconds: Int)
  /// Ends the stay of users whose grace has passed: `userLeft` for each. Answers with the milliseconds until the next
  /// grace in the room ends, or nil when there is none.
  func endGraces(room: [UInt8], _ reply: @escaping BrokerReply<Int?>)
  /// Keeps a user's state in a room, one JSON value, or removes it (nil): every node of the room receives
  /// `userState`. The newest replaces what was there, and it goes when the user leaves. Does nothing for a user who is not
  /// in the room. Answers when it is kept.
  ///
  /// - Parameter isAssertion: whether it was set before and may have been forgotten: it replaces nothing, and is announced
  ///   only where it was missing.
  func setState(
    room: [UInt8], _ member: Member, _ state: [UInt8]?, isAssertion: Bool, _ reply: @escaping BrokerReply<Void>)
  /// Reads a page of a room's members on live nodes, ascending by user, then by name: at most `limit` of them, and at most
  /// `Limits.memberPageMax`. The time that it takes grows with the page, not with the room.
  func members(room: [UInt8], after cursor: MemberCursor?, limit: Int, _ reply: @escaping BrokerReply<MemberPage>)
  /// Reads a page of a room's users, in any order, those of dead nodes too until their `userLeft` was sent.
  /// A user who is there from the first page to the last is in one of them.
  func users(room: [UInt8], from cursor: [UInt8]?, _ reply: @escaping BrokerReply<UserPage>)
  /// The number of users in a room, where the broker is within the process and knows it at once; nil elsewhere.
  func userCountAtOnce(room: [UInt8]) -> Int?
  /// Subscribes this node to what is sent to a user: its first connection is here.
  func subscribe(user: [UInt8])
  /// Unsubscribes this node from what is sent to a user: its last connection here is gone.
  func unsubscribe(user: [UInt8])
  /// Registers a connection under its user and its node.
  func connect(_ member: Member)
  /// Removes a connection's registration.
  func disconnect(_ member: Member)
  /// Lists a user's connections on live nodes.
  func connections(of user: [UInt8], _ reply: @escaping BrokerReply<[Member]>)
  /// Finds one connection by its name, or nil.
  func connection(named name: [UInt8], _ reply: @escaping BrokerReply<Member?>)
}

extension PresenceBroker {
  /// A broker that is asked over a network knows nothing at once.
  public func userCountAtOnce(room: [UInt8]) -> Int? { nil }
}
