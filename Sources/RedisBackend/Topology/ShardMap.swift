import Realtime

/// The masters that a node uses, and which of them holds which slot. Without a cluster there is one, for everything.
/// Confined to the loop that created it.
final class ShardMap {
  /// Whether slots decide which master is asked.
  let isSharded: Bool
  /// Those in use.
  private(set) var current: [Shard] = []
  /// By slot; empty without a cluster.
  private var owners: [Shard?]
  /// Shards of masters that hold nothing any more, to be used for others.
  private var spares: [Shard] = []
  private let mode: Failover.Mode
  private let makeShard: (RedisEndpoint) -> Shard
  /// Called with every shard that was made, before it is started.
  var made: (Shard) -> Void = { _ in }
  /// Whether a map was adopted before.
  private var hasMap = false
  /// Counts changes of which master holds which slot.
  private(set) var generation = 0

  init(mode: Failover.Mode, makeShard: @escaping (RedisEndpoint) -> Shard) {
    self.mode = mode
    self.makeShard = makeShard
    isSharded = mode == .cluster
    owners = isSharded ? [Shard?](repeating: nil, count: HashSlot.count) : []
  }

  /// Begins with the only master there is.
  func begin(with endpoint: RedisEndpoint) {
    let shard = makeShard(endpoint)
    made(shard)
    shard.slotCount = HashSlot.count
    current = [shard]
    shard.start()
  }

  /// Those that are used, and those that were.
  var all: [Shard] { current + spares }
  /// The slots that a master in reach serves.
  var servedSlotCount: Int { current.reduce(0) { $0 + ($1.isUp ? $1.slotCount : 0) } }
  /// Whether every slot is served.
  var areUp: Bool { servedSlotCount == HashSlot.count }
  /// Whether every master takes commands.
  var areServing: Bool { current.allSatisfy { $0.isServing || $0.slotCount == 0 } }
  /// Whether no master is in reach.
  var areDown: Bool { !current.contains(where: \.isServing) }

  func shard(ofSlot slot: Int) -> Shard? { isSharded ? owners[slot] : current.first }

  /// The master that holds a key or a channel.
  func shard(of key: [UInt8]) -> Shard? { isSharded ? owners[HashSlot.of(key)] : current.first }

  func shard(at endpoint: RedisEndpoint) -> Shard? { current.first { $0.commands.endpoint == endpoint } }

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

  private func addShard(_ endpoint: RedisEndpoint, isUnmapped: Bool = false) -> Shard {
    let spare = spares.popLast()
    let shard = spare ?? makeShard(endpoint)
    if spare == nil { made(shard) }
    shard.commands.endpoint = endpoint
    shard.subscriber.endpoint = endpoint
    shard.isUnmapped = isUnmapped
    shard.failover = Failover(mode, hasTakenOver: hasMap)
    current.append(shard)
    shard.start()
    return shard
  }
}

// MARK: Maps of a cluster

extension ShardMap {
  typealias Move = (Subscriptions<BrokerReply<Void>>.Released, Shard)

  /// Takes a map over: begins with masters that are new, ends with those that hold nothing any more.
  /// Returns the channels whose slot has moved with their new shard, the masters that hold nothing any more, and those that
  /// have replaced another.
  func adopt(_ map: ClusterMap) -> (moved: [Move], ended: [Shard], successors: [Shard]) {
    let ranges = map.ranges.map { range in
      (slots: range.slots, owner: ObjectIdentifier(shard(at: range.master) ?? addShard(range.master)))
    }
    let byID = Dictionary(uniqueKeysWithValues: current.map { (ObjectIdentifier($0), $0) })
    let diff = ShardMap.diff(owners: owners.map { $0.map(ObjectIdentifier.init) }, ranges) {
      byID[$0]?.isServing == true
    }
    for (slot, owner) in diff.moved { owners[slot] = byID[owner] }
    generation += diff.moved.count
    for shard in current {
      (shard.slotCount, shard.isUnmapped) = (diff.slotCounts[ObjectIdentifier(shard)] ?? 0, false)
    }
    hasMap = true
    var moved: [Move] = []
    for shard in current {
      for released in shard.release(unless: { self.shard(of: $0) === shard }) {
        if let owner = self.shard(of: released.channel) { moved.append((released, owner)) }
      }
    }
    let ended = current.filter { $0.slotCount == 0 && !$0.isVisited }
    current.removeAll { $0.slotCount == 0 && !$0.isVisited }
    for shard in current { shard.isVisited = false }
    spares += ended
    return (moved, ended, current.filter { diff.successors.contains(ObjectIdentifier($0)) })
  }

  /// What a new map changes.
  struct Diff<Owner: Hashable> {
    /// Slots with another owner than before, ascending.
    var moved: [(slot: Int, owner: Owner)] = []
    /// Owners that replaced another: they have all its slots, or some of one that is away. An owner in reach that gives only
    /// some slots away has handed them over with their data.
    var successors: Set<Owner> = []
    /// How many slots each owner has now.
    var slotCounts: [Owner: Int] = [:]
  }

  /// Compares the owners of slots with a new map.
  ///
  /// - Parameters:
  ///   - owners: by slot; nil: no owner.
  ///   - map: the new owners. A slot that is not in it stays with its owner: its channels must not be forgotten.
  ///   - isServing: whether an owner takes commands.
  static func diff<Owner: Hashable>(
    owners: [Owner?], _ map: [(slots: ClosedRange<Int>, owner: Owner)], isServing: (Owner) -> Bool
  ) -> Diff<Owner> {
    var next = owners
    for (slots, owner) in map {
      for slot in slots { next[slot] = owner }
    }
    var diff = Diff<Owner>()
    var formerOwners: [Owner: Owner] = [:]
    for slot in owners.indices {
      guard let owner = next[slot] else { continue }
      diff.slotCounts[owner, default: 0] += 1
      guard owners[slot] != owner else { continue }
      diff.moved.append((slot, owner))
      if let former = owners[slot] { formerOwners[owner] = former }
    }
    for (owner, former) in formerOwners where diff.slotCounts[former] == nil || !isServing(former) {
      diff.successors.insert(owner)
    }
    return diff
  }
}

@available(*, unavailable)
extension ShardMap: Sendable {}
