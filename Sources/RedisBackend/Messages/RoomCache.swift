import ClientProtocol
import Realtime

/// Caches of the rooms that a node uses what saves Redis work: their epochs, and when the lives of their keys are due to be
/// refreshed. A room that it forgets costs one refresh more, and one read of the epoch.
struct RoomCache {
  /// What a publish sends along about the room.
  struct Dues: Equatable {
    /// The room's epoch as text, empty when it is not known.
    var epoch: [UInt8] = []
    /// Whether the life of the counter, and that of the log, is due.
    var isMetaDue = false
    var isLogDue = false
    /// Whether the log is to be cut to its size: every `RedisLimits.publishesPerTrim`, and whenever its life is due.
    var isTrimDue = false
  }

  private struct Entry {
    var epoch: [UInt8] = []
    /// Nanoseconds of the monotonic clock.
    var metaDue: UInt64 = 0
    var logDue: UInt64 = 0
    /// Whether the lives are due with the next publish in any case.
    var isPublishDue = false
    var untrimmed = 0

    mutating func publish(_ now: UInt64, _ metaPeriod: UInt64, _ logPeriod: UInt64) -> Dues {
      let isMetaDue = renewMeta(now, metaPeriod) || isPublishDue
      isPublishDue = false
      let isLogDue = isMetaDue || now >= logDue
      if isLogDue { logDue = now + logPeriod }
      untrimmed += 1
      let isTrimDue = isLogDue || untrimmed >= RedisLimits.publishesPerTrim
      if isTrimDue { untrimmed = 0 }
      return Dues(epoch: epoch, isMetaDue: isMetaDue, isLogDue: isLogDue, isTrimDue: isTrimDue)
    }

    mutating func renewMeta(_ now: UInt64, _ period: UInt64) -> Bool {
      guard now >= metaDue else { return false }
      metaDue = now + period
      return true
    }
  }

  private let metaPeriod: UInt64
  private let logPeriod: UInt64
  private var rooms: [[UInt8]: Entry] = [:]
  private var sweepDue: UInt64 = 0

  init(metaMilliseconds: Int, logMilliseconds: Int) {
    metaPeriod = UInt64(metaMilliseconds) * 1_000_000
    logPeriod = UInt64(logMilliseconds) * 1_000_000
  }

  /// Rooms remembered.
  var count: Int { rooms.count }

  /// Forgets all rooms.
  mutating func shrink() { rooms = [:] }

  /// What to send with a publish at `now` (nanoseconds). Counts it as sent.
  mutating func publish(in room: [UInt8], now: UInt64) -> Dues {
    sweep(now)
    return rooms[room, default: Entry()].publish(now, metaPeriod, logPeriod)
  }

  /// Whether the life of the room's counter is due at `now`. It then is not until the period ends.
  mutating func isMetaDue(_ room: [UInt8], now: UInt64) -> Bool {
    sweep(now)
    return rooms[room, default: Entry()].renewMeta(now, metaPeriod)
  }

  /// The room's epoch as text, empty when it is not known.
  func epoch(of room: [UInt8]) -> [UInt8] { rooms[room]?.epoch ?? [] }

  /// Makes the life of a room's counter and log due with the next publish there.
  mutating func makeDue(_ room: [UInt8]) { rooms[room]?.isPublishDue = true }

  /// Notes the room's epoch. Returns whether another one was known.
  ///
  /// - Parameter isCounting: whether messages may be counted in it.
  mutating func learn(_ epoch: Epoch, of room: [UInt8], isCounting: Bool) -> Bool {
    guard let known = rooms[room]?.epoch else { return false }
    var text: [UInt8] = []
    epoch.append(to: &text)
    if known != text { rooms[room]?.epoch = isCounting ? text : [] }
    return !known.isEmpty && known != text
  }

  /// Forgets, once in a period, the rooms that were not used for as long; all of them when they are too many.
  private mutating func sweep(_ now: UInt64) {
    if rooms.count >= RedisLimits.rememberedRoomsMax { rooms = [:] }
    guard now >= sweepDue else { return }
    sweepDue = now + metaPeriod
    rooms = rooms.filter { $0.value.metaDue + metaPeriod > now }
  }
}
