import Glibc
import JSONCore
import TestSupport
import Testing

/// Events of a whole cluster: each is sent by one node, and none is lost with a node.
@Suite("Webhooks of a cluster", .serialized)
struct WebhookClusterTests {
  private let receiver: WebhookReceiver
  private static let roomEvents = ["--webhook-events", "room_created,room_emptied,user_joined,user_left"]

  init() throws { receiver = try WebhookReceiver() }

  /// The events as `NAME ROOM USER`, sorted.
  private func texts(_ events: [JSONValue]) -> [String] {
    events.map { event in
      [event["event"], event["room"], event["user"]].compactMap { $0?.asString }.joined(separator: " ")
    }.sorted()
  }

  private func expect(_ expected: [String], within seconds: Double = 20) throws {
    try? eventually("\(expected.count) events came", within: seconds) {
      try receiver.distinctEvents().count >= expected.count
    }
    #expect(try texts(receiver.distinctEvents()) == expected.sorted())
  }

  @Test("sends each event once, from whichever of three nodes it comes")
  func once() throws {
    let cluster = try Cluster(3, receiver.flags)
    let clients = try cluster.members(of: "r")
    for (i, client) in clients.enumerated() { try client.publish("r", "\"n\":\(i)") }
    for client in clients { try client.ask(#""type":"leave","room":"r""#) }
    for client in clients { client.connection.closeNow() }
    let users = ["u1", "u2", "u3"]
    let expected =
      ["room_created r", "room_emptied r"]
      + users.flatMap { ["connected \($0)", "user_joined r \($0)", "message r \($0)", "user_left r \($0)"] }
      + users.map { "disconnected \($0)" }
    try expect(expected)
    #expect(try receiver.events().count == expected.count)
    let nodes = try receiver.events().filter { $0["event"]?.asString == "connected" }
    #expect(Set(nodes.compactMap { $0["node"]?.asString }) == ["n1", "n2", "n3"])
  }

  @Test("goes on on another node when the one that delivers is killed, and reports the users of the dead node")
  func killedDeliverer() throws {
    try receiver.folder.write("status", Array("500".utf8))
    let cluster = try Cluster(3, receiver.flags + WebhookClusterTests.roomEvents)
    let clients = try cluster.members(of: "r")
    var holder = ""
    try eventually("a node delivers") {
      holder = try cluster.redis.command("GET roost:3:{events}:lease")
      return !holder.hasPrefix("$-1")
    }
    try eventually("it has tried") { receiver.requests().count > 0 }
    let index = try #require((0..<3).first { holder.contains("n\($0 + 1)-") })
    cluster.nodes[index].process.kill()
    let others = (0..<3).filter { $0 != index }
    try clients[others[0]].ask(#""type":"leave","room":"r""#)
    try receiver.folder.write("status", Array("200".utf8))
    let dead = "u\(index + 1)"
    try expect(
      ["room_created r", "user_left r \(dead)", "user_left r u\(others[0] + 1)"]
        + (1...3).map { "user_joined r u\($0)" }, within: 30
    )
    #expect(try clients[others[1]].ask(#""type":"presence","room":"r""#).int("count") == 1)
  }

  @Test("reports the users of a killed node in every room, once each, on a Redis Cluster")
  func sharded() throws {
    let redis = try RedisClusterProcesses()
    let nodes = try Cluster.nodes(on: redis.url, receiver.flags + WebhookClusterTests.roomEvents)
    let rooms = try (0..<3).map { try redis.room(on: $0) }
    let (ann, bob) = (try nodes[0].connect("ann"), try nodes[1].connect("bob"))
    for room in rooms { try ann.join(room) }
    try bob.join(rooms[0])
    let before = rooms.flatMap { ["room_created \($0)", "user_joined \($0) ann"] } + ["user_joined \(rooms[0]) bob"]
    try expect(before)
    #expect(try receiver.events().count == before.count)
    nodes[0].process.kill()
    try expect(
      before + rooms.map { "user_left \($0) ann" } + rooms.dropFirst().map { "room_emptied \($0)" }, within: 30
    )
  }

  @Test("goes on after a failover by sentinels")
  func sentinels() throws {
    let trio = try SentinelTrio()
    let nodes = try Cluster.nodes(on: trio.url, receiver.flags + WebhookClusterTests.roomEvents)
    let ann = try nodes[0].connect("ann")
    try ann.join("r")
    try expect(["room_created r", "user_joined r ann"])
    trio.master.kill()
    try eventually("the sentinels name the replica") { try trio.masterPort() == trio.replica.port }
    for node in nodes { try node.awaitReady() }
    let bob = try nodes[1].connect("bob")
    try eventually("bob is in") { try bob.ask(#""type":"join","room":"s""#).type == "joined" }
    try eventually("bob's events came", within: 20) {
      let texts = Set(texts(try receiver.distinctEvents()))
      return texts.isSuperset(of: ["room_created s", "user_joined s bob"])
    }
  }
}
