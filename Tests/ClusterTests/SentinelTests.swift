import Glibc
import JSONCore
import TestSupport
import Testing

/// Real sentinels, a real replica, and a master that is killed.
@Suite("Failover by Redis Sentinel", .serialized)
struct SentinelTests {
  @Test("delivers what was acked to every member, or says what is lost, when the master is killed while they publish")
  func failover() throws {
    let trio = try SentinelTrio()
    let nodes = try Cluster.nodes(on: trio.url)
    let publisher = try nodes[0].connect("publisher")
    let listeners = try nodes.map { try $0.connect("listener") }
    for client in [publisher] + listeners { try client.join("r") }
    for n in 1...30 { try publisher.insist(n, in: "r") }
    trio.master.kill()
    for n in 31...60 { try publisher.insist(n, in: "r") }
    // Each sentinel learns it in its own time.
    try eventually("the sentinels name the replica") { try trio.masterPort() == trio.replica.port }
    for node in nodes { try node.awaitReady() }
    for client in listeners { try client.expect("restored", within: 15) }
    try eventually("the end is taken") {
      try publisher.ask(#""type":"message","room":"r","end":"failover""#).type == "ack"
    }
    for client in listeners {
      let seen = try client.texts(until: "failover")
      let numbers = seen.filter { $0.type == "message" }.compactMap { $0.int("n") }
      let wasTold = seen.contains { $0.type == "gap" || ($0.type == "joined" && $0["recovered"]?.asBool == false) }
      #expect(wasTold || numbers == Array(1...60), "\(numbers)")
      #expect(Set(numbers.suffix(25)) == Set(36...60))
    }
    for node in nodes {
      try eventually("presence is whole") { try node.inspect("presence/r")["users"]?.asInt == 2 }
      #expect(try node.inspect("nodes")["nodes"]?.asArray?.count == 2)
    }
    #expect(!listeners.contains { $0.unread.contains { "\($0)".contains("user_left") } })
  }

  @Test("tells every member, by a new epoch, that the failover lost messages that were acked")
  func lostByFailover() throws {
    let trio = try SentinelTrio()
    let nodes = try Cluster.nodes(on: trio.url)
    let publisher = try nodes[0].connect("publisher")
    let listener = try nodes[1].connect("listener")
    for client in [publisher, listener] { try client.join("r") }
    try publisher.insist(1, in: "r")
    let before = try listener.expect("message")
    try eventually("the replica has it") { try trio.replica.command("HGET roost:3:{r:r}:meta o").contains("1") }
    trio.replica.pause()
    // Else the kernel would keep what the replica has not read yet.
    _ = try trio.master.command("CLIENT KILL TYPE replica")
    for n in 2...4 { try publisher.insist(n, in: "r") }
    try listener.expect("message") { $0.int("n") == 4 }
    trio.master.kill()
    trio.replica.resume()
    for client in [publisher, listener] {
      let told = try client.expect("joined", within: 20) { $0["recovered"]?.asBool == false }
      #expect(told.string("epoch") != before.string("epoch") && told.int("offset") == 1)
    }
    try publisher.insist(5, in: "r")
    #expect(try listener.expect("message") { $0.int("n") == 5 }.int("offset") == 2)
  }

  @Test("follows the sentinels to another master though the old one goes on taking commands")
  func orderedFailover() throws {
    let trio = try SentinelTrio()
    let nodes = try Cluster.nodes(on: trio.url)
    let clients = try nodes.map { try $0.connect("listener") }
    for client in clients { try client.join("r") }
    #expect(try RedisProcess.command("SENTINEL FAILOVER main", port: trio.ports[0]).hasPrefix("+"))
    try eventually("the sentinels have another master", within: 15) {
      try trio.masterPort() == trio.replica.port
    }
    // They demote the old master ten seconds later, and this test ends before.
    try eventually("every node has both its connections to the new master", within: 15) {
      try ["-commands", "-subscriber"].allSatisfy { end in
        let list = try trio.replica.command("CLIENT LIST")
        return ["n1", "n2"].allSatisfy { list.contains("name=roost-\($0)\(end)") }
      }
    }
    for node in nodes {
      _ = try node.process.line(with: "the sentinels have made 127.0.0.1:\(trio.replica.port) the master")
    }
    try clients[0].insist(1, in: "r")
    try clients[1].expect("message") { $0.int("n") == 1 }
  }

  @Test(
    "never has two messages at one place, though a replaced master goes on taking them from a node that does not know")
  func split() throws {
    let trio = try SentinelTrio()
    let node = try Cluster.nodes(1, on: trio.url)[0]
    // Knows no sentinels: for it the old master stays the master.
    let ignorant = try RoostProcess(["--node-id", "old", "--redis", trio.master.url, "--workers", "1"])
    try ignorant.awaitReady()
    let (here, there) = (try node.connect("here"), try ignorant.connect("there"))
    let epoch = try here.join("r").string("epoch") ?? ""
    try there.join("r")
    for n in 1...3 { try here.insist(n, in: "r") }
    try there.expect("message") { $0.int("n") == 3 }
    try eventually("the replica is in step") {
      try trio.master.info("master_repl_offset") == trio.replica.info("slave_repl_offset")
    }
    #expect(try RedisProcess.command("SENTINEL FAILOVER main", port: trio.ports[0]).hasPrefix("+"))
    try eventually("the node is with the new master", within: 15) {
      try trio.replica.command("CLIENT LIST").contains("name=roost-n1-commands")
    }
    try there.insist(40, in: "r")
    try here.insist(41, in: "r")
    // Nothing is missing here, and what comes has another name.
    let told = try here.expect("joined")
    #expect(told["recovered"]?.asBool == true && told.int("offset") == 3 && told.string("epoch") != epoch)
    func resume(_ node: RoostProcess, _ epoch: String, _ offset: Int) throws -> (isWhole: Bool?, next: Int?) {
      let client = try node.connect("wanderer")
      let since = #""since":{"epoch":"\#(epoch)","offset":\#(offset)}"#
      let answer = try client.ask(#""type":"join","room":"r",\#(since)"#)
      let isWhole = answer["recovered"]?.asBool
      return (isWhole, isWhole == true ? try client.expect("message").int("n") : nil)
    }
    let whole = try resume(node, epoch, 3)
    #expect(whole.isWhole == true && whole.next == 41)
    #expect(try resume(node, epoch, 4).isWhole == false)
    #expect(try resume(ignorant, told.string("epoch") ?? "", 4).isWhole == false)
    let stayed = try resume(ignorant, epoch, 3)
    #expect(stayed.isWhole == true && stayed.next == 40)
  }

  @Test("goes to the master that a sentinel announces, though none answers questions any more")
  func announcement() throws {
    let trio = try SentinelTrio()
    let nodes = try Cluster.nodes(on: trio.url)
    let clients = try nodes.map { try $0.connect("listener") }
    for client in clients { try client.join("r") }
    for port in trio.ports {
      try eventually("the nodes listen to sentinel \(port)") {
        let list = try RedisProcess.command("CLIENT LIST", port: port)
        return list.split(whereSeparator: \.isNewline).count { $0.contains("-switch ") && $0.contains(" sub=1 ") }
          == nodes.count
      }
      let reply = try RedisProcess.command("ACL SETUSER default -sentinel|get-master-addr-by-name", port: port)
      #expect(reply.hasPrefix("+OK"))
    }
    #expect(try RedisProcess.command("SENTINEL FAILOVER main", port: trio.ports[0]).hasPrefix("+"))
    for (node, id) in zip(nodes, ["n1", "n2"]) {
      _ = try node.process.line(with: "the sentinels have made 127.0.0.1:\(trio.replica.port) the master")
      try eventually("it is there", within: 15) {
        try trio.replica.command("CLIENT LIST").contains("name=roost-\(id)-commands")
      }
    }
    try clients[0].insist(1, in: "r")
    try clients[1].expect("message") { $0.int("n") == 1 }
  }

  @Test("acks nothing that only a replaced master has taken, while the node itself stood still")
  func bothStopped() throws {
    let trio = try SentinelTrio()
    let node = try Cluster.nodes(1, on: trio.url)[0]
    let publisher = try node.connect("publisher")
    try publisher.join("r")
    try publisher.insist(1, in: "r")
    try eventually("the replica is in step") {
      try trio.master.info("master_repl_offset") == trio.replica.info("slave_repl_offset")
    }
    trio.master.pause()
    try publisher.send(#"{"type":"message","room":"r","id":"r-2","n":2}"#)
    // The node has sent it by the end of the tick in which it reads the first of these.
    for _ in 1...2 {
      try publisher.send(#"{"type":"ping"}"#)
      try publisher.expect("pong")
    }
    node.process.signal(SIGSTOP)
    // The one that ordered it knows first; another would still send the node to the old master.
    try eventually("all sentinels name the replica", within: 20) {
      try trio.ports.allSatisfy { port in
        try RedisProcess.command("SENTINEL get-master-addr-by-name main", port: port).contains("\(trio.replica.port)")
      }
    }
    trio.master.resume()
    try eventually("the old master has executed it", within: 15) {
      try trio.master.command("LLEN roost:3:{r:r}:log").hasPrefix(":2")
    }
    node.process.signal(SIGCONT)
    try publisher.insist(2, in: "r")
    #expect(try trio.replica.command("LRANGE roost:3:{r:r}:log 0 -1").contains(#""n":2"#))
    #expect(try trio.replica.command("LLEN roost:3:{r:r}:log").hasPrefix(":2"))
  }

  @Test("finds the master while one sentinel is dead, and says which master no sentinel knows")
  func sentinels() throws {
    let trio = try SentinelTrio()
    trio.killSentinel(0)
    let node = try RoostProcess(["--node-id", "n1", "--redis", trio.url, "--workers", "1"])
    try node.awaitReady()
    let unknown = try RoostProcess([
      "--redis", "redis+sentinel://127.0.0.1:\(trio.ports[1])/elsewhere", "--workers", "1",
    ])
    _ = try unknown.process.line(with: "no sentinel knows the master elsewhere")
    #expect(try unknown.http.get("/readyz").status == 503)
  }
}
