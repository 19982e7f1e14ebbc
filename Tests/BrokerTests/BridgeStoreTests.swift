import ClientProtocol
import Realtime
import TestSupport
import Testing

@testable import RedisBackend

@Suite("What bridges keep in Redis", .serialized)
struct BridgeStoreTests {
  private func bridges(_ node: TestNode) throws -> BridgeStore { try #require(node.broker as? RedisBroker).bridges }

  private func renew(
    _ process: String, on node: TestNode, life: Int = 6000, back: [Int] = [], nodes: [TestNode]
  ) throws -> BridgeStore.Shares {
    var shares: BridgeStore.Shares??
    try bridges(node).renewShares(
      of: "b", process: bytes(process), lifeMilliseconds: life, shardCount: 16, givingBack: back
    ) { shares = .some($0) }
    try #require(drive(nodes) { shares != nil })
    return try #require(shares ?? nil)
  }

  @Test(
    "divides the shards among the processes: each gives back what is too much, and a dead one's are free when its leases end"
  )
  func shares() throws {
    let server = try RedisServer()
    let node = try TestNode("n1", on: server)
    try #require(drive([node]) { node.isUp })
    let all = try renew("p one", on: node, nodes: [node])
    #expect(all.fair == 16 && all.held.sorted() == Array(0..<16))
    #expect(try renew("p2", on: node, nodes: [node]) == BridgeStore.Shares(fair: 8, held: []))
    let half = try renew("p one", on: node, back: Array(8..<16), nodes: [node])
    #expect(half.fair == 8 && half.held.sorted() == Array(0..<8))
    #expect(try renew("p2", on: node, nodes: [node]).held.sorted() == Array(8..<16))
    // One process cannot give back what is another's.
    #expect(try renew("p2", on: node, back: [0, 1], nodes: [node]).held.count == 8)
    #expect(try renew("p one", on: node, life: 1, nodes: [node]).held.count == 8)
    try eventually("its leases have ended") { try renew("p2", on: node, nodes: [node]).held.count == 16 }
    _ = try renew("p2", on: node, life: 0, nodes: [node])
    #expect(server.run("HLEN", "roost:3:{b:b}:leases") == "0" && server.run("ZCARD", "roost:3:{b:b}:processes") == "0")
  }

  @Test(
    "keeps how far a room was written, in the room's slot, and finds rooms by a glob",
    arguments: [BrokerKind.redis, .redisCluster])
  func positions(kind: BrokerKind) throws {
    let bench = try Bench(kind)
    let node = bench.node
    let broker = try #require(node.broker as? RedisBroker)
    for room in ["out:a", "out:b{x}", "other", "out:[1]"] {
      _ = try ask([node]) {
        broker.publishWithoutRetry(envelope: bytes("m 1 - null\n"), in: bytes(room), dedupe: bytes("id"), $0)
      }
    }
    func position() throws -> Position? {
      try ask([node]) { (reply: @escaping BrokerReply<Position?>) in
        broker.bridges.position(of: bytes("out:a"), bridge: "b", target: "t", reply)
      }
    }
    #expect(try position() == nil)
    let place = bytes("1f:7")
    let parsed = Position(text: place.span)
    let known = try #require(parsed)
    var isWritten: Bool?
    broker.bridges.confirm(known, of: bytes("out:a"), bridge: "b", target: "t") { isWritten = $0 }
    #expect(drive([node]) { isWritten != nil } && isWritten == true)
    #expect(try position() == known)
    var (found, isComplete): (Set<String>, Bool?) = ([], nil)
    broker.bridges.scanRooms(matching: "out:*") {
      found.formUnion($0.map { String(decoding: $0, as: UTF8.self) })
    } _: {
      isComplete = $0
    }
    #expect(drive([node]) { isComplete != nil } && isComplete == true)
    #expect(found == ["out:a", "out:b{x}", "out:[1]"])
  }
}
