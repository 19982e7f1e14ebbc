import ClientProtocol
import Realtime
import Testing

@testable import RedisBackend

/// The ids of messages in Redis: bounded, the oldest forgotten first, and counted.
@Suite(.serialized)
struct IDMemoryTests {
  @Test(
    "forgets the oldest ids first when more come than fit, in one Redis and in a cluster", arguments: [false, true])
  func oldestFirst(isCluster: Bool) throws {
    // Room for 400 ids, 200 in each hash.
    let bytesMax = 400 * IDMemory.bytesPerID
    let server = isCluster ? nil : try RedisServer()
    let node =
      try isCluster
      ? Bench.clusterNode { $0.dedupeBytes = bytesMax } : TestNode("n1", on: server) { $0.dedupeBytes = bytesMax }
    try #require(drive([node], within: 15) { node.isUp })
    let count = 1000
    for number in 1...count { #expect(try node.publish("m", dedupe: "id\(number)").offset == UInt64(number)) }
    // The newest are known, by the order in which they came.
    for number in (count - 150)...count {
      #expect(try node.publish("again", dedupe: "id\(number)").offset == UInt64(number), "\(number)")
    }
    #expect(try node.publish("forgotten", dedupe: "id1").offset == UInt64(count + 1))
    let forgotten = try #require(node.redis?.dedupeForgottenTotal)
    #expect((300...1000).contains(forgotten), "\(forgotten)")
    guard let server else { return }
    let kept = ["new", "old"].map { Int(server.run("HLEN", "roost:3:{ids}:\($0)") ?? "") ?? 0 }
    #expect(kept.allSatisfy { $0 <= 200 + 200 / 8 + 1 }, "\(kept)")
  }

  @Test("no hash of ids stays for ever, and an id lives its five minutes")
  func lives() throws {
    let server = try RedisServer()
    let node = try TestNode("n1", on: server)
    try #require(drive([node]) { node.isUp })
    func life(_ key: String) -> Int { Int(server.run("PTTL", "roost:3:{ids}:\(key)") ?? "") ?? 0 }
    let first = try node.publish("m", dedupe: "a")
    #expect((300_000...IDMemory.lifeMilliseconds).contains(life("new")))
    #expect(life("old") == -2)
    // Five minutes later, as far as Redis can tell.
    server.run("PEXPIRE", "roost:3:{ids}:new", "\(IDMemory.lifeMilliseconds - IDMemory.milliseconds - 1)")
    node.redis?.ids.forgetPlaces()
    _ = try node.publish("m", dedupe: "b")
    #expect(life("old") > IDMemory.milliseconds)
    #expect(try node.publish("m", dedupe: "a") == first)
    #expect(node.redis?.dedupeForgottenTotal == 0, "what had its time is not forgotten early")
    server.run("PEXPIRE", "roost:3:{ids}:new", "\(IDMemory.lifeMilliseconds - IDMemory.milliseconds - 1)")
    node.redis?.ids.forgetPlaces()
    _ = try node.publish("m", dedupe: "c")
    #expect(try node.publish("m", dedupe: "a").offset == 4, "its time is up")
    // A hash that was made behind a flush gets its end with the next look.
    server.run("FLUSHALL")
    _ = try node.publish("m", dedupe: "d")
    node.redis?.ids.forgetPlaces()
    _ = try node.publish("m", dedupe: "e")
    #expect(life("new") > 0)
  }

  @Test("the hash that a publish or a direct message makes after a flush has an end as well", arguments: [true, false])
  func flushed(isMessage: Bool) throws {
    let server = try RedisServer()
    let node = try TestNode("n1", on: server)
    try #require(drive([node]) { node.isUp })
    func use(_ id: String) throws {
      guard !isMessage else { return _ = try node.publish("m", dedupe: id) }
      _ = try ask([node]) {
        node.broker.send(bytes("m"), to: .user(bytes("ann")), dedupe: bytes(id), $0)
      }
    }
    // The node knows from here on that the hash stands.
    try use("a")
    server.run("DEL", "roost:3:{ids}:new")
    try use("b")
    #expect(Int(server.run("PTTL", "roost:3:{ids}:new") ?? "") ?? 0 > IDMemory.milliseconds)
  }

  @Test("a key of a wrong type is answered as refused, named once in the log, and harms nothing else")
  func wrongTypes() throws {
    let server = try RedisServer()
    let node = try TestNode("n1", on: server)
    try #require(drive([node]) { node.isUp })
    _ = try node.publish("m", in: "log")
    for end in ["meta", "log", "members", "users", "order"] { server.run("SET", "roost:3:{r:\(end)}:\(end)", "x") }
    server.run("SET", "roost:3:{u:ann}:connections", "x")
    func fault<Value>(_ call: (@escaping BrokerReply<Value>) -> Void) -> BrokerError? {
      do { _ = try ask([node], call) } catch { return error as? BrokerError }
      return nil
    }
    for _ in 0..<3 {
      for dedupe in [nil, bytes("id")] {
        for room in ["meta", "log"] {
          let message = RoomMessage(room: bytes(room), envelope: bytes("m"), dedupe: dedupe)
          #expect(fault { node.broker.publish(message, $0) } == .refused, "\(room)")
        }
      }
      #expect(fault { node.broker.position(room: bytes("meta"), $0) } == .refused)
      #expect(fault { node.broker.history(room: bytes("meta"), .newest(limit: 1), $0) } == .refused)
      for room in ["meta", "members", "users", "order"] {
        #expect(
          fault { node.broker.enter(room: bytes(room), node.member("bob"), $0) } == .refused, "\(room)")
      }
      #expect(fault { node.broker.members(room: bytes("members"), after: nil, limit: 9, $0) } == .refused)
      #expect(fault { node.broker.users(room: bytes("users"), from: nil, $0) } == .refused)
      #expect(fault { node.broker.connections(of: bytes("ann"), $0) } == .refused)
    }
    #expect(node.isUp)
    // What was refused took no offset.
    server.run("DEL", "roost:3:{r:log}:log")
    #expect(try node.publish("m", in: "log").offset == 2)
    server.run("SET", "roost:3:{r:log}:log", "x")
    #expect(try node.publish("m", in: "fine").offset == 1)
    #expect(node.heard.lost == 0)
    let told = node.log.filter { $0.contains("another type") }
    #expect(
      told.contains { $0.contains("roost:3:{r:meta}:meta") } && told.contains { $0.contains("{u:ann}:connections") })
    #expect(Set(told).count == told.count, "each is named once")
    #expect(node.log.allSatisfy { !$0.contains("out of reach") })
    // Together in a batch, each message has its own fate.
    var fates: [String: Result<Position, BrokerError>] = [:]
    for room in ["fine", "log", "fine2", "meta"] {
      node.broker.publish(RoomMessage(room: bytes(room), envelope: bytes("m"), dedupe: bytes("b"))) { fates[room] = $0 }
    }
    #expect(drive([node]) { fates.count == 4 })
    #expect(fates["log"] == .failure(.refused) && fates["meta"] == .failure(.refused))
    #expect(try fates["fine"]?.get().offset == 2 && fates["fine2"]?.get().offset == 1)
  }
}
