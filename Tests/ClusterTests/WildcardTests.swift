import JSONCore
import TestSupport
import Testing

@Suite("Cluster, wildcards", .serialized)
struct WildcardTests {
  /// The offsets of the messages in each room, in the order in which they came.
  private func offsets(_ messages: [Received]) -> [String: [Int]] {
    var offsets: [String: [Int]] = [:]
    for message in messages { offsets[message.string("room") ?? "", default: []].append(message.int("offset") ?? 0) }
    return offsets
  }

  private func publish(_ count: Int, in rooms: [String], by clients: [WebSocketClient]) throws {
    for n in 0..<count {
      for room in rooms {
        for client in clients { try client.send(#"{"type":"message","room":"\#(room)","n":\#(n)}"#) }
      }
    }
    // An acked message of each is behind all that it has sent before.
    for client in clients { try client.publish(rooms[0], #""fence":true"#) }
  }

  @Test("hears every message of every matching room once and in order, whichever node it was published on")
  func acrossNodes() throws {
    let cluster = try Cluster(2)
    let publishers = try cluster.nodes.enumerated().map { try $1.connect("p\($0)") }
    let rooms = ["news:a", "news:b", "news:c"]
    for client in publishers { for room in rooms + ["other"] { try client.join(room) } }
    let listeners = try cluster.nodes.map { try $0.connect("listener") }
    for client in listeners { try client.join("news:*") }
    // One is in a room, in two wildcards that match it, and hears it once.
    for room in ["news:a", "news:a*"] { try listeners[1].join(room) }
    try publish(50, in: rooms, by: publishers)
    try publishers[0].publish("other", #""n":1"#)
    try publishers[0].publish("news:c", #""end":"wildcard""#)
    for client in listeners {
      var seen = try client.messages(until: "wildcard")
      // Rooms have no order among each other: what is left of them comes before the answer to a later question.
      try eventually("everything has come") {
        seen += try client.settle().filter { $0.type == "message" }
        return seen.count >= 302
      }
      let offsets = offsets(seen)
      #expect(offsets["news:a"] == Array(1...102))
      #expect(offsets["news:b"] == Array(1...100))
      #expect(offsets["news:c"] == Array(1...100))
      #expect(offsets.count == 3)
    }
    for node in cluster.nodes { #expect(try node.inspect("presence/news:b")["users"]?.asInt == 2) }
  }

  @Test("loses nothing of the rooms it has heard when links are cut, and says gap for those it has not")
  func cutLinks() throws {
    let cluster = try Cluster(2)
    let publisher = try cluster.nodes[0].connect("ann")
    try publisher.join("news:a")
    let listener = try cluster.nodes[1].connect("listener")
    try listener.join("news:*")
    for n in 1...30 {
      try eventually("message \(n) is taken") {
        try publisher.send(#"{"type":"message","room":"news:a","id":"m\#(n)","n":\#(n)}"#)
        let answer = try publisher.take("an answer to m\(n)") { "\($0)".contains(#""id":"m\#(n)""#) }
        return "\(answer)".contains(#""type":"ack""#)
      }
      if n % 10 == 5 { _ = try cluster.redis.command("CLIENT KILL TYPE pubsub") }
    }
    for node in cluster.nodes { try node.awaitReady() }
    try eventually("the last message is taken") {
      try publisher.ask(#""type":"message","room":"news:a","end":"cut""#).type == "ack"
    }
    let seen = try listener.messages(until: "cut")
    #expect(seen.compactMap { $0.int("n") } == Array(1...30))
    #expect(seen.compactMap { $0.int("offset") } == Array(1...30))
    #expect(try cluster.nodes[1].metric(#"roost_gap_messages_total{outcome="lost"}"#) == 0)
  }

  @Test("hears again after a restart of Redis, and tells that rooms it did not know may have been missed")
  func restart() throws {
    let cluster = try Cluster(2)
    let listener = try cluster.nodes[1].connect("listener")
    try listener.join("news:*")
    let publisher = try cluster.nodes[0].connect("ann")
    try publisher.join("news:a")
    try publisher.publish("news:a", #""n":1"#)
    #expect(try listener.expect("message").int("offset") == 1)
    try cluster.redis.restart()
    let gap = try listener.expect("gap", within: 15)
    #expect(gap.text == #"{"type":"gap","room":"news:*"}"#)
    for client in [listener, publisher] { try client.expect("restored", within: 15) }
    try publisher.join("news:b")
    try publisher.publish("news:a", #""n":2"#)
    try publisher.publish("news:b", #""n":3"#)
    let seen = try [listener.expect("message"), listener.expect("message")]
    #expect(seen.compactMap { $0.int("n") }.sorted() == [2, 3])
    #expect(seen.compactMap { $0.int("offset") } == [1, 1])
  }

  @Test("costs Redis one pattern for each wildcard of a node, given up after its last member, and no more than allowed")
  func cost() throws {
    let cluster = try Cluster(1, ["--max-wildcards", "2"])
    func patterns() throws -> String { try cluster.redis.command("PUBSUB NUMPAT") }
    let clients = try (0..<20).map { try cluster.nodes[0].connect("u\($0)") }
    for client in clients { for room in ["a:*", "b:*"] { try client.join(room) } }
    #expect(try patterns().hasPrefix(":2"))
    #expect(try clients[0].ask(#""type":"join","room":"c:*""#).string("code") == "too_many_rooms")
    for client in clients { client.connection.closeNow() }
    try eventually("no pattern is left") { try patterns().hasPrefix(":0") }
  }
}
