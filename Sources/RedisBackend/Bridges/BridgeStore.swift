import ClientProtocol
import JSONCore
import Realtime

/// What a bridge keeps in Redis: which process has which shards of its rooms, and how far each room was written.
///
/// Confined to the loop of its broker.
package final class BridgeStore {
  /// The shards that a process has, and how many would be its fair share.
  package struct Shares: Equatable {
    package let fair: Int
    package let held: [Int]
  }

  private let context: BrokerContext

  init(_ context: BrokerContext) { self.context = context }

  /// Renews the leases of a process, takes free ones up to its fair share, and gives some back. A nil answer: nothing is known.
  ///
  /// - Parameter lifeMilliseconds: 0 gives everything back.
  package func renewShares(
    of bridge: String, process: [UInt8], lifeMilliseconds: Int, shardCount: Int, givingBack: [Int],
    _ reply: @escaping (Shares?) -> Void
  ) {
    guard context.isAvailable else { return reply(nil) }
    let answer: ScriptRunner.Handler = { answer in
      guard let answer, answer.kind == .array, answer.count > 0 else { return reply(nil) }
      let held = (1..<answer.count).compactMap { Int(String(decoding: answer[$0].copy, as: UTF8.self)) }
      reply(Shares(fair: answer[0].integer, held: held))
    }
    let name = Array(bridge.utf8)
    context.scripts.run(.bridgeShares, keys: 2, parts: 5 + givingBack.count, answer) { [keys = context.keys] writer in
      writer.bulk(keys.bridge, name, "}:leases")
      writer.bulk(keys.bridge, name, "}:processes")
      writer.bulk(process)
      writer.bulk(lifeMilliseconds)
      writer.bulk(shardCount)
      for shard in givingBack { writer.bulk(shard) }
    }
  }

  // MARK: Positions

  /// Reads up to which message a room was written to a target: `.success(nil)` when nothing is known.
  package func position(
    of room: [UInt8], bridge: String, target: String, _ reply: @escaping (Result<Position?, BrokerError>) -> Void
  ) {
    let handler: PendingReplies.Handler = { answer in
      guard let answer, answer.kind == .string || answer.kind == .null else {
        return reply(.failure(BrokerError(answer)))
      }
      reply(.success(answer.position))
    }
    let key = key(of: room, bridge, target)
    context.commands.request(handler) { writer in
      writer.command(parts: 2)
      writer.bulk("GET")
      writer.bulk(key)
    }
  }

  /// Notes up to which message a room was written to a target. It is kept as long as the room's counter.
  package func confirm(
    _ position: Position, of room: [UInt8], bridge: String, target: String, _ reply: @escaping (Bool) -> Void
  ) {
    var text: [UInt8] = []
    position.append(to: &text)
    let key = key(of: room, bridge, target)
    let life = context.configuration.metaMilliseconds + RedisLimits.metaRefreshMilliseconds
    context.commands.request({ reply($0.map { !$0.isError } ?? false) }) { writer in
      writer.command(parts: 5)
      writer.bulk("SET")
      writer.bulk(key)
      writer.bulk(text)
      writer.bulk("PX")
      writer.bulk(life)
    }
  }

  private func key(of room: [UInt8], _ bridge: String, _ target: String) -> [UInt8] {
    context.keys.room + room + Array("}:out:\(bridge):\(target)".utf8)
  }

  // MARK: Rooms

  /// Finds every room that has a counter and whose name fits a glob, on every master in reach; `found` gets them page by
  /// page, some perhaps twice. `done` tells whether all masters were asked.
  package func scanRooms(
    matching glob: String, _ found: @escaping ([[UInt8]]) -> Void, _ done: @escaping (_ isComplete: Bool) -> Void
  ) {
    guard context.isAvailable, context.shards.areUp else { return done(false) }
    let name = glob.utf8.split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false)
      .map { RedisKeys.literally(Array($0)) }.joined(separator: [UInt8(ascii: "*")])
    let pattern = RedisKeys.literally(context.keys.room) + Array(name) + Array("}:meta".utf8)
    scan(context.shards.current[...], cursor: [UInt8(ascii: "0")], pattern, found, done)
  }

  private func scan(
    _ left: ArraySlice<Shard>, cursor: [UInt8], _ pattern: [UInt8], _ found: @escaping ([[UInt8]]) -> Void,
    _ done: @escaping (Bool) -> Void
  ) {
    guard let shard = left.first else { return done(true) }
    let scanned: PendingReplies.Handler = { [weak self] reply in
      guard let self, let reply, reply.count == 2 else { return done(false) }
      let (next, keys) = (reply[0].copy, reply[1])
      found(
        (0..<keys.count).compactMap {
          RedisKeys.name(in: keys[$0].copy, after: self.context.keys.room, before: "}:meta")
        })
      let rest = next == [UInt8(ascii: "0")] ? left.dropFirst() : left
      scan(rest, cursor: next, pattern, found, done)
    }
    shard.commands.request(scanned) { writer in
      writer.command(parts: 6)
      writer.bulk("SCAN")
      writer.bulk(cursor)
      writer.bulk("MATCH")
      writer.bulk(pattern)
      writer.bulk("COUNT")
      writer.bulk(RedisLimits.orphanScanChunk)
    }
  }
}

@available(*, unavailable)
extension BridgeStore: Sendable {}
