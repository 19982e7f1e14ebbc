import Glibc

/// What is to be carried, and by what machines.
struct Workload: Equatable, Sendable {
  var connections = 100_000.0
  var rooms = 20_000.0
  /// Connections in a room, on average.
  var members = 20.0
  /// Messages a second from all clients and backends.
  var publishes = 1_000.0
  /// Bytes of a message as it is published.
  var messageBytes = 128.0
  /// Seconds that a connection lasts, on average.
  var sessionSeconds = 1_800.0
  /// Messages that a room keeps at most, and for how many seconds.
  var historySize = 100.0
  var historySeconds = 300.0

  /// Cores, bytes of memory, and bits a second of network of a machine with nodes.
  var cores = 4.0
  var memoryBytes = 8.0 * 1_073_741_824
  var networkBits = 1_000_000_000.0
  /// Connections that a machine may have.
  var connectionsPerMachine = 100_000.0
  /// Bytes of memory of a Redis master.
  var redisMemoryBytes = 4.0 * 1_073_741_824
  /// Machines that may be missing.
  var spares = 1.0
}

/// How many machines and Redis masters a workload needs. A pure function of the workload and of the unit costs.
struct CapacityPlan: Equatable, Sendable {
  /// A resource, and which part of what the plan allows it is used with all spares missing.
  struct Use: Equatable, Sendable {
    let name: String
    let share: Double
  }

  let workload: Workload
  /// Machines with nodes, the spares included; one worker for each core.
  let machines: Int
  let masters: Int
  /// Sums over the cluster.
  let deliveriesPerSecond: Double
  let nodeCores: Double
  let nodeBytes: Double
  let clientBits: Double
  let redisBits: Double
  let redisCores: Double
  let redisBytes: Double
  /// Workers that receive each message, on average.
  let receivers: Double
  /// Seconds in which the clients of one lost machine have connected to the others and joined: those that clients wait at random, and
  /// those that handshakes, joins and `handshake-rate` take.
  let reconnectSeconds: Double
  /// The resources, the fullest first: the first one is the bottleneck when the load grows.
  let uses: [Use]

  /// Machines are not counted further: no plan of that size is worth the arithmetic.
  static let machinesMax = 10_000

  /// Nil: more than `machinesMax` machines would be needed.
  init?(_ workload: Workload, _ costs: UnitCosts = UnitCosts()) {
    guard let working = Self.machinesNeeded(workload, costs) else { return nil }
    let load = Load(workload, costs, machines: working)
    self.workload = workload
    machines = Int(working + workload.spares)
    masters = Int(load.masters)
    deliveriesPerSecond = load.deliveries
    (nodeCores, clientBits) = (load.cores, load.bits)
    // Machines that may be missing have workers, too.
    nodeBytes = load.bytes + workload.spares * workload.cores * costs.workerBytes
    (redisCores, redisBytes, redisBits) = (load.redisCores, load.redisBytes, load.redisBits)
    receivers = load.receivers
    let memberships = workload.rooms * workload.members
    let each = costs.handshakeMicroseconds * workload.connections + costs.joinMicroseconds * memberships
    // Of one machine, by the cores that are left idle; those of Redis do joins only.
    let idle = max(working * workload.cores - load.cores, 0.01)
    let idleRedis = max(load.masters - load.redisCores, 0.01)
    let share = 1 / max(working, 1) / 1e6
    let gate = workload.connections / max(working, 1) / (working * workload.cores * costs.handshakesPerSecond)
    reconnectSeconds =
      costs.clientWaitSeconds
      + max(gate, each * share / idle, costs.redisJoinMicroseconds / 2 * memberships * share / idleRedis)
    uses = load.uses.sorted { $0.share > $1.share }
  }

  /// The fewest machines that carry the workload by themselves.
  private static func machinesNeeded(_ workload: Workload, _ costs: UnitCosts) -> Double? {
    (1...machinesMax).first { Load(workload, costs, machines: Double($0)).fits }.map(Double.init)
  }

  /// The load of so many machines.
  private struct Load {
    let deliveries, receivers, cores, bytes, bits, redisCores, redisBytes, redisBits, masters: Double
    let uses: [Use]

    var fits: Bool { uses.allSatisfy { $0.share <= 1 } }

    init(_ workload: Workload, _ costs: UnitCosts, machines: Double) {
      let memberships = workload.rooms * workload.members
      // Each worker is a node: it receives what a room with a member on it gets, members being spread at random.
      let workers = machines * workload.cores
      receivers = workers * (1 - pow(1 - 1 / workers, workload.members))
      deliveries = workload.publishes * workload.members
      let connects = workload.connections / workload.sessionSeconds
      let joins = memberships / workload.sessionSeconds
      cores =
        (deliveries * costs.deliveryMicroseconds + workload.publishes * costs.publishMicroseconds
          + workload.publishes * receivers * costs.receiptMicroseconds + connects * costs.handshakeMicroseconds
          + joins * costs.joinMicroseconds
          + workload.connections / costs.pingSeconds * costs.pingMicroseconds) / 1e6
      let roomsPerWorker = workload.rooms * receivers / workers
      let empty = workers * costs.workerBytes
      bytes =
        empty + workload.connections * (costs.connectionBytes + costs.socketBytes)
        + max(memberships - 2 * workload.connections, 0) * costs.membershipBytes
        + roomsPerWorker * workers * costs.roomBytes
      bits = 8 * deliveries * (workload.messageBytes + costs.deliveryOverheadBytes)
      redisBits = 8 * workload.publishes * receivers * (workload.messageBytes + costs.deliveryOverheadBytes)
      redisCores =
        (workload.publishes * (costs.redisPublishMicroseconds + receivers * costs.redisCopyMicroseconds)
          + joins * costs.redisJoinMicroseconds) / 1e6
      let kept =
        workload.rooms == 0
        ? 0 : min(workload.historySize, workload.publishes / workload.rooms * workload.historySeconds)
      redisBytes =
        workload.rooms * (costs.redisRoomBytes + kept * (workload.messageBytes + costs.redisMessageBytes))
        + memberships * costs.redisMemberBytes
      let byCPU = redisCores / costs.coreShare
      let byMemory = redisBytes / (workload.redisMemoryBytes * costs.memoryShare)
      masters = max(max(byCPU, byMemory).rounded(.up), 1)
      uses = [
        Use(name: "node CPU", share: cores / (workers * costs.coreShare)),
        Use(name: "node memory", share: bytes / (machines * workload.memoryBytes * costs.memoryShare)),
        Use(
          name: "connections of a machine", share: workload.connections / (machines * workload.connectionsPerMachine)),
        Use(name: "network", share: (bits + redisBits) / (machines * workload.networkBits * costs.networkShare)),
        Use(name: "Redis CPU", share: byCPU / masters), Use(name: "Redis memory", share: byMemory / masters),
      ]
    }
  }
}
