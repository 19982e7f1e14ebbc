import ClientProtocol
import Realtime
import Testing

@testable import RedisBackend

/// What rooms are that nobody has published in: what readers see of them, and what they leave behind.
@Suite(.serialized)
struct SilentRoomTests {
  @Test("reads a room that nobody stays in as empty, in an epoch that nothing else has", arguments: BrokerKind.allCases)
  func fresh(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    var seen = [try node.position(), try node.position(), try node.history(.newest(limit: 5)).position]
    #expect(seen.allSatisfy { $0.offset == 0 })
    seen.append(try node.publish("m"))
    #expect(Set(seen.map(\.epoch)).count == 4)
    #expect(try node.position() == seen[3])
  }

  @Test(
    "keeps the epoch that a member has entered, for as long as it stays and a while beyond",
    arguments: BrokerKind.allCases)
  func entered(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    let member = node.member("ann")
    let before = try node.enter(member)
    #expect(before.offset == 0)
    #expect(try node.position() == before)
    node.broker.leave(room: bytes("r"), member, graceMilliseconds: 0)
    #expect(try node.enter(member) == before)
    #expect(try node.publish("m") == Position(epoch: before.epoch, offset: 1))
  }

  @Test("keeps the epoch that was begun for somebody whom presence does not keep", arguments: BrokerKind.allCases)
  func begun(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    try node.subscribe()
    let before = try ask([node]) { node.broker.begin(room: bytes("r"), $0) }
    #expect(try node.position() == before)
    #expect(try node.publish("m") == Position(epoch: before.epoch, offset: 1))
  }

  @Test("reading writes nothing into Redis")
  func readsWriteNothing() throws {
    let server = try RedisServer()
    let node = try TestNode("n1", on: server)
    try #require(drive([node]) { node.isUp })
    let before = Set((server.run("KEYS", "*") ?? "").split(separator: "\n"))
    for i in 0..<20 {
      _ = try node.position("p\(i)")
      _ = try node.history(.newest(limit: 10), "h\(i)")
      _ = try node.history(.after(7, limit: 10), "a\(i)")
      _ = try node.members("m\(i)")
      _ = try node.userPage("u\(i)")
      _ = try ask([node]) { node.broker.connections(of: bytes("c\(i)"), $0) }
      _ = try node.send("direct", to: .user(bytes("nobody\(i)")))
    }
    #expect(Set((server.run("KEYS", "*") ?? "").split(separator: "\n")) == before)
    #expect(node.redis?.epochs.count == 0)
  }

  @Test(
    "the counter of a room that was joined, left and never spoken in lives a minute at most; one message gives it a day"
  )
  func lives() throws {
    let server = try RedisServer()
    let node = try TestNode("n1", on: server)
    try #require(drive([node]) { node.isUp })
    func life(_ room: String) -> Int { Int(server.run("PTTL", "roost:3:{r:\(room)}:meta") ?? "") ?? 0 }
    let (ann, bob) = (node.member("ann"), node.member("bob"))
    _ = try node.enter(ann)
    _ = try node.enter(bob)
    #expect(life("r") > 80_000_000)
    node.broker.leave(room: bytes("r"), ann, graceMilliseconds: 0)
    _ = try node.members()
    #expect(life("r") > 80_000_000)
    node.broker.leave(room: bytes("r"), bob, graceMilliseconds: 0)
    _ = try node.members()
    #expect((1...60_000).contains(life("r")))
    // Whoever comes back keeps it.
    _ = try node.enter(ann)
    #expect(life("r") > 80_000_000)
    node.broker.leave(room: bytes("r"), ann, graceMilliseconds: 0)
    _ = try node.members()
    _ = try node.publish("m")
    #expect(life("r") > 80_000_000)
    // Where presence keeps nobody.
    try node.subscribe("quiet")
    _ = try ask([node]) { node.broker.begin(room: bytes("quiet"), $0) }
    #expect(life("quiet") > 80_000_000)
    node.broker.unsubscribe(room: bytes("quiet"))
    _ = try node.members()
    #expect((1...60_000).contains(life("quiet")))
  }
}
