import Randomness
import Testing

@testable import RedisBackend

/// Leases, sweeps and the assertion of members, with nodes that die, stall and lose Redis at every point of each
/// other's work. The model follows the scripts; `RedisClusterTests` and the fault suite run the scripts themselves.
@Suite("Leases and sweeps, simulated")
struct LeaseSimulationTests {
  private struct Life {
    var random: SeededGenerator
    var redis = ModelRedis()
    var nodes: [ModelNode]
    /// Milliseconds at which a node that is stopped or cut off comes back.
    var backAt: [Int: Int] = [:]
    var flushes = 0
    var flushedAt = -1

    init(seed: UInt64) {
      random = SeededGenerator(seed: seed)
      nodes = (0..<3).map { ModelNode("n\($0)") }
    }

    mutating func step() {
      redis.now += Int.random(in: 0...60, using: &random)
      let index = Int.random(in: 0..<nodes.count, using: &random)
      switch Int.random(in: 0..<1000, using: &random) {
      case 0..<60: nodes[index].connect("u\(Int.random(in: 0..<4, using: &random))", &redis)
      case 60..<110:
        guard let name = nodes[index].connections.keys.sorted().randomElement(using: &random) else { break }
        nodes[index].disconnect(name, &redis)
      case 110..<114: die(index)
      case 114..<118:
        nodes[index].isStopped = true
        backAt[index] = redis.now + Int.random(in: 100...12_000, using: &random)
      case 118..<124:
        nodes[index].isLinked = false
        backAt[index] = redis.now + Int.random(in: 100...12_000, using: &random)
      case 124..<126 where flushes < 2:
        flushes += 1
        flushedAt = redis.now
        redis.flush()
      default: nodes[index].step(&redis)
      }
      for (index, at) in backAt where at <= redis.now { comeBack(index) }
    }

    /// The process ends and another begins, with its id or another.
    private mutating func die(_ index: Int) {
      // A node that entered members after a flush and never renewed its lease is known to nobody.
      guard nodes[index].renewedAt > flushedAt else { return }
      backAt[index] = nil
      nodes[index].isAlive = false
      nodes[index] = ModelNode(Bool.random(using: &random) ? nodes[index].id : "n\(index)x\(redis.now)")
    }

    private mutating func comeBack(_ index: Int) {
      backAt[index] = nil
      nodes[index].isStopped = false
      nodes[index].isLinked = true
    }

    /// No more faults: ten seconds and a little of everybody's work.
    mutating func rest() {
      for index in nodes.indices { comeBack(index) }
      let end = redis.now + 10_000
      while redis.now < end {
        redis.now += 10
        for index in nodes.indices { nodes[index].step(&redis) }
      }
    }
  }

  @Test("leaves in Redis exactly the members of living nodes within ten seconds of the last fault (3,000 seeds)")
  func manySeeds() {
    for seed in seeds(3000) {
      var life = Life(seed: seed)
      for _ in 0..<600 { life.step() }
      life.rest()
      var truth: [String: String] = [:]
      for node in life.nodes { truth.merge(node.connections) { one, _ in one } }
      #expect(life.redis.members == truth, "seed \(seed)")
      let counts = Dictionary(grouping: truth.values, by: { $0 }).mapValues(\.count)
      #expect(life.redis.users == counts, "seed \(seed)")
      #expect(life.redis.leases.count == life.nodes.count, "seed \(seed): leases of nodes that are gone")
      guard life.flushes == 0 else { continue }
      var isThere: [String: Bool] = [:]
      for notice in life.redis.notices {
        #expect(isThere[notice.user, default: false] != notice.hasJoined, "seed \(seed): \(notice) twice")
        isThere[notice.user] = notice.hasJoined
      }
      for (user, isThere) in isThere { #expect(isThere == (counts[user] != nil), "seed \(seed): \(user)") }
    }
  }
}
