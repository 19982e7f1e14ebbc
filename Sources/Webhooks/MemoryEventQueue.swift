import JSONCore
import Realtime
import TimeCore

/// Events that wait in a node's memory, bounded by count, bytes and age: beyond it the oldest are dropped and counted. Pure.
public final class MemoryEventQueue: RoomEventSource {
  private struct Entry {
    var event: [UInt8]
    let at: Instant
  }

  public let isShared = false
  private let countMax: Int
  private let bytesMax: Int
  private let ageMax: Interval
  private let clock: () -> Instant
  /// The oldest first, from `first` on.
  private var entries: [Entry] = []
  private var first = 0
  private var byteCount = 0
  /// The oldest that were given out and are not confirmed: they are not dropped.
  private var givenCount = 0
  /// Events that were dropped since the last `take`.
  private(set) var dropped = 0
  /// Called when an event came.
  var appended: () -> Void = {}

  /// - Parameters:
  ///   - countMax: events that may wait.
  ///   - bytesMax: bytes of these events.
  ///   - ageMax: how long one may wait.
  ///   - clock: the current moment.
  public init(countMax: Int, bytesMax: Int, ageMax: Interval, clock: @escaping () -> Instant) {
    (self.countMax, self.bytesMax, self.ageMax, self.clock) = (countMax, bytesMax, ageMax, clock)
  }

  /// Events that wait.
  public var count: Int { entries.count - first }

  /// Milliseconds that the oldest event has waited; 0: there is none.
  public var ageMilliseconds: Int { count > 0 ? (clock() - entries[first].at).milliseconds : 0 }

  /// Adds an event, one JSON object.
  public func append(_ event: [UInt8]) {
    while count > givenCount, count >= countMax || byteCount + event.count > bytesMax { dropOldest() }
    guard count < countMax, byteCount + event.count <= bytesMax else {
      // Everything that waits is on its way.
      dropped += 1
      return
    }
    entries.append(Entry(event: event, at: clock()))
    byteCount += event.count
    appended()
  }

  public func take(delivered: [[UInt8]], limit: Int, _ reply: @escaping (RoomEventAnswer) -> Void) {
    for _ in delivered.indices where count > 0 { removeFirst() }
    givenCount = 0
    let now = clock()
    while count > 0, now - entries[first].at > ageMax { dropOldest() }
    let page = entries[first...].prefix(limit).map(\.event)
    givenCount = page.count
    let droppedBefore = dropped
    dropped = 0
    reply(
      .page(
        RoomEventPage(events: page, waiting: count, ageMilliseconds: ageMilliseconds, dropped: droppedBefore)))
  }

  public func release() {}

  /// Drops the oldest event that is not on its way. Those that are, one post's, move up by one place.
  private func dropOldest() {
    dropped += 1
    byteCount -= entries[first + givenCount].event.count
    for place in stride(from: first + givenCount, to: first, by: -1) { entries.swapAt(place, place - 1) }
    entries[first].event = []
    advance()
  }

  private func removeFirst() {
    byteCount -= entries[first].event.count
    entries[first].event = []
    advance()
  }

  /// Leaves the first place. What stands before `first` is cleared away when it is half of all: each event moves once.
  private func advance() {
    first += 1
    guard first == entries.count || (first > 64 && first * 2 > entries.count) else { return }
    entries.removeFirst(first)
    first = 0
  }
}
