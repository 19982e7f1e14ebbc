import Realtime

// The time of one master behind sentinels, told from that of the next.
//
// A master that was replaced goes on acknowledging until somebody tells it, at offsets that its successor gives to others. So
// a room's first message in a reign begins a new epoch, which goes on where the one before ends at this master: two
// messages never stand at one place, and who is no further than that has missed nothing.

extension RedisBroker {
  /// Has a master named its reign before anything else is asked of it. Epochs that were learned in another one are forgotten:
  /// whoever names none is given the one that counts.
  func beginLeaderEpoch(of shard: Shard) {
    guard finder != nil else { return }
    ledger.shrink()
    guard let run = shard.run, let replicationID = shard.replicationID else {
      // It does not say who it is: then its successor is held, as a single Redis is.
      leaderEpochKey = []
      return
    }
    leaderEpochKey = keys.leaderEpoch
    let answer: ScriptRunner.Handler = { [weak self, weak shard] name in
      guard let name, name.kind == .string else {
        shard?.commands.fail("it names no leaderEpochKey")
        return
      }
      self?.lastLeaderEpoch = name.copy
    }
    scripts.run(.leaderEpoch, keys: 1, parts: 3, answer) { [keys, lastLeaderEpoch] writer in
      writer.bulk(keys.leaderEpoch)
      writer.bulk(Array(run.prefix(8) + replicationID.prefix(8)))
      writer.bulk(lastLeaderEpoch)
    }
  }

  /// What a publish says that knows no epoch of its room.
  var epochless: [UInt8] { leaderEpochKey.isEmpty ? [] : Array("r".utf8) + leaderEpochKey }
}
