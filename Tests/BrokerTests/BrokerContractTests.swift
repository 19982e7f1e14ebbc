import LoopCore
import Realtime
import TestSupport
import Testing

@testable import RedisBackend

/// Which broker a contract test runs on.
enum BrokerKind: CaseIterable {
  case embedded, redis, redisTLS, redisCluster

  /// Those that hear rooms by the beginning of their names.
  static let withPatterns: [BrokerKind] = [.embedded, .redis, .redisTLS]
}

/// A node of the given kind, ready to work.
struct Bench {
  private static let certificates = Result { try Certificates() }
  /// One for all tests, each of which has a prefix of its own. Safe because it is made once and only read.
  nonisolated(unsafe) private static let cluster = Result { try RedisClusterProcesses() }
  let node: TestNode

  /// A node on the cluster that all tests share, with a prefix of its own.
  static func clusterNode(_ id: String = "n1", _ change: (inout RedisConfiguration) -> Void) throws -> TestNode {
    let cluster = try cluster.get()
    return try TestNode(id, on: nil) {
      $0.topology = .cluster(cluster.masters.map { .tcp(host: "127.0.0.1", port: $0.port) })
      $0.prefix = "t\(Clock.monotonicNanoseconds())"
      change(&$0)
    }
  }

  init(_ kind: BrokerKind, historySize: Int = 100) throws {
    switch kind {
    case .embedded:
      node = try TestNode("n1", embedded: (), historySize: historySize)
    case .redis:
      node = try TestNode("n1", on: RedisServer()) { $0.historySize = historySize }
    case .redisCluster:
      node = try Bench.clusterNode { $0.historySize = historySize }
    case .redisTLS:
      let certificates = try Bench.certificates.get()
      let port = try FreePort.find()
      let tls = try TLSClientContext(authorityPath: certificates.authority, certificatePath: nil, keyPath: nil)
      node = try TestNode("n1", on: RedisServer(certificates.redisArguments(port: port)), tls: tls) {
        $0.topology = .single(.tcp(host: "localhost", port: port))
        $0.historySize = historySize
      }
    }
    let node = node
    try #require(drive([node]) { node.isUp })
  }
}

/// What every broker promises.
@Suite(.serialized)
struct BrokerContractTests {
  @Test("gives the messages of a room the offsets 1, 2, 3 within one epoch", arguments: BrokerKind.allCases)
  func offsets(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    try node.subscribe()
    let positions = try (1...20).map { try node.publish("m \($0)") }
    #expect(positions.map(\.offset) == Array(1...20))
    #expect(Set(positions.map(\.epoch)).count == 1)
    #expect(drive([node]) { node.heard.messages.count == 20 })
    #expect(node.heard.messages.map(\.position) == positions)
    #expect(node.heard.messages.map(\.envelope) == (1...20).map { "m \($0)" })
  }

  @Test("publishes a repeated id once and answers with the first position", arguments: BrokerKind.allCases)
  func dedupe(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    try node.subscribe()
    let first = try node.publish("a", dedupe: "ann:1")
    #expect(try node.publish("a", dedupe: "ann:1") == first)
    #expect(try node.publish("a", dedupe: "bob:1").offset == 2)
    #expect(try node.publish("a", in: "other", dedupe: "ann:1").offset == 1)
    #expect(drive([node]) { node.heard.messages.count == 2 })
    #expect(try node.position().offset == 2)
  }

  @Test("reads history after an offset and from the end, oldest first", arguments: BrokerKind.allCases)
  func history(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    for i in 1...10 { _ = try node.publish("m\(i)") }
    func offsets(_ query: HistoryQuery) throws -> [UInt64] { try node.history(query).entries.map(\.offset) }
    #expect(try offsets(.after(0, limit: 100)) == Array(1...10))
    #expect(try offsets(.after(7, limit: 100)) == [8, 9, 10])
    #expect(try offsets(.after(2, limit: 3)) == [3, 4, 5])
    #expect(try offsets(.newest(limit: 3)) == [8, 9, 10])
    #expect(try offsets(.after(10, limit: 5)).isEmpty)
    #expect(try offsets(.after(.max, limit: 5)).isEmpty)
    let page = try node.history(.newest(limit: 1))
    #expect(page.position.offset == 10)
    #expect(page.entries.first?.envelope == bytes("m10"))
    #expect(try node.history(.newest(limit: 5), "silent").entries.isEmpty)
  }

  @Test("reads as much history as a number of bytes holds, and one message at least", arguments: BrokerKind.allCases)
  func historyBytes(kind: BrokerKind) throws {
    let node = try Bench(kind, historySize: 1000).node
    let text = String(repeating: "x", count: 995)
    for i in 1...200 { _ = try node.publish("\(text)\(10_000 + i)") }
    func offsets(_ query: HistoryQuery, _ bytesMax: Int) throws -> [UInt64] {
      let page: HistoryPage = try ask([node]) { node.broker.history(room: bytes("r"), query, bytesMax: bytesMax, $0) }
      #expect(page.hasMore == (page.entries.last?.offset ?? 200 < 200))
      return page.entries.map(\.offset)
    }
    #expect(try offsets(.after(0, limit: 500), 1_000_000) == Array(1...200))
    // In a cluster each message carries the tag of its master, a few bytes.
    #expect(try offsets(.after(0, limit: 500), 100_900) == Array(1...100))
    #expect(try offsets(.after(150, limit: 500), 9_999) == Array(151...159))
    #expect(try offsets(.after(0, limit: 7), 100_000) == Array(1...7))
    #expect(try offsets(.newest(limit: 50), 10_090) == Array(151...160))
    #expect(try offsets(.newest(limit: 3), 100_000) == Array(198...200))
    for few in [0, 1, 999, 1000, 1999] { #expect(try offsets(.after(20, limit: 500), few) == [21]) }
    #expect(try offsets(.after(199, limit: 500), 0) == [200])
    #expect(try offsets(.after(200, limit: 500), 0).isEmpty)
  }

  @Test("shows no more of a room than the history size, however the log is trimmed", arguments: BrokerKind.allCases)
  func historySize(kind: BrokerKind) throws {
    let node = try Bench(kind, historySize: 5).node
    for i in 1...30 { _ = try node.publish("m\(i)") }
    #expect(try node.history(.after(0, limit: 100)).entries.map(\.offset) == [26, 27, 28, 29, 30])
    #expect(try node.history(.newest(limit: 100)).entries.map(\.offset) == [26, 27, 28, 29, 30])
  }

  @Test("keeps nothing when the history size is 0", arguments: BrokerKind.allCases)
  func noHistory(kind: BrokerKind) throws {
    let node = try Bench(kind, historySize: 0).node
    for i in 1...3 { _ = try node.publish("m\(i)") }
    let page = try node.history(.after(0, limit: 10))
    #expect(page.position.offset == 3)
    #expect(page.entries.isEmpty)
  }

  @Test("is silent about rooms not subscribed and rooms given up", arguments: BrokerKind.allCases)
  func unsubscribe(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    _ = try node.publish("before")
    try node.subscribe()
    _ = try node.publish("during")
    node.broker.unsubscribe(room: bytes("r"))
    // A subscription that is confirmed later tells that the earlier order was carried out.
    try node.subscribe("fence")
    _ = try node.publish("after")
    _ = try node.publish("end", in: "fence")
    #expect(drive([node]) { node.heard.messages.contains { $0.envelope == "end" } })
    #expect(node.heard.messages.map(\.envelope) == ["during", "end"])
  }

  @Test("says user_joined for a user's first connection and user_left for the last", arguments: BrokerKind.allCases)
  func notices(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    try node.subscribe()
    let (first, second) = (node.member(#"an"n/é"#, 1), node.member(#"an"n/é"#, 2))
    #expect(try node.countAfterEntering(first) == 1)
    #expect(try node.countAfterEntering(first) == 1)
    #expect(try node.countAfterEntering(second) == 1)
    #expect(try node.countAfterEntering(node.member("bob")) == 2)
    node.broker.leave(room: bytes("r"), first, graceMilliseconds: 0)
    node.broker.leave(room: bytes("r"), first, graceMilliseconds: 0)
    #expect(try node.members().count == 2)
    node.broker.leave(room: bytes("r"), second, graceMilliseconds: 0)
    #expect(drive([node]) { node.heard.notices.count >= 3 })
    #expect(node.heard.notices(.userJoined) == [#""an\"n/é""#, #""bob""#])
    #expect(node.heard.notices(.userLeft) == [#""an\"n/é""#])
  }

  @Test("answers an entering with the room's position and lists members as they came", arguments: BrokerKind.allCases)
  func members(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    let position = try node.publish("m")
    let member = node.member("ann", info: #"{"color":[1,2]}"#)
    #expect(try node.enter(member) == position)
    #expect(try node.members() == [member])
    #expect(try node.members("empty").isEmpty)
  }

  @Test("brings an ephemeral message in order, without an offset, and keeps nothing", arguments: BrokerKind.allCases)
  func ephemeral(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    try node.subscribe()
    let position = try node.publish("first")
    var envelope: [UInt8] = []
    Envelope.begin(.ephemeral, timestamp: 1, origin: [], userJSON: bytes(#""ann""#), into: &envelope)
    envelope += bytes(#""typing":true"#)
    try ask([node]) { node.broker.publish(ephemeral: envelope, in: bytes("r"), $0) }
    #expect(try node.publish("second").offset == position.offset + 1)
    #expect(drive([node]) { node.heard.messages.count == 2 && node.heard.notices.count == 1 })
    #expect(node.heard.notices.first?.kind == .ephemeral)
    #expect(try node.history(.newest(limit: 10)).entries.count == 2)
  }

  @Test("brings a direct message to a user's node and counts the connections", arguments: BrokerKind.allCases)
  func direct(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    node.broker.subscribe(user: bytes("ann"))
    node.broker.connect(node.member("ann", 1))
    node.broker.connect(node.member("ann", 1))
    node.broker.connect(node.member("ann", 2))
    #expect(try node.send("hello", to: .user(bytes("nobody"))) == 0)
    // The user's channel is subscribed behind the caller's back: what counts is that it comes to be heard.
    #expect(
      drive([node]) { (try? node.send("hello", to: .user(bytes("ann")))) == 2 && !node.heard.direct.isEmpty })
    #expect(node.heard.direct.allSatisfy { $0.user == "ann" && $0.envelope == "hello" })
    node.broker.disconnect(node.member("ann", 1))
    #expect(try node.send("hello", to: .user(bytes("ann"))) == 1)
    node.broker.disconnect(node.member("ann", 2))
    #expect(try node.send("hello", to: .user(bytes("ann"))) == 0)
  }

  @Test(
    "sends once what carries the same key, and answers a retry with the first number", arguments: BrokerKind.allCases)
  func sendsOnce(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    node.broker.subscribe(user: bytes("ann"))
    node.broker.connect(node.member("ann", 1))
    #expect(drive([node]) { (try? node.send("probe", to: .user(bytes("ann")))) == 1 && !node.heard.direct.isEmpty })
    func once(_ key: String, _ audience: Audience) throws -> Int {
      try ask([node]) { node.broker.send(bytes("once"), to: audience, dedupe: bytes(key), $0) }
    }
    #expect(try once("k", .user(bytes("ann"))) == 1)
    node.broker.disconnect(node.member("ann", 1))
    #expect(try once("k", .user(bytes("ann"))) == 1)
    #expect(try once("e", .everyone) == 0 && once("e", .everyone) == 0)
    #expect(try node.send("last", to: .everyone) == 0)
    #expect(drive([node]) { node.heard.everyone.last == "last" })
    #expect(node.heard.everyone == ["once", "last"])
    #expect(node.heard.direct.filter { $0.envelope == "once" }.count == 1)
  }

  @Test("brings a message for everyone to the node", arguments: BrokerKind.allCases)
  func everyone(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    #expect(try node.send("all of you", to: .everyone) == 0)
    #expect(drive([node]) { node.heard.everyone == ["all of you"] })
  }

  @Test("finds connections by user and by name", arguments: BrokerKind.allCases)
  func connections(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    let member = node.member("ann", info: #""x""#)
    node.broker.connect(member)
    #expect(try ask([node]) { node.broker.connections(of: bytes("ann"), $0) } == [member])
    #expect(try ask([node]) { node.broker.connection(named: member.name, $0) } == member)
    #expect(try ask([node]) { node.broker.connection(named: bytes("n1-none"), $0) } == nil)
    #expect(try ask([node]) { node.broker.connection(named: bytes("nonsense"), $0) } == nil)
    node.broker.disconnect(member)
    #expect(try ask([node]) { node.broker.connections(of: bytes("ann"), $0) }.isEmpty)
    #expect(try ask([node]) { node.broker.connection(named: member.name, $0) } == nil)
  }

  @Test("lists rooms with members by prefix, page by page", arguments: BrokerKind.allCases)
  func rooms(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    for room in ["b:2", "b:1", "a", "b:3", "c"] { _ = try node.enter(node.member("ann"), room) }
    _ = try node.enter(node.member("bob"), "b:1")
    let first = try node.rooms(prefix: "b:", limit: 2)
    #expect(first.rooms.map(\.name) == [bytes("b:1"), bytes("b:2")])
    #expect(first.rooms.map(\.userCount) == [2, 1])
    let second = try node.rooms(prefix: "b:", after: first.next, limit: 2)
    #expect(second.rooms.map(\.name) == [bytes("b:3")])
    #expect(second.next == nil)
    #expect(try node.rooms().rooms.map(\.name) == ["a", "b:1", "b:2", "b:3", "c"].map(bytes))
    node.broker.leave(room: bytes("a"), node.member("ann"), graceMilliseconds: 0)
    #expect(try node.rooms(limit: 1).rooms.map(\.name) == [bytes("b:1")])
  }

  @Test("lists itself as a live node with its report", arguments: BrokerKind.allCases)
  func nodes(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    let nodes = try ask([node]) { node.broker.nodes($0) }
    #expect(nodes == [NodeEntry(id: bytes("n1"), report: bytes(#"{"rooms":1}"#))])
  }

  @Test(
    "keeps rooms with hostile names apart",
    arguments: BrokerKind.allCases, ["}:ch", "{x}", "a}:meta", "{", "}", ":", "*?[", "\"", "a b", "\u{1F600}"])
  func hostileNames(kind: BrokerKind, name: String) throws {
    let node = try Bench(kind).node
    try node.subscribe(name)
    try node.subscribe("a")
    _ = try node.enter(node.member(name), name)
    #expect(try node.publish("1", in: name).offset == 1)
    #expect(try node.publish("2", in: "a").offset == 1)
    #expect(drive([node]) { node.heard.messages.count == 2 && node.heard.notices.count == 1 })
    // Rooms of different masters have no order between them.
    #expect(node.heard.messages.map(\.room).sorted() == [name, "a"].sorted())
    #expect(node.heard.notices.first?.room == name)
    #expect(try node.rooms().rooms.map(\.name) == [bytes(name)])
    #expect(try node.members(name).first?.user == bytes(name))
  }
}
