import LoopCore
import Realtime

/// What the parts of a broker share: the loop, the names of keys, the connections, and whether Redis is available.
///
/// The parts refer to each other in one direction only, and all of them to this. Confined to the loop that created it.
final class BrokerContext {
  weak var listener: (any BrokerListener)?

  let loop: EventLoop
  let configuration: RedisConfiguration
  /// The id of this node.
  let node: [UInt8]
  let keys: RedisKeys
  let shards: ShardMap
  let commands: CommandRouter
  let scripts: ScriptRunner
  let log: RedisBroker.Log
  let wrongTypes: WrongTypeLog
  /// Records events of rooms, if that is wanted.
  let events: RoomEventRecorder

  /// Whether the lease was taken and commands are taken, by some master at least.
  private(set) var isAvailable = false
  /// Whether the lease is held.
  private(set) var isLeaseHeld = false
  private(set) var isStopping = false
  /// Whether the listener knows that the broker is lost, and not yet that it is restored.
  private var isReportedLost = false

  init(
    loop: EventLoop, configuration: RedisConfiguration, node: [UInt8], keys: RedisKeys, shards: ShardMap,
    log: @escaping RedisBroker.Log
  ) {
    self.loop = loop
    self.configuration = configuration
    self.node = node
    self.keys = keys
    self.shards = shards
    self.log = log
    commands = CommandRouter(loop: loop, shards: shards)
    scripts = ScriptRunner(router: commands, isSharded: shards.isSharded, log: log)
    let wrongTypes = WrongTypeLog(keys: keys, log: log)
    self.wrongTypes = wrongTypes
    events = RoomEventRecorder(
      loop: loop, router: commands, scripts: scripts, keys: keys, policy: configuration.roomEvents)
    scripts.reportWrongType = { wrongTypes.report($0) }
  }

  // MARK: Availability

  /// Whether every connection does its work, and every slot is served.
  var isUp: Bool { isAvailable && isLeaseHeld && shards.areUp }

  /// Whether a command that got no answer just now may have been carried out. A refusal leaves the broker available; the
  /// death of the connection is reported before the pending commands fail.
  var isAnswerLost: Bool { !isAvailable || !shards.areServing }

  /// Why something without an id failed just now.
  var failure: BrokerError { isAnswerLost ? .uncertain : .unavailable }

  /// Notes that this node's lease was renewed.
  func leaseRenewed() { (isAvailable, isLeaseHeld) = (true, true) }

  /// Notes that the master with the leases is out of reach.
  func leaseLost() { isLeaseHeld = false }

  /// Notes that no master is in reach, or that this node may not use them.
  func becameUnavailable() { isAvailable = false }

  /// Begins to stop. Returns false when it has begun before.
  func beginStop() -> Bool {
    defer { isStopping = true }
    return !isStopping
  }

  /// Reports an outage or its end to the listener, each once.
  func report(lost: Bool) {
    guard !isStopping, lost != isReportedLost, lost || isUp else { return }
    isReportedLost = lost
    if lost {
      listener?.brokerLost()
    } else {
      log(.info, "Redis at \(configuration.topology) is back")
      // With a cluster, the rooms of every master were compared when it was back.
      listener?.brokerRestored(where: shards.isSharded ? { _ in false } : nil)
    }
  }

  // MARK: Masters

  /// The master with the leases.
  var leaseShard: Shard? { shards.shard(of: keys.leases) }

  /// Whether the master that holds a channel takes commands.
  func isServed(_ channel: [UInt8]) -> Bool { shards.shard(of: channel)?.isServing == true }

  /// The rooms of a shard; nil, for all, without a cluster.
  func rooms(of shard: Shard) -> RoomFilter? {
    guard shards.isSharded else { return nil }
    return { [shards, keys] room in shards.shard(of: keys.roomChannel(room)) === shard }
  }

  /// The rooms in some slots.
  func rooms(in slots: Set<Int>) -> RoomFilter {
    { [keys] room in slots.contains(HashSlot.of(keys.roomChannel(room))) }
  }

  /// Whether a connection is on this node, and in the room if one is given. Without a listener it is assumed to be.
  func isHere(_ connection: [UInt8], in room: [UInt8]?) -> Bool {
    listener?.isHere(connection.span, in: room) ?? true
  }
}

@available(*, unavailable)
extension BrokerContext: Sendable {}
