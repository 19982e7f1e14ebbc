import ClientProtocol

/// Why a broker could not do what was asked.
public enum BrokerError: Error, Equatable, Sendable {
  /// The broker is out of reach, or refused: nothing was done.
  case unavailable
  /// The broker went out of reach before it answered: it may have been done all the same.
  case uncertain
  /// The broker is there, and what it holds for this is not what it should be: nothing was done, and trying again changes
  /// nothing. Its log names what is wrong.
  case refused
  /// What this broker can never do, however often it is asked.
  case unsupported
}

/// Why a broker that is there does nothing, for those who ask.
public struct BrokerRefusal: Equatable, Sendable {
  /// What it does, such as `Redis refuses commands (OOM)`.
  public let what: String
  /// What its operator can change.
  public let advice: String

  public init(what: String, advice: String) {
    self.what = what
    self.advice = advice
  }
}

/// The answer of a broker, given on the loop's thread, possibly before the call that asked for it returns.
public typealias BrokerReply<Value> = (Result<Value, BrokerError>) -> Void

/// A message on its way into a room.
public struct RoomMessage {
  /// The room's name, valid by `RoomName`.
  public var room: [UInt8]
  /// The encoded `Envelope`, which every node of the room will hear.
  public var envelope: [UInt8]
  /// What makes a retry recognisable: published once per room within `Limits.dedupeMilliseconds`. Nil: always published.
  public var dedupe: [UInt8]?
  /// What its room keeps of it; nil: what the node keeps by default.
  public var retention: Retention?

  public init(room: [UInt8], envelope: [UInt8], dedupe: [UInt8]?, retention: Retention? = nil) {
    self.room = room
    self.envelope = envelope
    self.dedupe = dedupe
    self.retention = retention
  }
}

/// Which part of a room's history is asked for.
public enum HistoryQuery: Hashable, Sendable {
  /// The entries with an offset above the given one, oldest first, at most `limit`.
  case after(UInt64, limit: Int)
  /// The newest `limit` entries, oldest first.
  case newest(limit: Int)
}

/// How far a node knows a room's stream.
public struct StreamEnd: Equatable, Sendable {
  /// The last message, or where the room stood when it was entered.
  public var position: Position
  /// The time stamp of the message at `position`; 0 when it was not heard.
  public var timestamp: UInt64

  public init(position: Position, timestamp: UInt64) {
    self.position = position
    self.timestamp = timestamp
  }
}

/// A place in a room's members, which are in the order of their users, then of their names.
public struct MemberCursor: Hashable, Sendable {
  public var user: [UInt8]
  /// The connection after which to go on; nil: after the last one of the user.
  public var connection: [UInt8]?

  public init(user: [UInt8], connection: [UInt8]? = nil) {
    self.user = user
    self.connection = connection
  }

  /// Whether a connection of a user stands behind it.
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

/// Whom a message outside of rooms is for.
public enum Audience: Equatable, Sendable {
  /// Every connection of one user, on any node.
  case user([UInt8])
  /// Every connection of the cluster.
  case everyone
}

/// A page of the list of rooms.
public struct RoomListing {
  /// Rooms with at least one member on a live node, ascending by name.
  public var rooms: [(name: [UInt8], userCount: Int)]
  /// The name to continue after, or nil at the end.
  public var next: [UInt8]?
  /// Whether no room was left out because what knows it is out of reach.
  public var isComplete: Bool

  public init(rooms: [(name: [UInt8], userCount: Int)], next: [UInt8]?, isComplete: Bool = true) {
    self.rooms = rooms
    self.next = next
    self.isComplete = isComplete
  }
}

/// A live node and the report that it renews its lease with.
public struct NodeEntry: Equatable, Sendable {
  public var id: [UInt8]
  /// A JSON object of counters, as `BrokerListener.nodeReport` made it.
  public var report: [UInt8]

  public init(id: [UInt8], report: [UInt8]) {
    self.id = id
    self.report = report
  }
}

/// Carries messages between nodes, keeps the order and the history of rooms, and knows who is where.
///
/// Two answers: `EmbeddedBroker` for one node without Redis, and the Redis backend. Both pass one contract test.
/// Everything is called on the loop's thread, and everything answers there. A call that fails has no effect that the
/// caller must undo: `enter` and `connect` are remembered by the caller, who asserts them again on `presenceLost`.
public protocol Broker: AnyObject {
  /// Who hears what arrives. Set once, before anything else is called; not owned.
  var listener: (any BrokerListener)? { get set }

  /// Begins to work: connects, takes the node's lease, sweeps after dead nodes.
  func start()
  /// Ends in order: gives up the node's lease, so that nobody has to wait for it. Answers when that is done or failed.
  func stop(_ reply: @escaping () -> Void)
  /// Ends in order, and leaves the members that this node still has in their rooms for so many milliseconds: users who are
  /// back on another node by then have not left. Answers when that is done or failed.
  func handOver(forMilliseconds grace: Int, _ reply: @escaping () -> Void)
  /// Whether notices may be lost or said twice, so that the listener has to remember what it was told.
  var losesNotices: Bool { get }
  /// Whether a publish would be taken now; with several masters, in some room.
  var isAvailable: Bool { get }
  /// Whether nothing is out of reach.
  var isWhole: Bool { get }
  /// What it refused a moment ago though it is there; nil: nothing, so what fails does because it is out of reach.
  var refusal: BrokerRefusal? { get }

  // MARK: Messages

  /// Gives a message its offset, keeps it in the room's history and has every subscribed node hear it, in one step.
  /// A retry within the dedupe time answers with the first position and publishes nothing. What has a `dedupe` and gets
  /// no answer is tried again within a bounded time; without one the answer is `uncertain`.
  func publish(_ message: RoomMessage, _ reply: @escaping BrokerReply<Position>)
  /// Sends an encoded `Envelope` of the kind `ephemeral` to every node that is subscribed to a room now. It gets no offset
  /// and is kept nowhere: what a node misses is lost. Answers when it was sent.
  func publish(ephemeral envelope: [UInt8], in room: [UInt8], _ reply: @escaping BrokerReply<Void>)
  /// Starts hearing a room. Answers when nothing published from now on can be missed.
  func subscribe(room: [UInt8], _ reply: @escaping BrokerReply<Void>)
  /// Stops hearing a room.
  func unsubscribe(room: [UInt8])
  /// Starts hearing the messages of every room whose name begins with `prefix`, notices excepted. A message of a room
  /// that is subscribed as well may come twice. Answers when nothing published from now on can be missed, or
  /// `unsupported`.
  func subscribe(prefix: [UInt8], _ reply: @escaping BrokerReply<Void>)
  /// Stops hearing the rooms of a prefix, those excepted that are subscribed by name or by another prefix.
  func unsubscribe(prefix: [UInt8])
  /// Reads where a room is, and writes nothing. A room that nobody stays in and nobody has published in is at offset 0 of an
  /// epoch that nothing else ever has: the next to ask gets another one.
  func position(room: [UInt8], _ reply: @escaping BrokerReply<Position>)
  /// Reads where a room is for somebody who stays there without being a member: a room nobody has published in is at offset 0
  /// of an epoch that later publishes keep, until some time after `unsubscribe`.
  func begin(room: [UInt8], _ reply: @escaping BrokerReply<Position>)
  /// Reads where a room is, and makes sure that what a node knows of its stream is still so: a Redis that was replaced
  /// by its replica, or restarted from a file, may have lost the last messages and given their offsets to others. Then
  /// the room begins a new epoch.
  func compare(room: [UInt8], with known: StreamEnd, _ reply: @escaping BrokerReply<Position>)
  /// Reads a piece of a room's history: from its oldest message on as many as `bytesMax` bytes hold, and one at least.
  func history(
    room: [UInt8], _ query: HistoryQuery, bytesMax: Int, _ reply: @escaping BrokerReply<HistoryPage>)
  /// Sends an encoded `Envelope` outside of rooms, without history. Answers with the number of connections it is for,
  /// dead nodes' connections not counted (for everyone: 0, nobody counts). A retry with the same `dedupe` within the
  /// dedupe time sends nothing and answers with the first number; nil: always sent.
  func send(_ envelope: [UInt8], to audience: Audience, dedupe: [UInt8]?, _ reply: @escaping BrokerReply<Int>)

  // MARK: Revocations

  /// Keeps for everyone, also beyond the end of any node, what is no longer to be accepted. Answers with the moment at
  /// which that ends, or nil when `Limits.revocationsMax` stand already.
  func revoke(_ subject: Revocation.Subject, forMilliseconds: UInt64, _ reply: @escaping BrokerReply<UInt64?>)
  /// Reads the revocations that stand.
  func revocations(_ reply: @escaping BrokerReply<[Revocation]>)

  // MARK: Presence

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
  /// Keeps what a user says about itself in a room, one JSON value, or removes it (nil): every node of the room receives
  /// `userState`. The newest replaces what was there, and it goes when the user leaves. Does nothing for a user who is not
  /// in the room. Answers when it is kept.
  ///
  /// - Parameter isAssertion: whether it was said before and may have been forgotten: it replaces nothing, and is announced
  ///   only where it was missing.
  func setState(
    room: [UInt8], _ member: Member, _ state: [UInt8]?, isAssertion: Bool, _ reply: @escaping BrokerReply<Void>)
  /// Reads a page of a room's members on live nodes, ascending by user, then by name: at most `limit` of them, and at most
  /// `Limits.memberPageMax`. The time that it takes grows with the page, not with the room.
  func members(room: [UInt8], after cursor: MemberCursor?, limit: Int, _ reply: @escaping BrokerReply<MemberPage>)
  /// Reads a page of a room's users, in any order, those of dead nodes too until they have been said to have left.
  /// A user who is there from the first page to the last is in one of them.
  func users(room: [UInt8], from cursor: [UInt8]?, _ reply: @escaping BrokerReply<UserPage>)
  /// The number of users in a room, where the broker is within the process and knows it at once; nil elsewhere.
  func userCountAtOnce(room: [UInt8]) -> Int?
  /// Starts hearing what is sent to a user: its first connection is here.
  func subscribe(user: [UInt8])
  /// Stops hearing what is sent to a user: its last connection here is gone.
  func unsubscribe(user: [UInt8])
  /// Registers a connection under its user and its node.
  func connect(_ member: Member)
  /// Takes a connection's registration back.
  func disconnect(_ member: Member)
  /// Lists a user's connections on live nodes.
  func connections(of user: [UInt8], _ reply: @escaping BrokerReply<[Member]>)
  /// Finds one connection by its name, or nil.
  func connection(named name: [UInt8], _ reply: @escaping BrokerReply<Member?>)
  /// Lists rooms whose name begins with `prefix`, after `cursor`, at most `limit`. Of several masters those in reach answer.
  func rooms(prefix: [UInt8], after cursor: [UInt8]?, limit: Int, _ reply: @escaping BrokerReply<RoomListing>)
  /// Lists the live nodes, ascending by id.
  func nodes(_ reply: @escaping BrokerReply<[NodeEntry]>)
}

extension Broker {
  /// Stops: where there is no other node, there is nobody to hand members over to.
  public func handOver(forMilliseconds grace: Int, _ reply: @escaping () -> Void) { stop(reply) }

  /// Reads a page of the usual size.
  public func history(room: [UInt8], _ query: HistoryQuery, _ reply: @escaping BrokerReply<HistoryPage>) {
    history(room: room, query, bytesMax: Limits.historyPageBytesMax, reply)
  }

  /// Sends without looking for a retry.
  public func send(_ envelope: [UInt8], to audience: Audience, _ reply: @escaping BrokerReply<Int>) {
    send(envelope, to: audience, dedupe: nil, reply)
  }
}

extension Broker {
  /// A broker that is asked over a network knows nothing at once.
  public func userCountAtOnce(room: [UInt8]) -> Int? { nil }

  /// With a single place behind it a broker is whole when it is available.
  public var isWhole: Bool { isAvailable }

  /// A broker without a server behind it refuses nothing.
  public var refusal: BrokerRefusal? { nil }

  /// Where a room lives as long as it is subscribed to, reading is all there is to do.
  public func begin(room: [UInt8], _ reply: @escaping BrokerReply<Position>) { position(room: room, reply) }

  /// A broker that never loses what it has acknowledged needs no comparison.
  public func compare(room: [UInt8], with known: StreamEnd, _ reply: @escaping BrokerReply<Position>) {
    position(room: room, reply)
  }
}

/// Chooses rooms by their name.
public typealias RoomFilter = (_ room: [UInt8]) -> Bool

/// Hears what a broker brings. Called on the loop's thread; the spans are valid during the call only.
public protocol BrokerListener: AnyObject {
  /// A message of a room, in the order of the room's channel. Positions may skip or repeat after a fault.
  func heard(room: Span<UInt8>, at position: Position, envelope: Span<UInt8>)
  /// A notice of a room that has no offset: `userJoined`, `userLeft`, `userLeaving`, `userState`, `ephemeral`.
  func heard(room: Span<UInt8>, notice: Span<UInt8>)
  /// Something sent to one user. Returns the number of connections here that it was given to.
  @discardableResult
  func heard(user: Span<UInt8>, envelope: Span<UInt8>) -> Int
  /// Something sent to everyone.
  func heardByEveryone(envelope: Span<UInt8>)

  /// The broker went out of reach. Said once per outage.
  func brokerLost()
  /// The subscriptions of the rooms that `isAffected` chooses (nil: of all) are gone: nothing of them is heard until
  /// `brokerRestored` names them.
  func subscriptionsLost(where isAffected: RoomFilter?)
  /// The subscriptions of the rooms that `isAffected` chooses (nil: of all) stand again: time to compare their positions.
  /// Said after every outage, and whenever subscriptions had to be renewed.
  func brokerRestored(where isAffected: RoomFilter?)
  /// The rooms that `isAffected` chooses (nil: all) may not be where they were: what was heard in them was not handed on, or
  /// another broker's process has taken over. Time to compare their positions, before anything is published in them.
  func doubted(where isAffected: RoomFilter?)
  /// The broker has forgotten who is connected here (restarted empty, or took this node for dead): assert every
  /// connection, member and state again.
  func presenceLost()
  /// Whether a connection of this node is there, and in the room if one is named. What the broker holds of others is to go:
  /// it was told that they left, and has forgotten it.
  func isHere(_ connection: Span<UInt8>, in room: [UInt8]?) -> Bool
  /// Makes the node's report for its lease: one JSON object.
  func nodeReport() -> [UInt8]
}

extension Result where Failure == BrokerError {
  /// Why it failed; `unavailable` for what has not.
  var fault: BrokerError { if case .failure(let error) = self { error } else { .unavailable } }
}
