import Glibc
import JSONCore
import TestSupport
import Testing

@Suite("Cluster, several nodes on one Redis", .serialized)
struct ClusterTests {
  @Test("carries rooms, direct messages and broadcasts across three nodes")
  func acrossNodes() throws {
    let cluster = try Cluster(3)
    let clients = try cluster.members(of: "r")
    let ack = try clients[0].ask(#""type":"message","room":"r","n":1,"big":12345678901234567890"#)
    #expect(ack.int("offset") == 1)
    for client in clients.dropFirst() {
      let message = try client.expect("message")
      #expect(message.string("user") == "u1")
      #expect(message.int("offset") == 1)
      #expect(message.text.hasSuffix(#""n":1,"big":12345678901234567890}"#))
    }
    #expect(try clients[0].ask(#""type":"direct","to":"u3","n":2"#).int("delivered") == 1)
    #expect(try clients[2].expect("direct").int("n") == 2)
    #expect(try clients[1].ask(#""type":"broadcast","n":3"#).type == "ack")
    for index in [0, 2] { #expect(try clients[index].expect("broadcast").string("user") == "u2") }
    try clients[0].send(binary: [1, 1, 0x72, 9, 8, 7])
    #expect(try clients[1].expectBinary() == [1, 1, 0x72, 2, 0x75, 0x31, 9, 8, 7])
  }

  @Test("counts presence across nodes, whichever is asked")
  func presence() throws {
    let cluster = try Cluster(2)
    let clients = try cluster.members(of: "r")
    let again = try cluster.nodes[1].connect("u1")
    try again.join("r")
    for node in cluster.nodes {
      let presence = try node.inspect("presence/r")
      #expect(presence["count"]?.asInt == 3)
      #expect(presence["users"]?.asInt == 2)
      #expect(try node.inspect("users/u1")["count"]?.asInt == 2)
      #expect(try node.inspect("nodes")["nodes"]?.asArray?.count == 2)
      #expect(try node.inspect("rooms")["rooms"]?.asArray?.count == 1)
    }
    #expect(try clients[1].ask(#""type":"presence","room":"r""#).int("count") == 2)
    // u1 is still there with its second connection, so nobody is told.
    clients[0].connection.closeNow()
    try eventually("the first connection is gone") { try cluster.nodes[1].inspect("presence/r")["count"]?.asInt == 2 }
    again.connection.closeNow()
    #expect(try clients[1].expect("user_left").string("user") == "u1")
    try clients[1].publish("r", #""echo":true,"end":"e""#)
    try clients[1].expect("message")
    #expect(!clients[1].takeUnread().contains { "\($0)".contains("user_left") })
  }

  @Test("gives every node the same order, without loss or repetition, while all publish at once")
  func order() throws {
    let cluster = try Cluster(2)
    let clients = try cluster.members(of: "r")
    let listeners = try cluster.nodes.map { node in
      let client = try node.connect("listener")
      try client.join("r")
      return client
    }
    for n in 0..<200 {
      for client in clients { try client.send(#"{"type":"message","room":"r","n":\#(n)}"#) }
    }
    // An acked message of each is behind all that it has sent before.
    for client in clients { try client.publish("r", #""fence":true"#) }
    try clients[0].publish("r", #""end":"order""#)
    let seen = try listeners.map { try $0.messages(until: "order") }
    #expect(seen[0].map { $0.int("offset") } == (1...402).map { $0 })
    #expect(seen[0].map(\.text) == seen[1].map(\.text))
    for user in ["u1", "u2"] {
      #expect(seen[0].filter { $0.string("user") == user }.compactMap { $0.int("n") } == Array(0..<200))
    }
  }

  @Test("publishes the same id of the same user once, on whichever nodes it is retried")
  func idempotent() throws {
    let cluster = try Cluster(2)
    let clients = try cluster.nodes.map { try $0.connect("ann") }
    for client in clients { try client.join("r") }
    let bob = try cluster.nodes[1].connect("bob")
    try bob.join("r")
    for client in clients + clients { try client.send(#"{"type":"message","room":"r","id":"same","n":1}"#) }
    for client in clients + clients { #expect(try client.expect("ack").int("offset") == 1) }
    try bob.publish("r", #""echo":true,"end":"once""#)
    #expect(try bob.messages(until: "once").count == 1)
  }

  @Test("resumes on another node without a hole or a repetition")
  func resume() throws {
    let cluster = try Cluster(2)
    let clients = try cluster.members(of: "r")
    let epoch = try clients[1].join("r").string("epoch") ?? ""
    try clients[0].publish("r", #""n":1"#)
    clients[1].connection.reset()
    for n in 2...20 { try clients[0].publish("r", "\"n\":\(n)") }
    let back = try cluster.nodes[0].connect("u2")
    let joined = try back.join("r", since: #"{"epoch":"\#(epoch)","offset":1}"#)
    #expect(joined["recovered"]?.asBool == true)
    try clients[0].publish("r", #""end":"resume""#)
    #expect(try back.messages(until: "resume").compactMap { $0.int("n") } == Array(2...20))
  }

  @Test("ends the presence of a killed node's users within 10 s, with one user_left for each")
  func killedNode() throws {
    let cluster = try Cluster(3)
    let clients = try cluster.members(of: "r")
    let second = try cluster.nodes[0].connect("u9")
    try second.join("r")
    cluster.nodes[0].process.kill()
    var left: [String?] = []
    for _ in 0..<2 { left.append(try clients[1].expect("user_left", within: 10).string("user")) }
    #expect(Set(left) == ["u1", "u9"])
    for node in cluster.nodes.dropFirst() {
      let presence = try node.inspect("presence/r")
      #expect(presence["members"]?.asArray?.compactMap { $0["user"]?.asString }.sorted() == ["u2", "u3"])
      try eventually("the dead node is not listed") { try node.inspect("nodes")["nodes"]?.asArray?.count == 2 }
    }
    #expect(try cluster.nodes[1].inspect("users/u1")["count"]?.asInt == 0)
    #expect(try clients[1].ask(#""type":"direct","to":"u9""#).int("delivered") == 0)
    // Both survivors could have swept: each of their clients has heard of each user once.
    #expect(
      Set([try clients[2].expect("user_left"), try clients[2].expect("user_left")].map { $0.string("user") }) == [
        "u1", "u9",
      ])
    try clients[1].publish("r", #""echo":true,"end":"kill""#)
    for client in clients.dropFirst() {
      try client.expect("message")
      #expect(!client.takeUnread().contains { "\($0)".contains("user_left") })
    }
  }

  @Test("gives presence up at once when a node stops in order and no grace is given")
  func stoppedNode() throws {
    let cluster = try Cluster(2, ["--drain", "1s", "--leave-grace", "0"])
    let clients = try cluster.members(of: "r")
    cluster.nodes[0].process.signal(SIGTERM)
    #expect(try clients[0].expectClose() == 1012)
    #expect(try clients[1].expect("user_left", within: 15).string("user") == "u1")
    #expect(try cluster.nodes[0].process.waitForEnd() == .exited(0))
    try eventually("one node is left", within: 10) {
      try cluster.nodes[1].inspect("nodes")["nodes"]?.asArray?.count == 1
    }
  }

  @Test("disconnects a user on any node, by any node's admin endpoint")
  func disconnect() throws {
    let cluster = try Cluster(2)
    let clients = try cluster.members(of: "r")
    #expect(try cluster.nodes[1].admin("POST", "disconnect", body: #"{"user":"u1"}"#).status == 200)
    #expect(try clients[0].expectClose() == 4409)
    #expect(try clients[1].expect("user_left").string("user") == "u1")
    let name = try cluster.nodes[1].inspect("users/u2")["connections"]?.asArray?.first?["id"]?.asString ?? ""
    #expect(try cluster.nodes[0].admin("POST", "disconnect", body: #"{"connection":"\#(name)"}"#).status == 200)
    #expect(try clients[1].expectClose() == 4409)
  }

  @Test("serves through nginx with the project's configuration, and past a killed node")
  func nginx() throws {
    let cluster = try Cluster(2)
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let proxy = try NginxProcess(configuration: "/\(root)/deploy/nginx.conf", nodes: cluster.nodes.map(\.port))
    func connect(_ user: String) throws -> (WebSocketClient, node: String) {
      let client = try WebSocketClient(port: proxy.port, target: "/ws?user=\(user)")
      return (client, try client.expect("welcome").string("node") ?? "")
    }
    var clients = try (0..<4).map { try connect("u\($0)") }
    #expect(Set(clients.map(\.node)) == ["n1", "n2"])
    for (client, _) in clients { try client.join("r") }
    try clients[0].0.publish("r", #""n":1"#)
    for (client, _) in clients.dropFirst() { #expect(try client.expect("message").int("n") == 1) }
    #expect(try HTTPClient(port: proxy.port).get("/").status == 200)
    cluster.nodes[0].process.kill()
    for (client, node) in clients where node == "n1" { try client.expectEnd() }
    clients = try (4..<8).map { try connect("u\($0)") }
    #expect(clients.allSatisfy { $0.node == "n2" })
  }

  @Test("runs workers on one port, each a node, and starts a killed one again")
  func workers() throws {
    let redis = try RedisProcess()
    let port = try FreePort.find()
    let server = try RoostProcess(["--redis", redis.url, "--workers", "2", "--node-id", "w"], port: port)
    func nodes() throws -> Set<String> {
      Set(try server.inspect("nodes")["nodes"]?.asArray?.compactMap { $0["id"]?.asString } ?? [])
    }
    try eventually("both workers are nodes") { (try? nodes()) == ["w.1", "w.2"] }
    func clientOnEachWorker() throws -> [String: WebSocketClient] {
      var clients: [String: WebSocketClient] = [:]
      // The kernel spreads connections by their source port.
      try eventually("a connection to each worker") {
        let client = try WebSocketClient(port: port, target: "/ws?user=u\(clients.count)")
        if let node = try client.expect("welcome").string("node") { clients[node] = client }
        return clients.count == 2
      }
      return clients
    }
    let first = try clientOnEachWorker()
    #expect(Set(first.keys) == ["w.1", "w.2"])
    try first.values.forEach(joinWhenReady)
    try first["w.1"]?.publish("r", #""n":1"#)
    #expect(try first["w.2"]?.expect("message").int("n") == 1)
    // Either worker answers for both; each shows its counts to the other once a second.
    try eventually("the connections of both workers are counted", within: 15) {
      try server.metric(#"roost_connections{transport="websocket"}"#) >= 2
    }
    Glibc.kill(try worker(of: server.process.id), SIGKILL)
    let line = try server.process.line(with: "starting it again")
    #expect(line.contains("worker"))
    let second = try clientOnEachWorker()
    try second.values.forEach(joinWhenReady)
    try second["w.2"]?.publish("r", #""n":2"#)
    // The servers end with their last use, which must not be before the message has come.
    _ = try withExtendedLifetime((redis, server)) { try second["w.1"]?.expect("message") { $0.int("n") == 2 } }
  }

  /// Joins as soon as the client's worker has reached Redis.
  private func joinWhenReady(_ client: WebSocketClient) throws {
    try eventually("a join is taken") { try client.ask(#""type":"join","room":"r""#).type == "joined" }
  }

  /// A child of the supervisor.
  private func worker(of supervisor: pid_t) throws -> pid_t {
    let list = try ChildProcess(["ps", "-o", "pid=", "--ppid", "\(supervisor)"])
    _ = try list.waitForEnd()
    guard let id = list.output.split(whereSeparator: \.isWhitespace).first.flatMap({ pid_t($0) }) else {
      throw TestFailure("no worker of \(supervisor): \(list.output)")
    }
    return id
  }
}
