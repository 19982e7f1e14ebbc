import Realtime

/// The masters that a node uses, and which of them holds which slot. Without a cluster there is one, for everything.
/// Confined to the loop that created it.
final class ShardMap {
  /// Whether slots decide who is asked.
  let isSharded: Bool
  private(set) var shards: [Shard] = []
  /// By slot; empty without a cluster.
  private var owners: [Shard?]
  /// Shards of masters that hold nothing any more, to be used for others.
  private var spares: [Shard] = []
  private let makeShard: (RedisEndpoint) -> Shard
  /// Whether a map was adopted before.
  private var hasMap = false
  /// Counts changes of who holds which slot.
  private(set) var generation = 0

  init(isSharded: Bool, makeShard: @escaping (RedisEndpoint) -> Shard) {
    self.isSharded = isSharded
    self.makeShard = makeShard
    owners = isSharded ? [Shard?](repeating: nil, count: HashSlot.count) : []
  }

  /// Begins with the only master there is.
  func begin(with endpoint: RedisEndpoint) {
    let shard = makeShard(endpoint)
    shard.slotCount = HashSlot.count
    shards = [shard]
    shard.start()
  }

  /// Those that are used, and those that were.
  var all: [Shard] { shards + spares }
  /// The slots that a master in reach serves.
  var servedSlotCount: Int { shards.reduce(0) { $0 + ($1.isUp ? $1.slotCount : 0) } }
  /// Whether every slot is served.
  var areUp: Bool { servedSlotCount == HashSlot.count }
  /// Whether every master takes commands.
  var areServing: Bool { shards.allSatisfy { $0.isServing || $0.slotCount == 0 } }
  /// Whether nobody is in reach.
  var areDown: Bool { !shards.contains(where: \.isServing) }

  func shard(ofSlot slot: Int) -> Shard? { isSharded ? owners[slot] : shards.first }

  /// Who holds a key or a channel.
  func shard(of key: [UInt8]) -> Shard? { isSharded ? owners[HashSlot.of(key)] : shards.first }

  func shard(at endpoint: RedisEndpoint) -> Shard? { shards.first { $0.commands.endpoint == endpoint } }

  /// Notes that a slot has moved, before the whole map is known.
  func move(slot: Int, to endpoint: RedisEndpoint) {
    let shard = self.shard(at: endpoint) ?? addShard(endpoint, isUnmapped: hasMap)
    generation += 1
    owners[slot]?.slotCount -= 1
    owners[slot] = shard
    shard.slotCount += 1
  }

  /// The shard of a master that a command is to be asked of, though it may hold no slot yet.
  func visit(_ endpoint: RedisEndpoint) -> Shard {
    let shard = self.shard(at: endpoint) ?? addShard(endpoint)
    shard.isVisited = true
    return shard
  }

  /// Takes a map over: begins with masters that are new, ends with those that hold nothing any more.
  /// Returns the channels whose slot has moved with their new shard, and those of slots that nobody holds.
  func adopt(_ map: ClusterMap) -> (moved: [(Subscriptions<BrokerReply<Void>>.Released, Shard)], ended: [Shard]) {
    var fresh = [Shard?](repeating: nil, count: HashSlot.count)
    var formerOwners: [ObjectIdentifier: Shard] = [:]
    for range in map.ranges {
      let shard = self.shard(at: range.master) ?? addShard(range.master)
      for slot in range.slots { fresh[slot] = shard }
    }
    for slot in fresh.indices {
      // What nobody holds now stays with who held it last: its channels must not be forgotten.
      guard let owner = fresh[slot], owners[slot] !== owner else { continue }
      if let former = owners[slot], former.slotCount > 0 { formerOwners[ObjectIdentifier(owner)] = former }
      owners[slot] = owner
      generation += 1
    }
    for shard in shards { (shard.slotCount, shard.isUnmapped) = (0, false) }
    for owner in owners { owner?.slotCount += 1 }
    // Whoever gives only some slots away goes on: those have moved. Else it was replaced.
    for shard in shards where formerOwners[ObjectIdentifier(shard)].map({ $0.slotCount == 0 || !$0.isServing }) == true
    {
      shard.mustFreezePublishes = true
    }
    hasMap = true
    var moved: [(Subscriptions<BrokerReply<Void>>.Released, Shard)] = []
    for shard in shards {
      for released in shard.release(unless: { self.shard(of: $0) === shard }) {
        if let owner = self.shard(of: released.channel) { moved.append((released, owner)) }
      }
    }
    let ended = shards.filter { $0.slotCount == 0 && !$0.isVisited }
    shards.removeAll { $0.slotCount == 0 && !$0.isVisited }
    for shard in shards { shard.isVisited = false }
    spares += ended
    return (moved, ended)
  }

  private func addShard(_ endpoint: RedisEndpoint, isUnmapped: Bool = false) -> Shard {
    let shard = spares.popLast() ?? makeShard(endpoint)
    shard.commands.endpoint = endpoint
    shard.subscriber.endpoint = endpoint
    shard.isSuccessor = hasMap
    shard.hasServed = false
    (shard.isUnmapped, shard.mustFreezePublishes, shard.isPublishFrozen) = (isUnmapped, false, false)
    shard.servedRun = nil
    shard.mustCompare = true
    shards.append(shard)
    shard.start()
    return shard
  }
}

@available(*, unavailable)
extension ShardMap: Sendable {}
