import JSONCore

/// What happens in a room as seen by the whole cluster. The raw values are the letters of room_events.lua.
public enum RoomEventKind: UInt8, CaseIterable, Sendable {
  /// The first user entered.
  case roomCreated = 0x63  // c
  /// The last user left, graces included.
  case roomEmptied = 0x65  // e
  /// A user's first connection entered.
  case userJoined = 0x6A  // j
  /// A user's last connection left, and its grace has passed.
  case userLeft = 0x6C  // l
}

/// Which events of rooms a broker records, and how long they may wait.
public struct RoomEventPolicy: Sendable {
  /// The kinds that are recorded.
  public var kinds: Set<RoomEventKind>
  /// Events that may wait; beyond it the oldest are dropped.
  public var countMax: Int
  /// Milliseconds that an event may wait before it is dropped.
  public var ageMillisecondsMax: Int

  public init(kinds: Set<RoomEventKind>, countMax: Int, ageMillisecondsMax: Int) {
    self.kinds = kinds
    self.countMax = countMax
    self.ageMillisecondsMax = ageMillisecondsMax
  }
}

/// An event of a room as the embedded broker reports it.
public struct RoomEvent {
  public let kind: RoomEventKind
  public let room: [UInt8]
  /// The user who came or went, or nil.
  public let user: [UInt8]?
  /// The user's `info`, one JSON value, or nil.
  public let info: [UInt8]?
}

/// Events that wait to be delivered, in their order; each a JSON object.
public protocol RoomEventSource: AnyObject {
  /// Whether another process may take the events over, so that this one must ask from time to time to keep them.
  var isShared: Bool { get }
  /// Removes events that were delivered, and gives the oldest of the others: at most `limit`.
  func take(delivered: [[UInt8]], limit: Int, _ reply: @escaping (RoomEventAnswer) -> Void)
  /// Leaves the events to another process, from now on.
  func release()
}

/// What a source of events has.
public enum RoomEventAnswer {
  case page(RoomEventPage)
  /// Another process delivers the events. Those that were delivered are removed.
  case elsewhere
  /// Nothing was done.
  case unavailable
}

/// Events, and how many there are besides them.
public struct RoomEventPage {
  /// The oldest, each a JSON object.
  public var events: [[UInt8]]
  /// Events that wait, these included.
  public var waiting: Int
  /// Milliseconds that the oldest has waited.
  public var ageMilliseconds: Int
  /// Events that were dropped since the last answer, because there were too many or they were too old.
  public var dropped: Int

  public init(events: [[UInt8]], waiting: Int, ageMilliseconds: Int, dropped: Int) {
    self.events = events
    self.waiting = waiting
    self.ageMilliseconds = ageMilliseconds
    self.dropped = dropped
  }
}
