import ClientProtocol
import Realtime

/// The epochs of the rooms that a node uses, and behind sentinels the leader epoch that they belong to.
///
/// A master that was replaced goes on acknowledging until somebody demotes it, at offsets that its successor gives to other
/// messages. So a room's first message in a leader epoch begins a new epoch, which continues the one before where that ends at
/// this master: two messages never have the same position, and a reader that is no further than that has missed nothing.
final class RoomEpochs {
  /// Called when a room that was known has another epoch: Redis may have lost everything, the lease too. It is renewed at
  /// once, before this node can die with members that no sweep would find.
  var changed: () -> Void = {}
  /// Behind sentinels: the key of the leader epoch; else empty.
  private(set) var leaderEpochKey: [UInt8] = []
  /// The leader epoch that the last master returned; empty before the first.
  private var lastLeaderEpoch: [UInt8] = []
  private var cache = RoomCache(
    metaMilliseconds: RedisLimits.metaRefreshMilliseconds, logMilliseconds: RedisLimits.logRefreshMilliseconds)
  private let context: BrokerContext

  init(_ context: BrokerContext) { self.context = context }

  /// Rooms that are cached.
  var count: Int { cache.count }

  /// Forgets all rooms.
  func forget() { cache.shrink() }

  /// What a publish that does not know the epoch of its room sends instead.
  var unknownEpoch: [UInt8] { leaderEpochKey.isEmpty ? [] : Array("r".utf8) + leaderEpochKey }

  /// What to send with a publish in a room. Counts it as sent.
  func publish(in room: [UInt8]) -> RoomCache.Dues { cache.publish(in: room, now: context.loop.now) }

  /// Whether the life of a room's counter has to be refreshed. Counts it as refreshed.
  func isMetaDue(_ room: [UInt8]) -> Bool { cache.isMetaDue(room, now: context.loop.now) }

  /// The epoch of a room as text, empty when it is not known.
  func epoch(of room: [UInt8]) -> [UInt8] { cache.epoch(of: room) }

  /// Notes the epoch of a room.
  ///
  /// - Parameter isCounting: whether a publish returned it. Other commands may return one of another leader epoch.
  func learn(_ epoch: Epoch, of room: [UInt8], isCounting: Bool) {
    if cache.learn(epoch, of: room, isCounting: isCounting || leaderEpochKey.isEmpty) { changed() }
  }

  /// Notes the position that entering a room returned, and that the first message there gives the counter its full life.
  func learn(_ position: Position, of room: [UInt8]) {
    learn(position.epoch, of: room, isCounting: false)
    if position.offset == 0 { cache.makeDue(room) }
  }

  /// Asks a master behind sentinels for its leader epoch, before anything else is sent to it, and forgets the epochs of rooms:
  /// a publish without one gets the right one.
  func beginLeaderEpoch(of shard: Shard) {
    forget()
    guard let run = shard.identity.run, let replicationID = shard.identity.replicationID else {
      // It does not return its identity: then publishes freeze at its successor, as with a single Redis.
      leaderEpochKey = []
      return
    }
    leaderEpochKey = context.keys.leaderEpoch
    let answer: ScriptRunner.Handler = { [weak self, weak shard] name in
      guard let name, name.kind == .string else {
        shard?.commands.fail("the leader epoch script returned no value")
        return
      }
      self?.lastLeaderEpoch = name.copy
    }
    context.scripts.run(.leaderEpoch, keys: 1, parts: 3, answer) { [leaderEpochKey, lastLeaderEpoch] writer in
      writer.bulk(leaderEpochKey)
      writer.bulk(Array(run.prefix(8) + replicationID.prefix(8)))
      writer.bulk(lastLeaderEpoch)
    }
  }
}

@available(*, unavailable)
extension RoomEpochs: Sendable {}
