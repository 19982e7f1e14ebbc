import ClientProtocol
import JSONCore
import Realtime

/// Reads positions and history of rooms, and verifies that what a node has delivered is still there.
final class RoomReader {
  private let epochs: RoomEpochs
  private let presence: PresenceBatch
  /// Rooms that were begun for members that are not in presence.
  private var begunRooms: Set<[UInt8]> = []
  private let context: BrokerContext

  init(_ context: BrokerContext, epochs: RoomEpochs, presence: PresenceBatch) {
    self.context = context
    self.epochs = epochs
    self.presence = presence
  }

  // MARK: Positions

  func position(room: [UInt8], _ reply: @escaping BrokerReply<Position>) {
    position(room: room, life: 0, isDue: false) { reply(RoomReader.position($0)) }
  }

  func begin(room: [UInt8], _ reply: @escaping BrokerReply<Position>) {
    begunRooms.insert(room)
    let isDue = epochs.isMetaDue(room)
    position(room: room, life: context.configuration.metaMilliseconds, isDue: isDue) { [weak self] answer in
      if let position = answer?.position { self?.epochs.learn(position, of: room) }
      reply(RoomReader.position(answer))
    }
  }

  /// Lets the counter of a room expire that was begun here without a member, if nobody has published there.
  func end(room: [UInt8]) {
    guard begunRooms.remove(room) != nil, context.isAvailable else { return }
    presence.touch(room)
  }

  private func position(room: [UInt8], life: Int, isDue: Bool, _ answer: @escaping ScriptRunner.Handler) {
    guard context.isAvailable else { return answer(nil) }
    let leaderEpochKey = epochs.leaderEpochKey
    context.scripts.run(.position, keys: 2, parts: 5, answer) { [keys = context.keys] writer in
      writer.bulk(keys.room, room, "}:meta")
      writer.bulk(keys.room, room, "}:log")
      writer.bulk(life)
      writer.bulk(isDue)
      writer.bulk(leaderEpochKey)
    }
  }

  func compare(room: [UInt8], with known: StreamEnd, _ reply: @escaping BrokerReply<Position>) {
    guard context.isAvailable else { return reply(.failure(.unavailable)) }
    var epoch: [UInt8] = []
    known.position.epoch.append(to: &epoch)
    let (life, leaderEpochKey) = (context.configuration.metaMilliseconds, epochs.leaderEpochKey)
    context.scripts.run(.verifyPosition, keys: 2, parts: 7, { reply(RoomReader.position($0)) }) {
      [keys = context.keys] writer in
      writer.bulk(keys.room, room, "}:meta")
      writer.bulk(keys.room, room, "}:log")
      writer.bulk(life)
      writer.bulk(epoch)
      writer.bulk(Int(clamping: known.position.offset))
      writer.bulk(Int(clamping: known.timestamp))
      writer.bulk(leaderEpochKey)
    }
  }

  private static func position(_ reply: Reply?) -> Result<Position, BrokerError> {
    guard let position = reply?.position else { return .failure(BrokerError(reply)) }
    return .success(position)
  }

  // MARK: History

  func history(room: [UInt8], _ query: HistoryQuery, bytesMax: Int, _ reply: @escaping BrokerReply<HistoryPage>) {
    guard context.isAvailable else { return reply(.failure(.unavailable)) }
    let limit: Int
    var after = Array("-".utf8)
    switch query {
    case .newest(let count): limit = count
    case .after(let offset, let count):
      limit = count
      after = []
      // Lua counts in doubles: an offset that they cannot hold is above the counter of every room.
      JSONNumber.append(min(offset, Position.offsetMax), to: &after)
    }
    let configuration = context.configuration
    let size = configuration.rules.retention(of: room, standard: configuration.retention).messagesMax
    let answer: ScriptRunner.Handler = { reply(RoomReader.page($0)) }
    context.scripts.run(.history, keys: 2, parts: 6, answer) { [keys = context.keys] writer in
      writer.bulk(keys.room, room, "}:meta")
      writer.bulk(keys.room, room, "}:log")
      writer.bulk(size)
      writer.bulk(max(0, min(limit, size)))
      writer.bulk(after)
      writer.bulk(bytesMax)
    }
  }

  private static func page(_ reply: Reply?) -> Result<HistoryPage, BrokerError> {
    guard let reply, reply.count % 2 == 1 else { return .failure(BrokerError(reply)) }
    let places = reply[0].copy.split(separator: 0x20)
    guard let first = places.first, let position = Position(text: Array(first).span) else {
      return .failure(.unavailable)
    }
    var page = HistoryPage(position: position, entries: [], lineage: lineage(places.dropFirst()))
    page.entries.reserveCapacity(reply.count / 2)
    for i in stride(from: 1, to: reply.count, by: 2) {
      guard let offset = Position.offset(parsing: reply[i].bytes), offset > 0 else { return .failure(.unavailable) }
      let envelope = reply[i + 1].bytes
      let start = MasterTag.count(before: envelope)
      page.entries.append((offset, [UInt8](copying: envelope.extracting(start..<envelope.count))))
    }
    return .success(page)
  }

  /// Reads the epochs that a room's epoch continues, as history.lua returns them: newest first. What is missing since one of
  /// them is missing since those before it too.
  private static func lineage(_ places: ArraySlice<ArraySlice<UInt8>>) -> [EpochEnd] {
    var isWhole = true
    return places.compactMap { place in
      let isMarked = place.first == UInt8(ascii: "!")
      if isMarked { isWhole = false }
      return Position(text: Array(place.dropFirst(isMarked ? 1 : 0)).span).map {
        EpochEnd(position: $0, isWhole: isWhole)
      }
    }
  }
}

extension RedisConfiguration {
  /// What rooms keep that no rule names.
  var retention: Retention { Retention(messagesMax: historySize, milliseconds: historyTTLMilliseconds) }

  /// Life of a room's counter: never shorter than that of its log, which is useless without it.
  var metaMilliseconds: Int {
    let longest = max(historyTTLMilliseconds, rules.retentionMillisecondsMax)
    return max(RedisLimits.metaMilliseconds, 2 * (longest + RedisLimits.logSlackMilliseconds))
  }
}

@available(*, unavailable)
extension RoomReader: Sendable {}
