/// How much of a room is kept for those who come back.
public struct Retention: Equatable, Sendable {
  /// Messages kept; 0 keeps none, so that whatever is missed is lost.
  public let messagesMax: Int
  /// Milliseconds for which they are kept.
  public let milliseconds: Int

  public init(messagesMax: Int, milliseconds: Int) {
    self.messagesMax = messagesMax
    self.milliseconds = milliseconds
  }
}

/// What becomes of a room's messages for a member whose connection does not take them.
public enum SlowPolicy: Equatable, Sendable {
  /// They are queued; past the queue's limit the connection is closed with 4408 and can resume.
  case disconnect
  /// The room keeps the newest ones for it; `gap` reports what it misses of the older ones.
  case dropOldest
  /// The room keeps for it the newest message of each key.
  case latest
}

/// How rooms of some names behave. Shared by all of them; read once when a room is made, never per message.
public final class RoomRule: Sendable {
  /// What holds for rooms that no rule names.
  public static let standard = RoomRule()

  /// Nil: what the node keeps by default.
  public let retention: Retention?
  /// Whether members show in presence, and `user_joined` and `user_left` are said.
  public let hasPresence: Bool
  /// Whether clients may join.
  public let mayJoin: Bool
  /// Whether clients may publish. The admin endpoint always may.
  public let mayPublish: Bool
  public let slow: SlowPolicy
  /// The member of a message whose value names what the message is about, for `SlowPolicy.latest`; nil: all messages
  /// are about one thing.
  public let key: [UInt8]?
  /// Milliseconds between two flushes to the room's members; 0: whenever there is something.
  public let throttleMilliseconds: Int
  /// Bytes that the room keeps for lagging members. Beyond it the oldest go.
  public let lagBytesMax: Int
  /// Users up to which each join and leave is announced; nil: as for all rooms.
  public let announceMax: Int?
  /// Milliseconds between two summaries; nil: as for all rooms.
  public let presenceIntervalMilliseconds: Int?
  /// Milliseconds for which a user who has left is still there; nil: as for all rooms.
  public let leaveDebounceMilliseconds: Int?

  public init(
    retention: Retention? = nil, hasPresence: Bool = true, mayJoin: Bool = true, mayPublish: Bool = true,
    slow: SlowPolicy = .disconnect, key: [UInt8]? = nil, throttleMilliseconds: Int = 0, lagBytesMax: Int = 1 << 20,
    announceMax: Int? = nil, presenceIntervalMilliseconds: Int? = nil, leaveDebounceMilliseconds: Int? = nil
  ) {
    self.retention = retention
    self.hasPresence = hasPresence
    self.mayJoin = mayJoin
    self.mayPublish = mayPublish
    self.slow = slow
    self.key = key
    self.throttleMilliseconds = throttleMilliseconds
    self.lagBytesMax = lagBytesMax
    self.announceMax = announceMax
    self.presenceIntervalMilliseconds = presenceIntervalMilliseconds
    self.leaveDebounceMilliseconds = leaveDebounceMilliseconds
  }

  /// Whether a slow member costs messages rather than its connection.
  var sparesSlowReaders: Bool { slow != .disconnect }
  /// Whether a flush holds only the newest message of each key.
  var conflatesFlushes: Bool { throttleMilliseconds > 0 && slow == .latest }
}

/// The rules of a node, in the order in which they are tried. All nodes of a cluster need the same ones.
public struct RoomRules: Sendable {
  private let rules: [(match: RoomGlob, rule: RoomRule)]
  /// Whether any rule spares slow readers.
  let spareSlowReaders: Bool

  public init(_ rules: [(match: RoomGlob, rule: RoomRule)] = []) {
    self.rules = rules
    spareSlowReaders = rules.contains { $0.rule.sparesSlowReaders }
  }

  /// The first rule whose glob fits, or the standard one.
  public func rule(for room: Span<UInt8>) -> RoomRule {
    for candidate in rules where candidate.match.matches(room) { return candidate.rule }
    return .standard
  }

  /// What a room keeps, where `standard` is what the node keeps by default.
  public func retention(of room: [UInt8], standard: Retention) -> Retention {
    rules.isEmpty ? standard : rule(for: room.span).retention ?? standard
  }

  /// Milliseconds for which a user who has left a room is still there, where `standard` holds for all rooms.
  public func leaveDebounceMilliseconds(of room: [UInt8], standard: Int) -> Int {
    rules.isEmpty ? standard : rule(for: room.span).leaveDebounceMilliseconds ?? standard
  }

  /// The longest time that any rule keeps messages, in milliseconds; 0 without one.
  public var retentionMillisecondsMax: Int { rules.compactMap { $0.rule.retention?.milliseconds }.max() ?? 0 }
}
