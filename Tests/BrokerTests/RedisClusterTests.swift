import LoopCore
import Realtime
import Testing

@testable import RedisBackend

/// What two nodes on one Redis see of each other.
@Suite(.serialized)
struct RedisClusterTests {
  let server: RedisServer
  let one: TestNode
  let two: TestNode

  init() throws {
    server = try RedisServer()
    let nodes = [try TestNode("n-1", on: server), try TestNode("n-2", on: server)]
    try #require(drive(nodes) { nodes.allSatisfy(\.isUp) })
    (one, two) = (nodes[0], nodes[1])
  }

  @Test("gives both nodes one order of messages and one count of offsets")
  func oneOrder() throws {
    try one.subscribe()
    try two.subscribe()
    var answers = 0
    for i in 0..<100 {
      for node in [one, two] {
        let message = RoomMessage(room: bytes("r"), envelope: bytes("\(node.id) \(i)"), dedupe: nil)
        node.broker.publish(message) { _ in answers += 1 }
      }
    }
    #expect(drive([one, two]) { one.heard.messages.count == 200 && two.heard.messages.count == 200 && answers == 200 })
    #expect(one.heard.messages.map(\.position.offset) == Array(1...200))
    #expect(one.heard.messages.map(\.envelope) == two.heard.messages.map(\.envelope))
  }

  @Test("publishes an id that is repeated on another node once")
  func dedupe() throws {
    let first = try one.publish("m", dedupe: "ann:1")
    #expect(try two.publish("m", dedupe: "ann:1") == first)
    #expect(try two.position().offset == 1)
  }

  @Test("hears everything published after a subscription was confirmed")
  func confirmedFirst() throws {
    for i in 0..<50 {
      try one.subscribe("r\(i)")
      _ = try two.publish("m", in: "r\(i)")
    }
    #expect(drive([one]) { one.heard.messages.count == 50 })
  }

  @Test("says user_joined once when a user enters through two nodes, and user_left when the last connection leaves")
  func notices() throws {
    try one.subscribe()
    #expect(try one.countAfterEntering(one.member("ann")) == 1)
    #expect(try two.countAfterEntering(two.member("ann")) == 1)
    #expect(try two.countAfterEntering(two.member("bob")) == 2)
    #expect(try one.members().count == 3)
    one.broker.leave(room: bytes("r"), one.member("ann"), graceMilliseconds: 0)
    two.broker.leave(room: bytes("r"), two.member("ann"), graceMilliseconds: 0)
    #expect(drive([one, two]) { one.heard.notices.count >= 3 })
    #expect(one.heard.notices.map(\.user) == [#""ann""#, #""bob""#, #""ann""#])
    #expect(one.heard.notices(.userLeft) == [#""ann""#])
  }

  @Test("finds users and rooms of the other node")
  func lookups() throws {
    let ann = two.member("ann")
    two.broker.subscribe(user: bytes("ann"))
    two.broker.connect(ann)
    _ = try two.enter(ann, "shared")
    _ = try one.enter(one.member("bob"), "shared")
    _ = try one.enter(one.member("bob"), "mine")
    #expect(drive([one, two]) { (try? one.send("m", to: .user(bytes("ann")))) == 1 && !two.heard.direct.isEmpty })
    #expect(try ask([one]) { one.broker.connection(named: ann.name, $0) } == ann)
    let listing = try one.rooms()
    #expect(listing.rooms.map(\.name) == [bytes("mine"), bytes("shared")])
    #expect(listing.rooms.map(\.userCount) == [1, 2])
    #expect(try ask([one]) { one.broker.nodes($0) }.map(\.id) == [bytes("n-1"), bytes("n-2")])
  }

  @Test("takes presence and lease back at an orderly end")
  func stop() throws {
    try one.subscribe()
    two.broker.connect(two.member("ann"))
    _ = try two.enter(two.member("ann"))
    var isStopped = false
    two.broker.stop { isStopped = true }
    #expect(drive([two]) { isStopped })
    #expect(drive([one]) { one.heard.notices(.userLeft) == [#""ann""#] })
    #expect(try one.members().isEmpty)
    #expect(try ask([one]) { one.broker.connections(of: bytes("ann"), $0) }.isEmpty)
    #expect(try ask([one]) { one.broker.nodes($0) }.map(\.id) == [bytes("n-1")])
    #expect(server.run("EXISTS", "roost:3:{n:n-2}:rooms", "roost:3:{n:n-2}:connections") == "0")
  }

  @Test("sweeps a node that is gone within 10 s and says user_left once, however many survive")
  func nodeDeath() throws {
    let three = try TestNode("n-3", on: server)
    try #require(drive([one, two, three]) { three.isUp })
    try one.subscribe()
    for i in 0..<3 { _ = try three.enter(three.member("u\(i)"), "r") }
    _ = try one.enter(one.member("u0"), "r")
    three.broker.connect(three.member("u1"))
    for i in 0..<150 { _ = try three.enter(three.member("u1"), "other\(i)") }
    three.redis?.abandon()
    #expect(drive([one, two], within: 10) { one.heard.notices(.userLeft).count == 2 })
    #expect(drive([one, two]) { server.run("ZCARD", "roost:3:{nodes}:leases") == "2" })
    #expect(one.heard.notices(.userLeft).sorted() == [#""u1""#, #""u2""#])
    #expect(try one.members().map(\.user) == [bytes("u0")])
    #expect(try one.rooms().rooms.map(\.name) == [bytes("r")])
    #expect(
      server.run("EXISTS", "roost:3:{n:n-3}:rooms", "roost:3:{n:n-3}:connections", "roost:3:{u:u1}:connections") == "0")
  }

  @Test("tells a node that stalled and was swept to announce its members again")
  func stalledNode() throws {
    _ = try two.enter(two.member("ann"))
    // Nobody ticks the second node: it stalls.
    #expect(drive([one], within: 10) { server.run("HLEN", "roost:3:{r:r}:members") == "0" })
    #expect(drive([one]) { server.run("ZCARD", "roost:3:{nodes}:leases") == "1" })
    two.heard.onPresenceLost = { [two] in
      two.broker.enter(room: bytes("r"), two.member("ann")) { _ in }
    }
    try one.subscribe()
    #expect(drive([one, two], within: 6) { two.heard.presenceLosses == 1 && !one.heard.notices.isEmpty })
    #expect(one.heard.notices(.userJoined) == [#""ann""#])
    #expect(drive([one, two]) { (try? one.members().map(\.user)) == [bytes("ann")] })
    #expect(try one.rooms().rooms.map(\.name) == [bytes("r")])
  }

  @Test("takes back what an earlier process with the same id left behind")
  func sameIdentity() throws {
    _ = try two.enter(two.member("ann"))
    two.redis?.abandon()
    // This process lives on, so that the claim would stand until the lease ends.
    #expect(server.run("DEL", "roost:3:{nodes}:owner:n-2") == "1")
    let again = try TestNode("n-2", on: server)
    #expect(drive([one, again]) { again.isUp })
    #expect(try one.members().isEmpty)
    #expect(again.heard.presenceLosses == 0)
  }
}
