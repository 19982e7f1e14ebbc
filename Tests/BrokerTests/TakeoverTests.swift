import Realtime
import TestSupport
import Testing

@testable import RedisBackend

/// What a node does when another Redis stands where its own stood, with another memory of who is there.
@Suite("Another master in the place of one", .serialized)
struct TakeoverTests {
  let master: RedisServer
  let replica: RedisServer
  let proxy: TCPProxy
  let nodes: [TestNode]

  /// Two nodes that reach the master through a proxy, and a replica in step with it.
  init() throws {
    let master = try RedisServer()
    let replica = try RedisServer(["--replicaof", "127.0.0.1 \(master.port)", "--repl-diskless-sync-delay", "0"])
    let proxy = try TCPProxy(to: master.port)
    let nodes = try ["n1", "n2"].map { id in
      try TestNode(id, on: master) { $0.topology = .single(.tcp(host: "127.0.0.1", port: proxy.port)) }
    }
    (self.master, self.replica, self.proxy, self.nodes) = (master, replica, proxy, nodes)
    try #require(drive(nodes, within: 15) { nodes.allSatisfy(\.isUp) })
    try #require(
      drive(nodes, within: 15) { replica.run("INFO", "replication")?.contains("master_link_status:up") == true })
    try nodes[1].subscribe()
  }

  /// Has the replica know no more than what was sent so far.
  private func detachReplica() throws {
    let offset = master.info("replication", "master_repl_offset")
    try #require(drive(nodes, within: 15) { replica.info("replication", "slave_repl_offset") >= offset })
    // From here on it is what a replica is that lags behind.
    replica.run("REPLICAOF", "NO", "ONE")
  }

  /// Kills the master and puts the replica into its place, at the same address.
  private func fail(_ meanwhile: () -> Void = {}) {
    let lost = nodes.map(\.heard.lost)
    master.kill()
    #expect(drive(nodes, within: 15) { zip(nodes, lost).allSatisfy { $0.heard.lost > $1 } })
    meanwhile()
    proxy.lead(to: replica.port)
    #expect(drive(nodes, within: 20) { nodes.allSatisfy(\.isUp) })
  }

  private func leave(_ member: Member, _ room: String = "r") throws {
    nodes[0].heard.gone.insert(String(decoding: member.name, as: UTF8.self))
    nodes[0].broker.leave(room: bytes(room), member, graceMilliseconds: 0)
  }

  @Test("takes out members whose leaving died with the master, no more than once, and keeps those who stayed")
  func ghosts() throws {
    let (ann, bob) = (nodes[0].member("ann"), nodes[0].member("bob"))
    // So many that the pass goes through rooms and members in several pieces.
    let rooms = (0..<250).map { "room\($0)" }
    let crowd = (0..<300).map { nodes[0].member("u\($0)") }
    for room in ["r"] + rooms { for member in [ann, bob] { _ = try nodes[0].enter(member, room) } }
    for member in crowd { _ = try nodes[0].enter(member) }
    nodes[0].broker.connect(ann)
    try detachReplica()
    for room in ["r"] + rooms { try leave(ann, room) }
    for member in crowd.suffix(150) { try leave(member) }
    nodes[0].broker.disconnect(ann)
    #expect(drive(nodes, within: 15) { nodes[1].heard.notices(.userLeft).count == 151 })
    nodes[1].heard.notices = []
    fail()
    #expect(drive(nodes, within: 15) { (try? nodes[1].members().count) == 151 })
    for room in rooms { #expect(drive(nodes) { (try? nodes[1].members(room).map(\.user)) == [bytes("bob")] }) }
    #expect(
      drive(nodes, within: 15) {
        (try? ask(nodes) { nodes[1].broker.connections(of: bytes("ann"), $0) }.isEmpty) == true
      })
    #expect(replica.run("HGET", "roost:3:{r:r}:users", "ann") == nil)
    #expect(drive(nodes, within: 15) { replica.run("HLEN", "roost:3:{n:n1}:connections") == "0" })
    // Those said before the other node was subscribed again are not among them.
    let told = nodes[1].heard.notices(.userLeft)
    #expect(Set(told).count == told.count)
    #expect(!told.contains(#""bob""#))
  }

  @Test("has members asserted again whose entering died with the master, also behind the same address")
  func lostEntering() throws {
    let (ann, bob) = (nodes[0].member("ann"), nodes[0].member("bob"))
    _ = try nodes[0].enter(ann)
    try detachReplica()
    _ = try nodes[0].enter(bob)
    #expect(drive(nodes, within: 15) { nodes[1].heard.notices(.userJoined).count == 2 })
    nodes[0].heard.onPresenceLost = { [nodes] in
      for member in [ann, bob] { nodes[0].broker.enter(room: bytes("r"), member) { _ in } }
    }
    fail()
    #expect(drive(nodes, within: 15) { nodes[0].heard.presenceLosses == 1 })
    #expect(
      drive(nodes) { (try? nodes[1].members().map(\.user))?.sorted { $0[0] < $1[0] } == [bytes("ann"), bytes("bob")] })
    #expect(nodes[1].heard.notices(.userLeft).isEmpty)
    // Asserting again tells everybody what the new master did not know; who knows it drops it.
    #expect(Set(nodes[1].heard.notices(.userJoined)) == [#""ann""#, #""bob""#])
  }

  @Test(
    "takes rooms out of the node's list, and members out of them, that were left while only the dead master heard of it",
    arguments: [false, true])
  func staleList(isDelistedLater: Bool) throws {
    let ann = nodes[0].member("ann")
    for room in ["left", "kept"] { _ = try nodes[0].enter(ann, room) }
    try detachReplica()
    nodes[0].broker.leave(room: bytes("left"), ann, graceMilliseconds: 0)
    if !isDelistedLater { nodes[0].broker.unsubscribe(room: bytes("left")) }
    nodes[0].heard.roomsLeft = ["left"]
    nodes[0].heard.onPresenceLost = { [nodes] in
      nodes[0].broker.enter(room: bytes("kept"), ann) { _ in }
    }
    fail { if isDelistedLater { nodes[0].broker.unsubscribe(room: bytes("left")) } }
    #expect(drive(nodes, within: 15) { replica.run("ZRANGE", "roost:3:{n:n1}:rooms", "0", "-1") == "kept" })
    #expect(try nodes[1].members("left").isEmpty)
    #expect(try nodes[1].rooms().rooms.map(\.name) == [bytes("kept")])
  }

  @Test("asserts and looks at nothing when only the connection was lost")
  func sameMaster() throws {
    let ann = nodes[0].member("ann")
    _ = try nodes[0].enter(ann)
    nodes[0].heard.gone = [String(decoding: ann.name, as: UTF8.self)]
    proxy.cut()
    #expect(drive(nodes, within: 15) { nodes.allSatisfy { $0.heard.lost == 1 && $0.isUp } })
    #expect(nodes[0].heard.presenceLosses == 0)
    #expect(try nodes[1].members().map(\.user) == [bytes("ann")])
  }

  @Test("takes a Redis that does not say which process it is for another one")
  func unidentified() throws {
    master.run("ACL", "SETUSER", "default", "-info")
    proxy.cut()
    #expect(drive(nodes, within: 15) { nodes.allSatisfy { $0.heard.presenceLosses == 1 && $0.isUp } })
  }
}
