import JSONCore
import Realtime
import Testing

@testable import RedisBackend

/// The events of rooms that brokers record for webhooks.
@Suite(.serialized)
struct RoomEventTests {
  /// Brokers that have a queue, and the one that reports at once.
  private static let kinds: [BrokerKind] = [.embedded, .redis, .redisCluster]

  private static func policy(countMax: Int = 1000, ageMillisecondsMax: Int = 60_000) -> RoomEventPolicy {
    RoomEventPolicy(kinds: Set(RoomEventKind.allCases), countMax: countMax, ageMillisecondsMax: ageMillisecondsMax)
  }

  /// A node, and what it has recorded so far, each event as `NAME ROOM USER INFO`.
  private final class Recording {
    let node: TestNode
    private(set) var ids: [String] = []
    private(set) var dropped = 0
    private(set) var waiting = 0
    private var texts: [String] = []

    init(_ kind: BrokerKind, _ policy: RoomEventPolicy = RoomEventTests.policy()) throws {
      switch kind {
      case .embedded: node = try TestNode("n1", embedded: ())
      case .redisCluster: node = try Bench.clusterNode { $0.roomEvents = policy }
      default: node = try TestNode("n1", on: RedisServer()) { $0.roomEvents = policy }
      }
      let node = node
      try #require(drive([node]) { node.isUp })
      (node.broker as? EmbeddedBroker)?.roomEvents = { [weak self] event in
        let name = ["c": "room_created", "e": "room_emptied", "j": "user_joined", "l": "user_left"]
        let letter = String(UnicodeScalar(event.kind.rawValue))
        let parts = [event.room, event.user ?? [], event.info ?? []].map { String(decoding: $0, as: UTF8.self) }
        self?.texts.append("\(name[letter] ?? "") \(parts.joined(separator: " "))")
      }
    }

    private init(on node: TestNode) { self.node = node }

    /// One more node on the same Redis.
    func another() throws -> Recording {
      let configuration = try #require(node.redis?.context.configuration)
      let node = try TestNode("n2", on: nil) { $0 = configuration }
      try #require(drive([node]) { node.isUp })
      return Recording(on: node)
    }

    /// Takes everything out of the queue, delivered as it is.
    func read() throws -> [String] {
      guard let queue = node.redis?.roomEvents else { return texts }
      var delivered: [[UInt8]] = []
      repeat {
        var answer: RoomEventAnswer?
        queue.take(delivered: delivered, limit: 10) { answer = $0 }
        try #require(drive([node]) { answer != nil })
        guard case .page(let page)? = answer else { return texts }
        dropped += page.dropped
        waiting = page.waiting
        delivered = page.events
        for event in page.events { texts.append(try text(event)) }
      } while !delivered.isEmpty
      return texts
    }

    private func text(_ event: [UInt8]) throws -> String {
      let value = try JSONValue.parse(event.span)
      ids.append(try #require(value["id"]?.asString))
      #expect((value["ts"]?.asInt ?? 0) > 1_700_000_000_000)
      let info = value["info"]?.asInt.map(String.init) ?? ""
      let words = [value["event"], value["room"], value["user"]].map { $0?.asString ?? "" }
      return (words + [info]).joined(separator: " ")
    }

    func expect(_ expected: [String]) throws {
      #expect(drive([node]) { (try? read().count) ?? 0 >= expected.count })
      #expect(try read() == expected)
      #expect(Set(ids).count == ids.count)
    }
  }

  @Test("records the first and the last user of a room, and each user's first and last connection", arguments: kinds)
  func transitions(kind: BrokerKind) throws {
    let recording = try Recording(kind)
    let node = recording.node
    let room = #"r"\x"#
    let (ann, again, bob) = (node.member("ann", 1, info: "7"), node.member("ann", 2), node.member(#"b"ob"#))
    for member in [ann, again, ann, bob] { _ = try node.enter(member, room) }
    for member in [bob, ann, ann] { node.leave(member, room, grace: 0) }
    node.leave(again, room, grace: 20)
    _ = try node.position(room)
    #expect(drive([node]) { (try? node.endGraces(room)) == .some(nil) })
    try recording.expect([
      "room_created \(room)  ", "user_joined \(room) ann 7", "user_joined \(room) b\"ob ", "user_left \(room) b\"ob ",
      "user_left \(room) ann ", "room_emptied \(room)  ",
    ])
  }

  @Test("records in their order what happens in one tick, and no user who is back within the grace", arguments: kinds)
  func oneTick(kind: BrokerKind) throws {
    let recording = try Recording(kind)
    let node = recording.node
    var answers = 0
    for user in ["ann", "bob"] { node.broker.enter(room: bytes("r"), node.member(user)) { _ in answers += 1 } }
    node.leave(node.member("ann"), grace: 0)
    node.leave(node.member("bob"), grace: 60_000)
    node.broker.enter(room: bytes("r"), node.member("bob")) { _ in answers += 1 }
    node.leave(node.member("bob"), grace: 0)
    node.broker.enter(room: bytes("r"), node.member("eve")) { _ in answers += 1 }
    #expect(drive([node]) { answers == 4 })
    try recording.expect([
      "room_created r  ", "user_joined r ann ", "user_joined r bob ", "user_left r ann ", "user_left r bob ",
      "room_emptied r  ", "room_created r  ", "user_joined r eve ",
    ])
  }

  @Test("records what is wanted, and nothing where nothing is")
  func wanted() throws {
    let server = try RedisServer()
    let off = try TestNode("n1", on: server)
    try #require(drive([off]) { off.isUp })
    _ = try off.enter(off.member("ann"))
    #expect(off.redis?.roomEvents == nil)
    #expect(server.run("KEYS", "*events*") == "")
    var policy = RoomEventTests.policy()
    policy.kinds = [.userLeft]
    let recording = try Recording(.redis, policy)
    _ = try recording.node.enter(recording.node.member("ann"))
    recording.node.leave(recording.node.member("ann"), grace: 0)
    try recording.expect(["user_left r ann "])
  }

  @Test(
    "drops the oldest events beyond the limit, and those that are too old, and counts them",
    arguments: [.redis, .redisCluster] as [BrokerKind])
  func bounds(kind: BrokerKind) throws {
    let recording = try Recording(kind, RoomEventTests.policy(countMax: 5))
    for n in 1...6 { _ = try recording.node.enter(recording.node.member("u"), "r\(n)") }
    #expect(drive([recording.node]) { ((try? recording.read().count) ?? 0) + recording.dropped >= 12 })
    let texts = try recording.read()
    // One that was read may have been dropped before it was removed.
    #expect((12...13).contains(texts.count + recording.dropped), "\(texts) and \(recording.dropped)")
    #expect(texts.count <= 12 && texts.last == "user_joined r6 u ")
    let old = try Recording(kind, RoomEventTests.policy(ageMillisecondsMax: 0))
    _ = try old.node.enter(old.node.member("u"))
    #expect(drive([old.node]) { (try? old.read()) != nil && old.dropped == 2 })
    #expect(try old.read().isEmpty)
  }

  @Test("gives events to one process at a time, and to the next one what the first has not delivered")
  func lease() throws {
    let server = try RedisServer()
    let nodes = try ["n1", "n2"].map { try TestNode($0, on: server) { $0.roomEvents = RoomEventTests.policy() } }
    try #require(drive(nodes) { nodes.allSatisfy(\.isUp) })
    let queues = nodes.compactMap { $0.redis?.roomEvents }
    func take(_ index: Int, _ delivered: [[UInt8]] = []) throws -> [[UInt8]]? {
      var answer: RoomEventAnswer?
      queues[index].take(delivered: delivered, limit: 1) { answer = $0 }
      try #require(drive(nodes) { answer != nil })
      if case .page(let page)? = answer { return page.events }
      if case .elsewhere? = answer { return nil }
      throw TestError("unavailable")
    }
    _ = try nodes[0].enter(nodes[0].member("ann"))
    let first = try #require(try take(0))
    #expect(first.count == 1)
    #expect(try take(1) == nil)
    #expect(try take(0) == first)
    let second = try #require(try take(0, first))
    #expect(second.count == 1 && second != first)
    // A process that has lost the lease meanwhile still reports what it has delivered.
    queues[0].release()
    #expect(drive(nodes) { server.run("EXISTS", "roost:3:{events}:lease") == "0" })
    #expect(try take(1) == second)
    #expect(try take(1, second) == [])
    #expect(try take(0) == nil)
  }

  @Test("leaves no event behind when a node stops in order", arguments: [.redis, .redisCluster] as [BrokerKind])
  func orderedStop(kind: BrokerKind) throws {
    let recording = try Recording(kind)
    let node = recording.node
    let rooms = (1...20).map { "r\($0)" }
    for room in rooms { _ = try node.enter(node.member("ann"), room) }
    let other = try recording.another()
    var isStopped = false
    node.broker.stop { isStopped = true }
    #expect(drive([node, other.node]) { isStopped })
    #expect(drive([other.node]) { (try? other.read().count) ?? 0 >= 80 })
    let expected = rooms.flatMap {
      ["room_created \($0)  ", "user_joined \($0) ann ", "user_left \($0) ann ", "room_emptied \($0)  "]
    }
    #expect(try other.read().sorted() == expected.sorted())
  }

  @Test("loses no event of a node that dies between a room's queue and the cluster's")
  func deathWhileMoving() throws {
    let prefix = "moving\(UInt32.random(in: 0 ... .max))"
    let nodes = try ["n1", "n2"].map { id in
      try Bench.clusterNode(id) {
        $0.prefix = prefix
        $0.roomEvents = RoomEventTests.policy()
      }
    }
    try #require(drive(nodes) { nodes.allSatisfy(\.isUp) })
    nodes[0].broker.enter(room: bytes("r"), nodes[0].member("ann")) { [weak node = nodes[0]] _ in node?.redis?.abandon()
    }
    var names: [String] = []
    var delivered: [[UInt8]] = []
    var isAsking = false
    #expect(
      drive(nodes, within: 20) {
        guard !isAsking else { return names.count >= 4 }
        isAsking = true
        nodes[1].redis?.roomEvents?.take(delivered: delivered, limit: 10) {
          isAsking = false
          guard case .page(let page) = $0 else { return }
          delivered = page.events
          names += page.events.compactMap { (try? JSONValue.parse($0.span))?["event"]?.asString }
        }
        return names.count >= 4
      })
    #expect(names == ["room_created", "user_joined", "user_left", "room_emptied"])
  }
}

private struct TestError: Error {
  let text: String
  init(_ text: String) { self.text = text }
}
