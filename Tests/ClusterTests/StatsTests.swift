import JSONCore
import TestSupport
import Testing

@Suite("Cluster, what its nodes remember", .serialized)
struct StatsTests {
  private static func column(_ stats: JSONValue, _ name: String) -> [Int] {
    let member = stats["series"]?.asObject?.first { $0.key == Array(name.utf8) }
    return member?.value.asArray?.compactMap(\.asInt) ?? []
  }

  @Test("adds up the samples of all nodes at any of them, and shows one node's alone")
  func sums() throws {
    let cluster = try Cluster(2)
    let clients = try cluster.members(of: "r")
    let extra = try cluster.nodes[1].connect("u3")
    try extra.join("r")
    for n in 1...20 { try clients[n % 2].publish("r", "\"n\":\(n)") }
    try eventually("both nodes have sampled it", within: 30) {
      let stats = try cluster.nodes[0].inspect("stats")
      return Self.column(stats, "messagesIn").reduce(0, +) == 20 && Self.column(stats, "websocket").last == 3
        && stats["nodes"]?.asArray?.map(\.asString) == ["n1", "n2"]
    }
    let stats = try cluster.nodes[0].inspect("stats")
    #expect(stats["missing"]?.asArray?.isEmpty == true && stats["incomplete"] == nil)
    #expect(stats["answering"]?["id"]?.asString == "n1")
    // Each message reaches the two others in the room.
    #expect(Self.column(stats, "messagesOut").reduce(0, +) >= 40)
    let delivered = stats["delivery"]?["counts"]?.asArray?.flatMap { $0.asArray ?? [] }.compactMap(\.asInt) ?? []
    // One for each message on each node.
    #expect(delivered.reduce(0, +) == 40)
    #expect(stats["redis"]?["counts"]?.asArray?.contains { $0.asArray?.isEmpty == false } == true)
    let second = try cluster.nodes[0].inspect("stats?node=n2")
    #expect(second["nodes"]?.asArray?.map(\.asString) == ["n2"])
    #expect(Self.column(second, "websocket").last == 2 && Self.column(second, "messagesIn").reduce(0, +) == 10)
    let last = stats["times"]?.asArray?.last?.asInt ?? 0
    let later = try cluster.nodes[1].inspect("stats?since=\(last)")
    #expect(later["times"]?.asArray?.allSatisfy { ($0.asInt ?? 0) > last } == true)
    #expect(try cluster.nodes[0].admin("GET", "stats?node=n9").status == 404)
    for query in ["since=x", "since=-1", "node=n1&node=n2", "limit=1"] {
      #expect(try cluster.nodes[0].admin("GET", "stats?\(query)").status == 400, "\(query)")
    }
  }

  @Test("shows what this node remembers while Redis is away, and says that it is alone")
  func alone() throws {
    let cluster = try Cluster(2)
    let ann = try cluster.nodes[0].connect("ann")
    try ann.join("r")
    try eventually("the node has a sample", within: 30) {
      try cluster.nodes[0].inspect("stats?node=n1")["times"]?.asArray?.isEmpty == false
    }
    cluster.redis.kill()
    try eventually("it notices") { try cluster.nodes[0].inspect("stats")["incomplete"]?.asBool == true }
    let stats = try cluster.nodes[0].inspect("stats")
    #expect(stats["nodes"]?.asArray?.map(\.asString) == ["n1"])
    #expect(stats["answering"]?["state"]?.asString == "waiting for Redis")
    #expect(stats["answering"]?["connections"]?.asInt == 1)
    #expect(try cluster.nodes[0].admin("GET", "nodes").status == 503)
    let rooms = try cluster.nodes[0].inspect("top-rooms")
    #expect(rooms["rooms"]?.asArray?.first?["room"]?.asString == "r" && rooms["incomplete"]?.asBool == true)
    try eventually("a sample says so", within: 30) {
      Self.column(try cluster.nodes[0].inspect("stats"), "redisDown").last == 1
    }
  }

  @Test("lists the largest and the busiest rooms of all nodes")
  func topRooms() throws {
    let cluster = try Cluster(2)
    let clients = try cluster.members(of: "large")
    try clients[1].join("busy")
    try clients[1].join("quiet")
    let first = try cluster.nodes[0].inspect("top-rooms")["rooms"]?.asArray ?? []
    #expect(first.map { $0["room"]?.asString } == ["large", "busy", "quiet"])
    #expect(first.map { $0["connections"]?.asInt } == [2, 1, 1])
    try eventually("the rate is known", within: 20) {
      try clients[1].publish("busy", "\"n\":1")
      let rooms = try cluster.nodes[0].inspect("top-rooms?by=messages")["rooms"]?.asArray ?? []
      return rooms.count == 1 && rooms[0]["room"]?.asString == "busy" && (rooms[0]["rate"]?.asDouble ?? 0) > 0
    }
    #expect(try cluster.nodes[1].inspect("top-rooms?limit=1")["rooms"]?.asArray?.count == 1)
    for query in ["by=name", "limit=0", "limit=101", "prefix=r"] {
      #expect(try cluster.nodes[0].admin("GET", "top-rooms?\(query)").status == 400, "\(query)")
    }
  }

  @Test("shows a connection's queue, rooms and token, whatever node it is on")
  func connection() throws {
    let cluster = try Cluster(2, MintedToken.flags)
    let token = try MintedToken.make(#""sub":"ann","jti":"t-7","exp":4000000000,"info":{"n":1}"#)
    let ann = try cluster.nodes[1].connect(token: token)
    try ann.join("r")
    try ann.join("lobby:*")
    let users = try cluster.nodes[0].inspect("users/ann")["connections"]?.asArray ?? []
    let name = try #require(users.first?["id"]?.asString)
    let connection = try cluster.nodes[0].inspect("connections/\(name)")
    #expect(connection["node"]?.asString == "n2" && connection["info"]?["n"]?.asInt == 1)
    #expect(connection["queue"]?.asInt == 0 && connection["roomCount"]?.asInt == 2)
    #expect(connection["rooms"]?.asArray?.map { $0["room"]?.asString } == ["r"])
    #expect(connection["wildcards"]?.asArray?.map(\.asString) == ["lobby:*"])
    #expect(connection["token"]?["id"]?.asString == "t-7")
    #expect(connection["token"]?["expires"]?.asInt == 4_000_000_000_000)
    #expect(connection["token"]?["broadcast"]?.asBool == false)
  }
}
