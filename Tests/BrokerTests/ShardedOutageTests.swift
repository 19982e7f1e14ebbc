import Realtime
import TestSupport
import Testing

@testable import RedisBackend

/// A node of a cluster of which one master is away.
@Suite("One master of a cluster away", .serialized)
struct ShardedOutageTests {
  @Test("finds out who has left when more happened than it keeps, once all masters are there and not before")
  func overflow() throws {
    let cluster = try RedisClusterProcesses()
    let node = try TestNode("n1", on: nil) {
      $0.topology = .cluster(cluster.masters.map { .tcp(host: "127.0.0.1", port: $0.port) })
    }
    try #require(drive([node], within: 10) { node.isUp })
    let victim = (try cluster.master(of: "roost:3:{nodes}:leases") + 1) % 3
    let rooms = try (0..<3).map { try cluster.room(on: $0) }
    for room in rooms { for user in ["ann", "bob"] { _ = try node.enter(node.member(user), room) } }
    cluster.masters[victim].pause()
    #expect(drive([node]) { node.heard.lost == 1 })
    for i in 0..<RedisLimits.offlineQueueMax {
      node.broker.leave(room: bytes(rooms[victim]), node.member("u", i), graceMilliseconds: 0)
    }
    node.heard.gone = [String(decoding: node.member("ann").name, as: UTF8.self)]
    for room in rooms { node.broker.leave(room: bytes(room), node.member("ann"), graceMilliseconds: 0) }
    // That another master comes back meanwhile must not make it forget that.
    let (other, reconnects) = ((victim + 1) % 3, node.redis?.reconnectsTotal ?? 0)
    _ = try cluster.masters[other].command("CLIENT KILL TYPE normal SKIPME yes")
    #expect(drive([node]) { (node.redis?.reconnectsTotal ?? 0) > reconnects })
    #expect(drive([node]) { (try? node.position(rooms[other])) != nil })
    #expect(node.heard.presenceLosses == 0)
    cluster.masters[victim].resume()
    #expect(drive([node], within: 15) { node.isUp && node.heard.presenceLosses == 1 })
    for room in rooms { #expect(drive([node]) { (try? node.members(room).map(\.user)) == [bytes("bob")] }) }
  }
}
