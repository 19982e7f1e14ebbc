import JSONCore
import TestSupport
import Testing

@Suite("Cluster, a Redis that refuses", .serialized)
struct RefusalTests {
  @Test(
    "says what Redis refuses and what to change, at /readyz and in errors",
    arguments: [
      ("REPLICAOF 127.0.0.1 1", "READONLY", "name its master in --redis"),
      ("CONFIG SET maxmemory 1", "OOM", "raise its maxmemory"),
      ("ACL SETUSER default -evalsha -eval", "NOPERM", "grant the ACL user"),
    ])
  func refused(_ command: String, _ word: String, _ advice: String) throws {
    let cluster = try Cluster(1)
    let node = cluster.nodes[0]
    let ann = try node.connect("ann")
    try ann.join("r")
    #expect(try cluster.redis.command(command).hasPrefix("+OK"))
    try eventually("the node is not ready, and says why", within: 20) {
      let answer = try node.http.get("/readyz")
      return answer.status == 503 && answer.text.contains("Redis refuses commands (\(word)): ")
        && answer.text.contains(advice)
    }
    try eventually("a member gets the reason") {
      let refused = try ann.ask(#""type":"message","room":"r""#)
      return refused.string("code") == "unavailable"
        && refused.string("message")?.hasPrefix("Redis refuses commands (\(word)); ") == true
    }
    try eventually("a backend gets the reason and the advice") {
      let answer = try node.admin("POST", "publish", body: #"{"room":"r","data":{}}"#)
      return answer.status == 503 && answer.text.contains("(\(word)): ") && answer.text.contains(advice)
    }
    for undo in ["REPLICAOF NO ONE", "CONFIG SET maxmemory 0", "ACL SETUSER default +@all"] {
      #expect(try cluster.redis.command(undo).hasPrefix("+OK"))
    }
    try node.awaitReady(within: 20)
    try ann.insist(1, in: "r")
  }

  @Test(
    "says at /readyz what Redis answers to a login that it does not take, and keeps the password to itself",
    arguments: [
      (["--requirepass", "right"], ":hunter2@", "WRONGPASS"), ([], ":hunter2@", "AUTH was refused"),
      (["--requirepass", "right"], "", "NOAUTH"),
    ] as [([String], String, String)])
  func login(_ flags: [String], _ login: String, _ word: String) throws {
    let redis = try RedisProcess(flags)
    let node = try RoostProcess(["--redis", "redis://\(login)127.0.0.1:\(redis.port)", "--workers", "1"])
    try eventually("the node says why it is not ready") {
      let answer = try node.http.get("/readyz")
      return answer.status == 503
        && answer.text == "Redis refuses commands (\(word)): check user and password in --redis\n"
    }
    #expect(!node.process.output.contains("hunter2"))
  }

  @Test("says what is wrong with the path of a socket")
  func socket() throws {
    let node = try RoostProcess(["--redis", "unix:///nowhere/redis.sock", "--node-id", "n1", "--workers", "1"])
    try eventually("the log says why") {
      node.process.output.contains("No such file or directory; correct the path in --redis")
    }
    #expect(!node.process.output.contains("unix:0"))
  }
}
