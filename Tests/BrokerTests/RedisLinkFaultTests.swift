import ClientProtocol
import LoopCore
import Realtime
import TestSupport
import Testing

@testable import RedisBackend

/// What a node does when one of its connections works half.
@Suite(.serialized)
struct RedisLinkFaultTests {
  let server: RedisServer
  let proxy: TCPProxy
  let node: TestNode

  init() throws {
    let server = try RedisServer()
    let proxy = try TCPProxy(to: server.port)
    let node = try TestNode("n1", on: server) { $0.topology = .single(.tcp(host: "127.0.0.1", port: proxy.port)) }
    (self.server, self.proxy, self.node) = (server, proxy, node)
    try #require(drive([node]) { node.isUp })
  }

  private func isBack() -> Bool { node.isUp && node.heard.restored == node.heard.lost }

  /// Publishes past the proxy, as another node would.
  private func publishElsewhere(_ text: String) throws -> TestNode {
    let other = try TestNode("n2", on: server)
    try #require(drive([node, other]) { other.isUp })
    _ = try other.publish(text)
    return other
  }

  // MARK: Deaf subscriptions

  @Test(
    "finds a subscribed connection that stands and brings nothing, and is not restored before one does",
    arguments: [TCPProxy.Treatment.swallowPieces(with: "\r\nmessage\r\n"), .swallow])
  func deaf(treatment: TCPProxy.Treatment) throws {
    try node.subscribe()
    proxy.treat(.toClient, treatment, said: "n1-subscriber")
    #expect(drive([node], within: 10) { node.heard.lost == 1 })
    #expect(!node.isUp && node.broker.isAvailable)
    #expect(throws: BrokerError.unavailable) { try node.subscribe("other") }
    // A connection that confirms subscriptions and brings nothing is no better than none.
    #expect(
      drive([node], within: 10) { node.redis.map { $0.reconnectsTotal >= 1 || proxy.connectionsTotal >= 4 } == true })
    #expect(node.heard.restored == 0)
    proxy.heal()
    #expect(drive([node], within: 10) { isBack() })
    let other = try publishElsewhere("after")
    #expect(drive([node, other]) { node.heard.messages.map(\.envelope) == ["after"] })
    #expect(node.redis.map { $0.deafSubscriptionsTotal >= 1 || treatment == .swallow } == true)
  }

  @Test("finds a single subscription that Redis does not hold, and renews all of them")
  func lostSubscription() throws {
    try node.subscribe("first")
    proxy.treat(.toServer, .swallowPieces(with: "SUBSCRIBE"), said: "n1-subscriber")
    var answer: Result<Void, BrokerError>?
    node.broker.subscribe(room: bytes("r")) { answer = $0 }
    #expect(drive([node]) { proxy.swallowedBytes(.toServer) > 0 })
    proxy.heal()
    #expect(drive([node], within: 15) { node.redis?.deafSubscriptionsTotal == 1 && answer != nil })
    #expect(drive([node], within: 10) { isBack() })
    try node.subscribe()
    let other = try publishElsewhere("after")
    #expect(drive([node, other]) { node.heard.messages.map(\.envelope) == ["after"] })
  }

  @Test("tries again when the first subscriptions of a connection get lost")
  func lostOpening() throws {
    try node.subscribe()
    proxy.treat(.toServer, .swallowPieces(with: "}:ch"), said: "n1-subscriber")
    proxy.cut(said: "n1-subscriber")
    #expect(drive([node], within: 10) { node.heard.lost == 1 && proxy.swallowedBytes(.toServer) > 0 })
    #expect(drive([node], within: 10) { proxy.connectionsTotal >= 4 })
    #expect(node.heard.restored == 0)
    proxy.heal()
    #expect(drive([node], within: 10) { isBack() })
    _ = try node.publish("after", dedupe: "test:after")
    #expect(drive([node]) { node.heard.messages.map(\.envelope) == ["after"] })
  }

  @Test("lets a connection be that is only slow")
  func slow() throws {
    try node.subscribe()
    for direction in TCPProxy.Direction.allCases { proxy.treat(direction, .delay(milliseconds: 150)) }
    drive([node], within: 6) { node.heard.lost > 0 }
    #expect(node.heard.lost == 0 && node.redis?.deafSubscriptionsTotal == 0)
    #expect(try node.publish("m").offset == 1)
    #expect(drive([node]) { node.heard.messages.count == 1 })
  }

  // MARK: Publishes without an answer

  @Test("publishes once, and acknowledges, what has an id and whose answer was lost with the connection")
  func lostAnswer() throws {
    try node.subscribe()
    _ = try node.publish("first", dedupe: "test:first")
    var answers: [Result<Position, BrokerError>] = []
    try losingAnswers {
      for n in 1...3 {
        node.broker.publish(RoomMessage(room: bytes("r"), envelope: bytes("m\(n)"), dedupe: bytes("ann:\(n)"))) {
          answers.append($0)
        }
      }
    }
    #expect(drive([node], within: 10) { answers.count == 3 })
    #expect(answers.map { try? $0.get().offset } == [2, 3, 4])
    #expect(drive([node]) { isBack() })
    _ = try node.publish("last", dedupe: "test:last")
    #expect(drive([node]) { node.heard.messages.count == 5 })
    #expect(node.heard.messages.map(\.envelope) == ["first", "m1", "m2", "m3", "last"])
  }

  @Test("says that it does not know about what has no id, and publishes it no second time")
  func lostAnswerWithoutID() throws {
    try node.subscribe()
    var answer: Result<Position, BrokerError>?
    var sent: Result<Int, BrokerError>?
    try losingAnswers {
      node.broker.publish(RoomMessage(room: bytes("r"), envelope: bytes("m"), dedupe: nil)) { answer = $0 }
      node.broker.send(bytes("d"), to: .everyone, dedupe: nil) { sent = $0 }
    }
    #expect(drive([node], within: 10) { answer != nil && sent != nil })
    #expect(answer == .failure(.uncertain) && sent == .failure(.uncertain))
    #expect(drive([node]) { isBack() })
    #expect(try node.publish("next", dedupe: "test:next").offset == 2)
    #expect(drive([node]) { node.heard.messages.map(\.envelope) == ["m", "next"] })
  }

  @Test("sends to a user once what has an id and whose answer was lost with the connection")
  func lostAnswerOutsideRooms() throws {
    node.broker.subscribe(user: bytes("ann"))
    node.broker.connect(node.member("ann"))
    var answer: Result<Int, BrokerError>?
    #expect(drive([node]) { (try? ask([node]) { node.broker.connections(of: bytes("ann"), $0) }.count) == 1 })
    proxy.treat(.toClient, .swallowPieces(with: ":1\r\n"), said: "n1-commands")
    node.broker.send(bytes("d"), to: .user(bytes("ann")), dedupe: bytes("once")) { answer = $0 }
    #expect(drive([node]) { !node.heard.direct.isEmpty })
    proxy.heal()
    proxy.cut(said: "n1-commands")
    #expect(drive([node], within: 10) { answer == .success(1) })
    #expect(drive([node]) { isBack() })
    _ = try node.publish("fence", dedupe: "test:fence")
    #expect(node.heard.direct.count == 1)
  }

  @Test("asserts its presence again when the answer is lost that said that it was forgotten")
  func lostStatus() throws {
    _ = try node.enter(node.member("ann"))
    proxy.treat(.toClient, .swallow, said: "n1-commands")
    server.run("FLUSHALL")
    // The next renewal takes the lease again, and says that it was not there.
    #expect(drive([node], within: 10) { server.run("ZCARD", "roost:3:{nodes}:leases") == "1" })
    proxy.heal()
    proxy.cut(said: "n1-commands")
    #expect(drive([node], within: 10) { node.heard.presenceLosses > 0 })
    #expect(drive([node], within: 10) { isBack() })
  }

  @Test("answers what waits to be sent again when the broker ends")
  func endsWithRetries() throws {
    var answer: Result<Position, BrokerError>?
    try losingAnswers {
      node.broker.publish(RoomMessage(room: bytes("r"), envelope: bytes("m"), dedupe: bytes("ann:1"))) { answer = $0 }
      proxy.refuse(true)
    }
    #expect(drive([node]) { !node.broker.isAvailable })
    #expect(answer == nil)
    node.redis?.abandon()
    #expect(answer == .failure(.uncertain))
  }

  /// Has Redis carry out what `action` sends, loses the answers, then cuts the connection.
  private func losingAnswers(_ action: () -> Void) throws {
    proxy.treat(.toClient, .swallow, said: "n1-commands")
    let before = proxy.swallowedBytes(.toClient)
    let calls = { [server] in server.info("stats", "total_commands_processed") }
    let start = calls()
    action()
    // Every command that the node sends is carried out: the counts stop growing but for this question's own.
    try #require(drive([node]) { proxy.swallowedBytes(.toClient) > before && calls() > start + 1 })
    drive([node], within: 0.2) { false }
    proxy.heal()
    proxy.cut(said: "n1-commands")
  }
}
