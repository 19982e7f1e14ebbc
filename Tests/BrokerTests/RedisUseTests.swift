import LoopCore
import Realtime
import Testing

@testable import RedisBackend

/// How a node uses its Redis: access, keys, cost.
@Suite(.serialized)
struct RedisUseTests {
  @Test("authenticates as an ACL user in a database of its choice, and never logs the password")
  func access() throws {
    let server = try RedisServer()
    // What docs/redis.md says is enough.
    server.run(
      "ACL", "SETUSER", "ann", "on", ">s3cret", "~roost:*", "&roost:*", "+@connection", "+@pubsub", "+@hash",
      "+@sortedset", "+@list", "+@string", "+@scripting", "+@keyspace", "+time")
    let node = try TestNode("n1", on: server) {
      $0.user = "ann"
      $0.password = "s3cret"
      $0.database = 3
    }
    #expect(drive([node]) { node.isUp })
    try node.subscribe()
    node.broker.connect(node.member("ann"))
    _ = try node.enter(node.member("ann"))
    _ = try node.publish("m", dedupe: "ann:1")
    #expect(try node.history(.newest(limit: 1)).entries.count == 1)
    #expect(try node.rooms().rooms.count == 1)
    #expect(server.run("SELECT", "3") == "OK")
    #expect(server.run("EXISTS", "roost:3:{r:r}:meta") == "1")

    let stranger = try TestNode("n2", on: server) {
      $0.user = "ann"
      $0.password = "wr0ng"
    }
    #expect(drive([stranger]) { stranger.heard.lost == 1 })
    #expect(stranger.log.contains { $0.contains("AUTH was refused") })
    #expect(!stranger.log.contains { $0.contains("wr0ng") })
  }

  @Test("works over a Unix socket")
  func unixSocket() throws {
    let path = "/tmp/roost-test-\(Clock.monotonicNanoseconds()).sock"
    let server = try RedisServer(["--unixsocket", path])
    let node = try TestNode("n1", on: server) { $0.topology = .single(.unix(path: path)) }
    #expect(drive([node]) { node.isUp })
    #expect(try node.publish("m").offset == 1)
  }

  @Test("says why Redis takes no more connections, whatever came of writing to it, and serves once it does")
  func clientsMax() throws {
    let server = try RedisServer(["--maxclients", "4"])
    server.run("PING")
    let first = try TestNode("n1", on: server)
    try #require(drive([first]) { first.isUp })
    let second = try TestNode("n2", on: server)
    #expect(drive([first, second], within: 30) { server.info("stats", "rejected_connections") >= 5 })
    let reasons = second.log.filter { $0.contains("trying again") }
    #expect(reasons.count == 1 && reasons.allSatisfy { $0.contains("max number of clients") }, "\(reasons)")
    server.run("CONFIG", "SET", "maxclients", "100")
    #expect(drive([first, second], within: 10) { second.isUp })
  }

  @Test("does not serve on a replica, and says why")
  func replica() throws {
    let server = try RedisServer()
    server.run("REPLICAOF", "127.0.0.1", "1")
    let node = try TestNode("n1", on: server)
    #expect(drive([node]) { node.heard.lost == 1 })
    #expect(drive([node]) { node.log.contains { $0.contains("READONLY") || $0.contains("MASTERDOWN") } }, "\(node.log)")
    #expect(!node.broker.isAvailable)
    server.run("REPLICAOF", "NO", "ONE")
    #expect(drive([node]) { node.isUp })
  }

  @Test("puts every key under its prefix, and a life on the keys of a room")
  func lives() throws {
    let server = try RedisServer()
    let node = try TestNode("n1", on: server) {
      $0.prefix = "other"
      $0.historyTTLMilliseconds = 60_000
    }
    #expect(drive([node]) { node.isUp })
    _ = try node.publish("m", dedupe: "ann:1")
    func life(_ key: String) -> Int { server.run("PTTL", key).flatMap { Int($0) } ?? -3 }
    #expect((61_000...62_000).contains(life("other:3:{r:r}:log")))
    #expect((86_000_000...86_400_000).contains(life("other:3:{r:r}:meta")))
    #expect((300_000...IDMemory.lifeMilliseconds).contains(life("other:3:{ids}:new")))
    #expect(server.run("KEYS", "*")?.split(separator: "\n").allSatisfy { $0.hasPrefix("other:") } == true)
    // A second publish in the same second leaves the log's life alone.
    server.run("PEXPIRE", "other:3:{r:r}:log", "5000")
    _ = try node.publish("m")
    #expect(life("other:3:{r:r}:log") <= 5000)
    #expect(drive([node]) { ((try? node.publish("m")) != nil) && life("other:3:{r:r}:log") > 61_000 })
  }

  @Test("has keys of its own, and warns once of live nodes of each earlier schema")
  func schemas() throws {
    let server = try RedisServer()
    let time = try #require(server.run("TIME")?.split(separator: "\n").first.flatMap { Int($0) })
    server.run("ZADD", "roost:{nodes}:leases", "\((time + 60) * 1000)", "old-1", "1", "dead")
    server.run("ZADD", "roost:2:{nodes}:leases", "\((time + 60) * 1000)", "old-2")
    let node = try TestNode("n1", on: server)
    #expect(drive([node]) { node.isUp && node.log.count { $0.contains("schema") } == 2 })
    let warnings = node.log.filter { $0.contains("schema") }
    try #require(warnings.count == 2, "\(warnings)")
    #expect(warnings[0].contains("the first schema (old-1)"), "\(warnings)")
    #expect(warnings[1].contains("schema 2 (old-2)"), "\(warnings)")
    #expect(warnings.allSatisfy { $0.contains("--redis-prefix") })
    #expect(server.run("KEYS", "roost:{*") == "roost:{nodes}:leases")
    #expect(try node.publish("m").offset == 1)
    let second = try TestNode("n2", on: server) { $0.prefix = "other" }
    #expect(drive([second]) { second.isUp })
    _ = try second.publish("m")
    #expect(!second.log.contains { $0.contains("schema") })
  }

  @Test("costs an idle Redis the same with 2000 connected members as with none")
  func idleCost() throws {
    let server = try RedisServer()
    let node = try TestNode("n1", on: server)
    #expect(drive([node]) { node.isUp })
    func commandsOfFourSeconds() -> Int {
      let before = node.redis!.commandsTotal
      drive([node], within: 4) { false }
      return Int(node.redis!.commandsTotal - before)
    }
    let empty = commandsOfFourSeconds()
    var entered = 0
    for i in 0..<2000 {
      node.broker.connect(node.member("u\(i)"))
      node.broker.enter(room: bytes("r\(i % 10)"), node.member("u\(i)")) { _ in entered += 1 }
    }
    #expect(drive([node]) { entered == 2000 })
    let full = commandsOfFourSeconds()
    #expect(empty >= 2)
    // A renewal and some pings more or less fall into four seconds, on a busy machine.
    #expect(abs(full - empty) <= 8, "\(empty) commands without members, \(full) with 2000")
  }
}
