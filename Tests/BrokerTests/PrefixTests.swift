import LoopCore
import Realtime
import Testing

@testable import RedisBackend

/// Rooms heard by the beginning of their names: what every broker promises, and what Redis adds to it.
@Suite(.serialized)
struct PrefixTests {
  private func subscribe(_ prefix: String, on node: TestNode) throws {
    try ask([node]) { node.broker.subscribe(prefix: bytes(prefix), $0) } as Void
  }

  @Test("is not to be had in a Redis Cluster, whose sharded channels know no patterns")
  func unsupportedInCluster() throws {
    let node = try Bench(.redisCluster).node
    #expect(throws: BrokerError.unsupported) {
      try ask([node]) { node.broker.subscribe(prefix: bytes("news:"), $0) } as Void
    }
    node.broker.unsubscribe(prefix: bytes("news:"))
    #expect(node.isUp)
  }

  @Test(
    "brings the messages of every room of a prefix, in order, until it is given up", arguments: BrokerKind.withPatterns)
  func hears(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    _ = try node.publish("before", in: "news:a")
    try subscribe("news:", on: node)
    let positions = try ["news:a", "news:b", "news:", "new", "news:a"].map { try node.publish("m", in: $0) }
    try node.subscribe("fence")
    _ = try node.publish("end", in: "fence")
    #expect(drive([node]) { node.heard.messages.contains { $0.envelope == "end" } })
    #expect(node.heard.messages.dropLast().map(\.room) == ["news:a", "news:b", "news:", "news:a"])
    #expect(node.heard.messages.first?.position == positions[0])
    #expect(positions[0].offset == 2)
    node.broker.unsubscribe(prefix: bytes("news:"))
    // A subscription that is confirmed later tells that the earlier order was carried out.
    try subscribe("other", on: node)
    let count = node.heard.messages.count
    _ = try node.publish("after", in: "news:a")
    _ = try node.publish("end", in: "fence")
    #expect(drive([node]) { node.heard.messages.count > count })
    #expect(node.heard.messages.count == count + 1)
  }

  @Test("brings notices once, and only for rooms subscribed by name", arguments: BrokerKind.withPatterns)
  func notices(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    try subscribe("news:", on: node)
    try node.subscribe("news:b")
    _ = try node.enter(node.member("ann"), "news:a")
    _ = try node.enter(node.member("ann"), "news:b")
    _ = try node.publish("end", in: "news:b")
    #expect(drive([node]) { !node.heard.messages.isEmpty })
    #expect(node.heard.notices.map(\.room) == ["news:b"])
    #expect(node.heard.messages.allSatisfy { $0.envelope == "end" })
  }

  @Test(
    "takes every byte of a prefix for itself",
    arguments: BrokerKind.withPatterns, ["*", "?", "[a]", "\\", "^", "a-z", "}:ch", "{x}", "\u{1F600}", "[^a]", "*?"])
  func hostilePrefixes(kind: BrokerKind, prefix: String) throws {
    let node = try Bench(kind).node
    try subscribe(prefix, on: node)
    try node.subscribe("fence")
    for room in ["a", "b", "abc", "\\*", "^a", prefix, prefix + "1", prefix + "*"] {
      _ = try node.publish("m", in: room)
    }
    _ = try node.publish("end", in: "fence")
    #expect(drive([node]) { node.heard.messages.contains { $0.envelope == "end" } })
    let expected = ["a", "b", "abc", "\\*", "^a", prefix, prefix + "1", prefix + "*"].filter { $0.hasPrefix(prefix) }
    #expect(node.heard.messages.dropLast().map(\.room) == expected)
  }

  @Test("hears the rooms of a prefix again after the links were cut, and from other nodes")
  func reconnects() throws {
    let server = try RedisServer()
    let nodes = try ["n1", "n2"].map { try TestNode($0, on: server) }
    try #require(drive(nodes) { nodes.allSatisfy(\.isUp) })
    let heard = nodes[0].heard
    try subscribe("w", on: nodes[0])
    _ = try nodes[1].publish("1", in: "wa")
    #expect(drive(nodes) { heard.messages.count == 1 })
    server.run("CLIENT", "KILL", "TYPE", "pubsub")
    #expect(drive(nodes) { heard.restored == 1 && nodes.allSatisfy(\.isUp) })
    _ = try nodes[1].publish("2", in: "wb")
    #expect(drive(nodes) { heard.messages.count == 2 })
    #expect(heard.messages.map(\.room) == ["wa", "wb"])
  }

  @Test("says unsupported, and goes on with everything else, when the ACL user may not use patterns")
  func noPermission() throws {
    let server = try RedisServer()
    server.run("ACL", "SETUSER", "ann", "on", ">pw", "~roost:*", "&roost:*", "+@all")
    let node = try TestNode("n1", on: server) {
      $0.user = "ann"
      $0.password = "pw"
    }
    try #require(drive([node]) { node.isUp })
    var results: [Result<Void, BrokerError>] = []
    node.broker.subscribe(prefix: bytes("w")) { results.append($0) }
    node.broker.subscribe(prefix: bytes("v")) { results.append($0) }
    #expect(drive([node]) { results.count == 2 })
    #expect(results.allSatisfy { if case .failure(.unsupported) = $0 { true } else { false } })
    #expect(node.log.contains { $0.contains("PSUBSCRIBE") })
    try node.subscribe()
    _ = try node.publish("m")
    #expect(drive([node]) { node.heard.messages.count == 1 })
    #expect(node.heard.lost == 0)
    server.run("ACL", "SETUSER", "ann", "allchannels")
    #expect(drive([node]) { node.isUp && ((try? subscribe("w", on: node)) != nil) })
  }

  // MARK: Revocations

  private func revoke(_ subject: Revocation.Subject, _ milliseconds: UInt64, on node: TestNode) throws -> UInt64? {
    try ask([node]) { node.broker.revoke(subject, forMilliseconds: milliseconds, $0) }
  }

  private func revocations(of node: TestNode) throws -> [Revocation] {
    try ask([node]) { node.broker.revocations($0) }
  }

  @Test("keeps revocations until their time is up, the later of two ends", arguments: BrokerKind.withPatterns)
  func revocations(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    #expect(try revocations(of: node).isEmpty)
    let user = Revocation.Subject.user(bytes("a:n\n"), issuedUntil: 1_700_000_000_000)
    let token = Revocation.Subject.token(bytes("j1"))
    let now = Clock.wallMilliseconds()
    let end = try #require(try revoke(user, 60_000, on: node))
    #expect((now + 60_000...now + 90_000).contains(end))
    let later = try #require(try revoke(token, 90_000, on: node))
    #expect(try revoke(token, 1000, on: node) == later)
    let known = try revocations(of: node)
    #expect(known.count == 2)
    #expect(known.contains(Revocation(subject: user, until: end)))
    #expect(known.contains(Revocation(subject: token, until: later)))
    let short = try #require(try revoke(.token(bytes("short")), 1, on: node))
    #expect(drive([node]) { Clock.wallMilliseconds() > short + 1 })
    // Redis forgets what has ended with the next revocation.
    _ = try revoke(token, 1000, on: node)
    #expect(try revocations(of: node).count == 2)
  }

  @Test("takes no more revocations than may stand, and a repetition all the same")
  func revocationLimit() throws {
    let server = try RedisServer()
    let node = try TestNode("n1", on: server)
    try #require(drive([node]) { node.isUp })
    var taken = 0
    for n in 0..<Limits.revocationsMax {
      node.broker.revoke(.token(bytes("j\(n)")), forMilliseconds: 60_000) { if case .success(_?) = $0 { taken += 1 } }
    }
    #expect(drive([node], within: 20) { taken == Limits.revocationsMax })
    #expect(try revoke(.token(bytes("one more")), 60_000, on: node) == nil)
    #expect(try revoke(.token(bytes("j1")), 60_000, on: node) != nil)
    #expect(try revocations(of: node).count == Limits.revocationsMax)
    #expect((50_000...60_000).contains(server.run("PTTL", "roost:3:{revoked}").flatMap { Int($0) } ?? 0))
    server.run("PEXPIRE", "roost:3:{revoked}", "1")
    #expect(drive([node]) { ((try? revocations(of: node).count) ?? 1) == 0 })
  }
}
