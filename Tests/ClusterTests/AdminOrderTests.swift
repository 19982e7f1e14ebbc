import Glibc
import JSONCore
import TestSupport
import Testing

@Suite("Cluster, orders of operators", .serialized)
struct AdminOrderTests {
  @Test("drains another node by its id; the others stay, and its users are back without having left")
  func drain() throws {
    let cluster = try Cluster(2, ["--drain", "500ms"])
    let clients = try cluster.members(of: "r")
    let answer = try cluster.nodes[0].admin("POST", "drain", body: #"{"node":"n2"}"#)
    #expect(answer.status == 200, "\(answer)")
    #expect(try answer.json()["node"]?.asString == "n2")
    #expect(try clients[1].expectClose() == 1012)
    #expect(try cluster.nodes[1].process.waitForEnd() == .exited(0))
    let again = try cluster.nodes[0].connect("u2")
    try again.join("r")
    #expect(try clients[0].ask(#""type":"ping""#).type == "pong")
    #expect(try cluster.nodes[0].inspect("nodes")["nodes"]?.asArray?.map { $0["id"]?.asString } == ["n1"])
    #expect(try cluster.nodes[0].admin("POST", "drain", body: #"{"node":"n2"}"#).status == 404)
    #expect(try clients[0].settle().allSatisfy { $0.type != "user_left" })
  }

  @Test("moves a user's connections on every node, and one connection on another node")
  func moves() throws {
    let cluster = try Cluster(2)
    let clients = try cluster.nodes.map { try $0.connect("ann") }
    func move(_ path: String, _ who: String, asking node: Int) throws -> Int? {
      let answer = try cluster.nodes[node].admin("POST", path, body: #"{\#(who),"room":"r"}"#)
      #expect(answer.status == 200, "\(answer)")
      return try answer.json()["connections"]?.asInt
    }
    try eventually("both connections are known") { try cluster.nodes[0].inspect("users/ann")["count"]?.asInt == 2 }
    #expect(try move("subscribe", #""user":"ann""#, asking: 0) == 2)
    for client in clients { #expect(try client.expect("joined").string("room") == "r") }
    let name = try clients[1].ask(#""type":"request","action":"whoami""#)["payload"]?["connection"]?.asString ?? ""
    #expect(try move("unsubscribe", #""connection":"\#(name)""#, asking: 0) == 1)
    #expect(try clients[1].expect("left").string("room") == "r")
    #expect(try cluster.nodes[1].admin("POST", "publish", body: #"{"room":"r","data":{"n":1}}"#).status == 200)
    #expect(try clients[0].expect("message").int("n") == 1)
    #expect(try clients[1].settle().isEmpty)
    #expect(try cluster.nodes[0].inspect("presence/r")["count"]?.asInt == 1)
    #expect(try move("subscribe", #""connection":"\#(name)""#, asking: 0) == 1)
    #expect(try clients[1].expect("joined").string("room") == "r")
  }

  @Test(
    "answers 503 while Redis is away: batches line by line, hooks so that their senders try again; a node drains all the same"
  )
  func redisAway() throws {
    let secret = "a-secret-of-the-hook-tests"
    let file = try SettingsFileOnDisk(#"{"hooks":[{"name":"g","scheme":"github","room":"r","secret":"\#(secret)"}]}"#)
    let cluster = try withExtendedLifetime(file) { try Cluster(1, ["--config", file.path, "--drain", "0s"]) }
    let node = cluster.nodes[0]
    func deliver() throws -> HTTPAnswer {
      let signature = "X-Hub-Signature-256: sha256=\(try OpenSSL.hmac("{}", secret: secret))"
      return try node.http.ask(
        "POST", "/hooks/g", headers: [signature, "X-GitHub-Event: ping", "X-GitHub-Delivery: d1"], body: "{}")
    }
    cluster.redis.kill()
    try eventually("not ready") { try node.http.get("/readyz").status == 503 }
    let away = try deliver()
    #expect(away.status == 503 && away.header("retry-after") != nil, "\(away)")
    let line = #"{"type":"publish","room":"r","data":{}}"#
    let batch = try node.admin("POST", "batch", body: line + "\nx")
    #expect(batch.status == 200)
    #expect(batch.text.split(separator: "\n").count == 2 && batch.text.contains("unavailable"), "\(batch)")
    #expect(try node.admin("POST", "publish", body: #"{"rooms":["r","s"],"data":{}}"#).status == 503)
    for (path, body) in [("subscribe", #"{"user":"u","room":"r"}"#), ("drain", #"{"node":"n2"}"#)] {
      #expect(try node.admin("POST", path, body: body).status == 503, "\(path)")
    }
    try cluster.redis.restart()
    try node.awaitReady(within: 20)
    for _ in 1...2 {
      #expect(try deliver().json()["offset"]?.asInt == 1)
      // Hours later the ids of messages are forgotten, those of deliveries are not.
      _ = try cluster.redis.command("UNLINK roost:3:{ids}:new roost:3:{ids}:old")
    }
    #expect(try node.inspect("history/r")["offset"]?.asInt == 1)
    cluster.redis.kill()
    try eventually("not ready") { try node.http.get("/readyz").status == 503 }
    #expect(try node.admin("POST", "drain").status == 200)
    #expect(try node.process.waitForEnd() == .exited(0))
  }

  @Test("a drained worker is not started again, the others go on; with the last one the supervisor ends")
  func workers() throws {
    let redis = try RedisProcess()
    let server = try RoostProcess(
      ["--redis", redis.url, "--workers", "2", "--node-id", "w", "--drain", "0s"], port: try FreePort.find())
    try server.awaitReady()
    try eventually("both are in the cluster") { try server.inspect("nodes")["nodes"]?.asArray?.count == 2 }
    let name = { (answer: JSONValue) in answer["nodes"]?.asArray?.compactMap { $0["id"]?.asString } }
    #expect(try server.admin("POST", "drain", body: #"{"node":"w.1"}"#).status == 200)
    _ = try server.process.line(with: "worker drained")
    // Every connection reaches the one that is left.
    for _ in 1...20 { #expect(try name(server.inspect("nodes")) == ["w.2"]) }
    #expect(try server.metric("roost_redis_up") == 1)
    // A crash of the other one, whose sockets nobody else has, still has a successor.
    let pid = try #require(pid_t(try ChildProcess.only(childOf: server.process.id)))
    Glibc.kill(pid, SIGKILL)
    try eventually("it is back", within: 20) { (try? server.http.get("/readyz").status) == 200 }
    #expect(try server.admin("POST", "drain", body: #"{"node":"w.2"}"#).status == 200)
    #expect(try server.process.waitForEnd() == .exited(0))
  }
}

extension ChildProcess {
  /// The number of the only living child of a process.
  fileprivate static func only(childOf parent: pid_t) throws -> String {
    let list = try ChildProcess(["ps", "-o", "pid=,stat=", "--ppid", "\(parent)"])
    _ = try list.waitForEnd()
    let living = list.output.split(separator: "\n").map { $0.split(separator: " ") }.filter { !$0[1].hasPrefix("Z") }
    guard living.count == 1 else { throw TestFailure("not one child: \(list.output)") }
    return String(living[0][0])
  }
}
