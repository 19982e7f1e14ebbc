import Glibc
import JSONCore
import TestSupport
import Testing

/// Node processes on a real Redis Cluster.
@Suite("Redis Cluster", .serialized)
struct ShardedRedisTests {
  /// The numbers of the messages of a room among what a client has been given.
  private func numbers(_ texts: [Received], in room: String) -> [Int] {
    texts.filter { $0.type == "message" && $0.string("room") == room }.compactMap { $0.int("n") }
  }

  private func types(_ texts: [Received]) -> Set<String> { Set(texts.compactMap(\.type)) }

  @Test("carries rooms, direct messages, broadcasts, presence and listings across nodes and masters")
  func everything() throws {
    let cluster = try RedisClusterProcesses()
    let nodes = try Cluster.nodes(on: cluster.url)
    let (ann, bob) = (try nodes[0].connect("ann"), try nodes[1].connect("bob"))
    let rooms = try (0..<3).map { try cluster.room(on: $0) }
    for room in rooms {
      for client in [ann, bob] { try client.join(room) }
      #expect(try ann.publish(room, #""n":1"#) == 1)
      #expect(try bob.expect("message") { $0.string("room") == room }.int("offset") == 1)
    }
    for user in ["u1", "u2", "u3", "u4"] {
      let client = try nodes[0].connect(user)
      #expect(try bob.ask(#""type":"direct","to":"\#(user)","n":2"#).int("delivered") == 1)
      try client.expect("direct")
    }
    #expect(try ann.ask(#""type":"broadcast","n":3"#).type == "ack")
    try bob.expect("broadcast")
    for node in nodes {
      #expect(try node.inspect("rooms")["rooms"]?.asArray?.compactMap { $0["room"]?.asString } == rooms.sorted())
      #expect(try node.inspect("presence/\(rooms[2])")["users"]?.asInt == 2)
      #expect(try node.inspect("nodes")["nodes"]?.asArray?.count == 2)
      #expect(try node.inspect("users/ann")["count"]?.asInt == 1)
    }
    for body in [#"{"to":"bob","data":{"n":4}}"#, #"{"to":"bob","data":{"n":4}}"#] {
      let answer = try nodes[0].admin("POST", "direct", body: body, headers: ["Idempotency-Key: k"])
      #expect(answer.status == 200)
    }
    let again = try bob.settle().filter { $0.type == "direct" }
    #expect(again.count <= 1)
    // One crashed node's members leave every room, whichever master it is on, once each.
    nodes[0].process.kill()
    for room in rooms {
      try bob.expect("user_left", within: 15) { $0.string("room") == room && $0.string("user") == "ann" }
    }
    #expect(try bob.settle().filter { $0.type == "user_left" }.isEmpty)
  }

  @Test("loses nothing and tells nobody anything when a slot moves to another master while it is used")
  func migration() throws {
    let cluster = try RedisClusterProcesses()
    let nodes = try Cluster.nodes(on: cluster.url)
    let (publisher, listener) = (try nodes[0].connect("publisher"), try nodes[1].connect("listener"))
    let (moving, staying) = (try cluster.room(on: 0), try cluster.room(on: 1))
    for room in [moving, staying] { for client in [publisher, listener] { try client.join(room) } }
    let slot = try cluster.slot(of: "roost:3:{r:\(moving)}:ch")
    for n in 1...10 { for room in [moving, staying] { try publisher.insist(n, in: room) } }
    try cluster.beginMigration(of: slot, from: 0, to: 1)
    // Keys are on both sides now: what is published waits for the end of the migration.
    for n in 11...15 {
      try publisher.send(#"{"type":"message","room":"\#(moving)","id":"\#(moving)-\#(n)","n":\#(n)}"#)
      try publisher.insist(n, in: staying)
    }
    try cluster.finishMigration(of: slot, to: 1)
    for n in 11...15 {
      let answer = try publisher.take("an answer to \(n)") { "\($0)".contains(#""id":"\#(moving)-\#(n)""#) }
      #expect("\(answer)".contains(#""type":"ack""#))
    }
    for n in 16...40 { for room in [moving, staying] { try publisher.insist(n, in: room) } }
    var texts: [Received] = []
    try eventually("all messages are here") {
      texts += try listener.settle()
      return numbers(texts, in: moving).count >= 40 && numbers(texts, in: staying).count >= 40
    }
    #expect(numbers(texts, in: moving) == Array(1...40))
    #expect(numbers(texts, in: staying) == Array(1...40))
    #expect(types(texts).isSubset(of: ["message"]), "\(types(texts))")
    try eventually("both nodes hear the room where it is now") {
      try cluster.masters[1].command("PUBSUB SHARDNUMSUB roost:3:{r:\(moving)}:ch").contains(":2")
    }
  }

  @Test(
    "goes on in rooms whose slot moves to a master that joined when all nodes ran already, and tells nobody anything")
  func newMaster() throws {
    let cluster = try RedisClusterProcesses()
    let nodes = try Cluster.nodes(on: cluster.url)
    let (publisher, listener) = (try nodes[0].connect("publisher"), try nodes[1].connect("listener"))
    let (moving, staying) = (try cluster.room(on: 0), try cluster.room(on: 1))
    for room in [moving, staying] { for client in [publisher, listener] { try client.join(room) } }
    for room in [moving, staying] { try publisher.expect("user_joined") { $0.string("room") == room } }
    for n in 1...10 { for room in [moving, staying] { try publisher.insist(n, in: room) } }
    let fresh = try cluster.addMaster()
    // The slot of the leases moves as well: it decides who lives.
    let keys = ["roost:3:{r:\(moving)}:ch", "roost:3:{nodes}:leases"]
    for (key, first) in zip(keys, [11, 21]) {
      let (slot, source) = (try cluster.slot(of: key), try cluster.master(of: key))
      try cluster.beginMigration(of: slot, from: source, to: fresh)
      for n in first..<(first + 5) {
        try publisher.send(#"{"type":"message","room":"\#(moving)","id":"\#(moving)-\#(n)","n":\#(n)}"#)
        try publisher.insist(n, in: staying)
      }
      try cluster.finishMigration(of: slot, to: fresh)
      for n in first..<(first + 5) {
        let answer = try publisher.take("an answer to \(n)") { "\($0)".contains(#""id":"\#(moving)-\#(n)""#) }
        #expect("\(answer)".contains(#""type":"ack""#))
      }
      for n in (first + 5)..<(first + 10) { for room in [moving, staying] { try publisher.insist(n, in: room) } }
    }
    var texts: [Received] = []
    try eventually("all messages are here") {
      texts += try listener.settle()
      return numbers(texts, in: moving).count >= 30 && numbers(texts, in: staying).count >= 30
    }
    for room in [moving, staying] { #expect(numbers(texts, in: room) == Array(1...30)) }
    #expect(types(texts).isSubset(of: ["message"]), "\(types(texts))")
    #expect(types(try publisher.settle()).isSubset(of: ["ack"]))
    try eventually("both nodes hear the room where it is now") {
      try cluster.masters[fresh].command("PUBSUB SHARDNUMSUB roost:3:{r:\(moving)}:ch").contains(":2")
    }
    for node in nodes {
      #expect(try node.http.get("/readyz").status == 200)
      #expect(try node.inspect("presence/\(moving)")["users"]?.asInt == 2)
      #expect(try node.inspect("nodes")["nodes"]?.asArray?.count == 2)
    }
    // Whoever dies now is found by the leases at their new place.
    nodes[0].process.kill()
    for room in [moving, staying] {
      try listener.expect("user_left", within: 15) { $0.string("room") == room && $0.string("user") == "publisher" }
    }
    #expect(try listener.settle().isEmpty)
  }

  @Test("takes a connection back whose end the master of its user did not take, and that of its node did")
  func halfDeparture() throws {
    let cluster = try RedisClusterProcesses()
    let node = try Cluster.nodes(1, on: cluster.url)[0]
    let home = try cluster.master(of: "roost:3:{n:n1}:connections")
    let other = (home + 1) % 3
    let user = try #require(
      try (0..<200).map { "u\($0)" }.first { try cluster.master(of: "roost:3:{u:\($0)}:connections") == other })
    func isRegistered(_ key: String, _ index: Int) throws -> Bool {
      try cluster.masters[index].command("EXISTS roost:3:{\(key)}:connections").hasPrefix(":1")
    }
    let client = try node.connect(user)
    try eventually("it is registered") { try isRegistered("u:\(user)", other) && isRegistered("n:n1", home) }
    _ = try cluster.masters[other].command("ACL SETUSER default -hdel")
    try client.sendClose(1000)
    try client.expectClose()
    // A connection that came later is registered: what was asked before is answered.
    let next = try node.connect(user)
    let calls = "cmdstat_hdel:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1"
    try eventually("the end is refused") { try cluster.masters[other].command("INFO commandstats").contains(calls) }
    _ = try cluster.masters[other].command("ACL SETUSER default +hdel")
    _ = try cluster.masters[other].command("CLIENT KILL TYPE normal")
    try next.expect("restored", within: 20)
    try eventually("only the connection that lives is registered", within: 20) {
      try cluster.masters[other].command("HLEN roost:3:{u:\(user)}:connections").hasPrefix(":1")
        && cluster.masters[home].command("HLEN roost:3:{n:n1}:connections").hasPrefix(":1")
    }
  }

  @Test("lists the rooms of the masters in reach while one is away, and says that some are missing")
  func partialListing() throws {
    let cluster = try RedisClusterProcesses()
    let leases = try cluster.master(of: "roost:3:{nodes}:leases")
    let victim = (leases + 1) % 3
    // The node's own list must not be on the master that goes.
    let id = try (0..<200).lazy.map { "n\($0)" }.first { try cluster.master(of: "roost:3:{n:\($0)}:rooms") != victim }
    let node = try RoostProcess(["--node-id", id ?? "", "--redis", cluster.url, "--workers", "1"])
    try node.awaitReady()
    let client = try node.connect("ann")
    let rooms = try (0..<3).map { try cluster.room(on: $0) }
    for room in rooms { try client.join(room) }
    let whole = try node.inspect("rooms")
    #expect(whole["rooms"]?.asArray?.compactMap { $0["room"]?.asString } == rooms.sorted())
    #expect(whole["incomplete"] == nil)
    cluster.masters[victim].kill()
    try client.expect("degraded")
    let rest = rooms.indices.filter { $0 != victim }.map { rooms[$0] }.sorted()
    for path in ["rooms", "presence"] {
      let partial = try node.inspect(path)
      #expect(partial["rooms"]?.asArray?.compactMap { $0["room"]?.asString } == rest)
      #expect(partial["incomplete"]?.asBool == true)
    }
    let table = try RoostProcess.run([
      "rooms", "--url", "http://127.0.0.1:\(node.port)", "--admin-token", RoostProcess.adminToken,
    ])
    #expect(table.end == .exited(0))
    #expect(table.output.contains("2 rooms; those of a Redis master that is out of reach are missing"))
  }

  @Test(
    "keeps the rooms of other masters going when one is killed, and recovers its rooms on the replica",
    arguments: [false, true])
  func deadMaster(holdsLeases: Bool) throws {
    let cluster = try RedisClusterProcesses(replicated: true)
    let nodes = try Cluster.nodes(on: cluster.url)
    let leases = try cluster.master(of: "roost:3:{nodes}:leases")
    let victim = holdsLeases ? leases : (leases + 1) % 3
    let (dying, living) = (try cluster.room(on: victim), try cluster.room(on: (leases + 2) % 3))
    let (publisher, listener) = (try nodes[0].connect("publisher"), try nodes[1].connect("listener"))
    for room in [dying, living] { for client in [publisher, listener] { try client.join(room) } }
    for n in 1...10 { for room in [dying, living] { try publisher.insist(n, in: room) } }
    cluster.masters[victim].kill()
    for n in 11...60 {
      let answer = try publisher.ask(#""type":"message","room":"\#(living)","n":\#(n)"#, within: 2)
      #expect(answer.type == "ack", "\(n): \(answer)")
    }
    #expect(try nodes[0].http.get("/readyz").status == 200)
    for n in 11...30 { try publisher.insist(n, in: dying) }
    try listener.expect("restored", within: 20)
    var texts: [Received] = []
    try eventually("all messages are here") {
      texts += try listener.settle()
      return numbers(texts, in: living).count >= 60 && numbers(texts, in: dying).contains(30)
    }
    #expect(numbers(texts, in: living) == Array(1...60))
    let wasTold = texts.contains { ["gap", "joined"].contains($0.type) && $0.string("room") == dying }
    #expect(wasTold || numbers(texts, in: dying) == Array(1...30), "\(numbers(texts, in: dying))")
    #expect(!texts.contains { ["gap", "joined", "user_left"].contains($0.type) && $0.string("room") == living })
    #expect(!texts.contains { $0.type == "user_left" })
    for node in nodes {
      try eventually("presence is whole") { try node.inspect("presence/\(dying)")["users"]?.asInt == 2 }
      #expect(try node.inspect("presence/\(living)")["users"]?.asInt == 2)
    }
  }

  @Test("believes nothing that a replaced master says late, and loses nothing by it")
  func lateWords() throws {
    let cluster = try RedisClusterProcesses(replicated: true)
    let nodes = try Cluster.nodes(on: cluster.url)
    let victim = (try cluster.master(of: "roost:3:{nodes}:leases") + 1) % 3
    let room = try cluster.room(on: victim)
    let (publisher, listener) = (try nodes[0].connect("publisher"), try nodes[1].connect("listener"))
    for client in [publisher, listener] { try client.join(room) }
    for n in 1...5 { try publisher.insist(n, in: room) }
    let last = try listener.expect("message") { $0.int("n") == 5 }
    let replica = cluster.replicas[victim]
    try eventually("the replica is in step") {
      try cluster.masters[victim].info("master_repl_offset") == replica.info("slave_repl_offset")
    }
    let lines = try cluster.masters[victim].command("INFO server").split(whereSeparator: \.isNewline)
    let run = try #require(lines.first { $0.hasPrefix("run_id:") }?.dropFirst(7))
    let term = run.prefix(8)
    cluster.masters[victim].kill()
    for client in [publisher, listener] { try client.expect("restored", within: 25) }
    _ = try listener.settle()
    // What the old master was sent before it was replaced, as the cluster's own connections would bring it: a message for the
    // next place in the room, and the word that somebody has left.
    let epoch = try publisher.ask(#""type":"history","room":"\#(room)","limit":1"#).string("epoch") ?? ""
    let sentAt = last.int("ts") ?? 0
    // As an inline command takes them: line feeds and quotes with a backslash.
    for payload in [
      #"\#(epoch):6 \#(term):m \#(sentAt) n1-0 \"publisher\"\n\"n\":0"#,
      #"-\#(term) l \#(sentAt) n1-0 \"publisher\"\n"#,
    ] {
      let told = try replica.command(#"SPUBLISH roost:3:{r:\#(room)}:ch "\#(payload)""#)
      #expect(told.hasPrefix(":1") || told.hasPrefix(":2"), "\(told)")
    }
    for n in 6...8 { try publisher.insist(n, in: room) }
    var texts: [Received] = []
    try eventually("all messages are here") {
      texts += try listener.settle()
      return numbers(texts, in: room).contains(8)
    }
    #expect(numbers(texts, in: room) == [6, 7, 8])
    #expect(texts.filter { $0.type == "message" }.compactMap { $0.int("offset") } == [6, 7, 8])
    #expect(types(texts).isSubset(of: ["message"]), "\(types(texts))")
  }
}
