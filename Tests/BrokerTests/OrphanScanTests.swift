import Realtime
import TestSupport
import Testing

@testable import RedisBackend

/// Members of dead nodes whose lease or lists Redis has lost: no sweep of its own would find them.
@Suite("Members of nodes that Redis has forgotten", .serialized)
struct OrphanScanTests {
  @Test(
    "one Redis: whoever entered after a FLUSHALL, on a node that died before it had a lease again, has left, told once")
  func enteredAfterFlush() throws {
    let server = try RedisServer()
    let nodes = try ["n1", "n2"].map { try TestNode($0, on: server) }
    let dying = try TestNode("n3", on: server)
    try #require(drive(nodes + [dying], within: 15) { (nodes + [dying]).allSatisfy(\.isUp) })
    try nodes[0].subscribe()
    _ = try nodes[1].enter(nodes[1].member("stays"))
    for node in nodes {
      node.heard.onPresenceLost = {
        node.broker.enter(room: bytes("r"), node.member("stays")) { _ in }
      }
    }
    server.run("SET", "unrelated", "value")
    server.run("FLUSHALL")
    // Somebody else's, of another type than the name suggests.
    server.run("SET", "roost:3:{r:foreign}:members", "x")
    let (ann, bob) = (dying.member("ann"), dying.member("bob"))
    dying.broker.connect(ann)
    for member in [ann, bob] { _ = try dying.enter(member) }
    dying.redis?.abandon()
    #expect(drive(nodes, within: 20) { nodes[0].heard.notices(.userLeft).count == 2 })
    #expect(Set(nodes[0].heard.notices(.userLeft)) == [#""ann""#, #""bob""#])
    #expect(drive(nodes) { (try? nodes[0].members().allSatisfy { $0.user == bytes("stays") }) == true })
    #expect(drive(nodes) { server.run("EXISTS", "roost:3:{u:ann}:connections", "roost:3:{n:n3}:connections") == "0" })
    #expect(drive(nodes) { server.run("ZSCORE", "roost:3:{nodes}:leases", "n3") == nil })
    #expect(drive(nodes, within: 15) { nodes.allSatisfy { $0.redis?.orphans.isIdle == true } })
    #expect(nodes[0].heard.notices(.userLeft).count == 2)
  }

  @Test(
    "in a cluster: members of a dead node leave, told once, when a FLUSHALL takes its lease, its lists, or neither",
    arguments: ["{nodes}:leases", "{n:gone}:rooms", "{r:r}:members"])
  func partialFlush(_ lost: String) throws {
    let cluster = try RedisClusterProcesses()
    func node(_ id: String) throws -> TestNode {
      try TestNode(id, on: nil) {
        $0.topology = .cluster(cluster.masters.map { .tcp(host: "127.0.0.1", port: $0.port) })
      }
    }
    let (watching, gone) = (try node("watching"), try node("gone"))
    try #require(drive([watching, gone], within: 15) { watching.isUp && gone.isUp })
    let rooms = try (0..<3).map { try cluster.room(on: $0) }
    let users = try (0..<3).map { index in
      try #require(
        try (0..<200).map { "u\($0)" }.first { try cluster.master(of: "roost:3:{u:\($0)}:connections") == index })
    }
    for room in rooms {
      try watching.subscribe(room)
      _ = try watching.enter(watching.member("stays"), room)
      for user in users { _ = try gone.enter(gone.member(user), room) }
    }
    watching.heard.onPresenceLost = {
      for room in rooms {
        watching.broker.enter(room: bytes(room), watching.member("stays")) { _ in }
      }
    }
    for user in users { gone.broker.connect(gone.member(user)) }
    let victim = try cluster.master(of: "roost:3:\(lost)")
    #expect(
      drive([watching, gone], within: 15) {
        (try? cluster.masters[victim].command("KEYS roost:3:{n:watching*}:mark"))?.hasPrefix("*1") == true
      })
    #expect(drive([gone]) { (try? gone.position(rooms[0])) != nil })
    gone.redis?.abandon()
    _ = try cluster.masters[victim].command("FLUSHALL")
    let flushed = rooms[victim]
    #expect(drive([watching], within: 25) { watching.heard.notices(.userLeft).count == 6 })
    for room in rooms where room != flushed {
      let told = watching.heard.notices.filter { $0.room == room && $0.kind == .userLeft }.map(\.user)
      #expect(Set(told) == Set(users.map { "\"\($0)\"" }) && told.count == 3)
    }
    // Who lives is there again in every room, though no connection broke and nobody has said anything.
    for room in rooms {
      #expect(drive([watching]) { (try? watching.members(room).map(\.user)) == [bytes("stays")] })
    }
    for (index, user) in users.enumerated() {
      let isGone = drive([watching], within: 10) {
        (try? cluster.masters[index].command("EXISTS roost:3:{u:\(user)}:connections"))?.hasPrefix(":0") == true
      }
      #expect(isGone, "\(user) is registered still")
    }
  }

  @Test(
    "in a cluster: a node that is started again finds who was left by the process before, though its lists are lost")
  func earlierProcess() throws {
    let cluster = try RedisClusterProcesses()
    func node(_ id: String) throws -> TestNode {
      try TestNode(id, on: nil) {
        $0.topology = .cluster(cluster.masters.map { .tcp(host: "127.0.0.1", port: $0.port) })
      }
    }
    let lists = try cluster.master(of: "roost:3:{n:gone}:rooms")
    let room = try cluster.room(on: (lists + 1) % 3)
    let user = try #require(
      try (0..<200).map { "u\($0)" }.first { try cluster.master(of: "roost:3:{u:\($0)}:connections") != lists })
    let (watching, gone) = (try node("watching"), try node("gone"))
    try #require(drive([watching, gone], within: 15) { watching.isUp && gone.isUp })
    try watching.subscribe(room)
    _ = try gone.enter(gone.member(user), room)
    gone.broker.connect(gone.member(user))
    #expect(
      drive([watching, gone], within: 15) {
        (try? cluster.masters[lists].command("KEYS roost:3:{n:watching*}:mark"))?.hasPrefix("*1") == true
      })
    gone.redis?.abandon()
    _ = try cluster.masters[lists].command("FLUSHALL")
    let again = try node("gone")
    again.heard.gone = [String(decoding: gone.member(user).name, as: UTF8.self)]
    #expect(drive([watching, again], within: 25) { watching.heard.notices(.userLeft) == ["\"\(user)\""] })
    #expect(try watching.members(room).isEmpty)
    #expect(
      drive([watching, again], within: 10) {
        (try? ask([watching]) { watching.broker.connections(of: bytes(user), $0) }.isEmpty) == true
      })
    #expect(watching.heard.notices(.userLeft).count == 1)
  }

  @Test("says what right it lacks, and goes on, when Redis refuses to let it look")
  func refused() throws {
    let server = try RedisServer()
    server.run("ACL", "SETUSER", "default", "-scan")
    let node = try TestNode("n1", on: server)
    try #require(drive([node], within: 15) { node.isUp })
    server.run("DEL", "roost:3:{nodes}:leases")
    #expect(drive([node], within: 15) { node.log.contains { $0.contains("'scan'") && $0.contains("docs/redis.md") } })
    #expect(drive([node]) { node.redis?.orphans.isIdle == true })
    #expect(try node.publish("m").offset == 1)
  }
}
