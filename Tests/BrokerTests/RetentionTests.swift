import Realtime
import Testing

@Suite("Broker contract, how much a room keeps")
struct RetentionTests {
  /// A node whose rooms named `few` keep 3 messages, and whose rooms named `none` keep none; others keep 5.
  private func makeNode(_ kind: BrokerKind) throws -> TestNode {
    let rules = RoomRules([
      (RoomGlob(bytes("few")), RoomRule(retention: few)), (RoomGlob(bytes("none")), RoomRule(retention: none)),
      (RoomGlob(bytes("many")), RoomRule(retention: many)),
    ])
    let node =
      switch kind {
      case .embedded: try TestNode("n1", embedded: (), historySize: 5, rules: rules)
      case .redis, .redisTLS:
        try TestNode("n1", on: RedisServer()) {
          $0.historySize = 5
          $0.rules = rules
        }
      case .redisCluster:
        try Bench.clusterNode {
          $0.historySize = 5
          $0.rules = rules
        }
      }
    try #require(drive([node], within: 8) { node.isUp })
    return node
  }

  private let few = Retention(messagesMax: 3, milliseconds: 60_000)
  private let none = Retention(messagesMax: 0, milliseconds: 60_000)
  private let many = Retention(messagesMax: 500, milliseconds: 60_000)

  private func publish(_ node: TestNode, _ room: String, _ retention: Retention?, count: Int) throws {
    for i in 1...count {
      let message = RoomMessage(room: bytes(room), envelope: bytes("m\(i)"), dedupe: nil, retention: retention)
      _ = try ask([node]) { node.broker.publish(message, $0) }
    }
  }

  @Test(
    "keeps as many messages of a room as its rule says, more or fewer than the others", arguments: BrokerKind.allCases)
  func sizes(kind: BrokerKind) throws {
    let node = try makeNode(kind)
    for (room, retention, kept) in [("few", few, 3), ("none", none, 0), ("many", many, 300), ("other", nil, 5)]
      as [(String, Retention?, Int)]
    {
      try publish(node, room, retention, count: 300)
      let page = try node.history(.after(0, limit: 1000), room)
      #expect(page.position.offset == 300, "\(room)")
      #expect(page.entries.map(\.offset) == (301 - kept..<301).map(UInt64.init), "\(room)")
      #expect(try node.history(.newest(limit: 2), room).entries.count == min(2, kept), "\(room)")
    }
  }

  @Test("gives a room's log the life that its rule says, and no counter a shorter one than the longest log")
  func lives() throws {
    let server = try RedisServer()
    let week = Retention(messagesMax: 10, milliseconds: 604_800_000)
    let node = try TestNode("n1", on: server) {
      $0.rules = RoomRules([(RoomGlob(bytes("week")), RoomRule(retention: week))])
    }
    try #require(drive([node], within: 8) { node.isUp })
    try publish(node, "week", week, count: 1)
    try publish(node, "other", nil, count: 1)
    func life(_ key: String) -> Int { server.run("PTTL", key).flatMap { Int($0) } ?? -3 }
    #expect((604_000_000...604_802_000).contains(life("roost:3:{r:week}:log")))
    #expect(life("roost:3:{r:week}:meta") > 604_802_000)
    #expect((299_000...302_000).contains(life("roost:3:{r:other}:log")))
  }
}
