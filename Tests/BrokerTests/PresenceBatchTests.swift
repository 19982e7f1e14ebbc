import ClientProtocol
import Realtime
import Testing

@testable import RedisBackend

/// How presence uses Redis: runs of the script, keys, graces of dead nodes.
@Suite(.serialized)
struct PresenceBatchTests {
  let server: RedisServer
  let node: TestNode

  init() throws {
    server = try RedisServer()
    node = try TestNode("n1", on: server)
    let node = node
    try #require(drive([node]) { node.isUp })
  }

  private func calls(of command: String) -> Int {
    let line = server.run("INFO", "commandstats")?.split(whereSeparator: \.isNewline).first {
      $0.hasPrefix("cmdstat_\(command):calls=")
    }
    return line.flatMap { Int($0.drop { $0 != "=" }.dropFirst().prefix { $0 != "," }) } ?? 0
  }

  /// The ends of a room's keys.
  private func keys(_ room: String = "r") -> Set<String> {
    let prefix = "roost:3:{r:\(room)}:"
    let keys = server.run("KEYS", prefix + "*")?.split(separator: "\n") ?? []
    return Set(keys.map { String($0.dropFirst(prefix.count)) })
  }

  private func life(_ end: String) -> Int { server.run("PTTL", "roost:3:{r:r}:\(end)").flatMap { Int($0) } ?? -3 }

  @Test("joins of a tick share scripts, notices of a room one PUBLISH, rooms one ZADD")
  func sharing() throws {
    try node.subscribe("r0")
    let (scripts, publishes, lists) = (calls(of: "evalsha"), calls(of: "publish"), calls(of: "zadd"))
    var entered = 0
    for i in 0..<256 { node.broker.enter(room: bytes("r\(i % 4)"), node.member("u\(i)")) { _ in entered += 1 } }
    #expect(drive([node]) { entered == 256 })
    let runs = 5
    #expect(256 <= runs * (RedisLimits.presenceWeightMax - 4 * RedisLimits.presenceRoomWeight))
    // A renewal of the lease and a probe may fall into it.
    #expect(calls(of: "evalsha") - scripts <= runs + 2)
    #expect(calls(of: "publish") - publishes <= 4 * runs + 2)
    #expect(calls(of: "zadd") - lists <= 4 * runs + 1 + 2)
    #expect(drive([node]) { node.heard.notices(.userJoined).count == 64 })
    #expect(node.heard.notices(.userJoined) == (0..<64).map { "\"u\($0 * 4)\"" })
  }

  @Test("a room whose keys hold something else fails alone, and unchanged", arguments: [1, 3])
  func foreignKeys(membersPerRoom: Int) throws {
    let ends = ["meta", "members", "users", "order"]
    for end in ends { server.run("SET", "roost:3:{r:\(end)}:\(end)", "x") }
    var answers: [String: [Result<Position, BrokerError>]] = [:]
    for room in ["good"] + ends + ["fine"] {
      for i in 0..<membersPerRoom {
        node.broker.enter(room: bytes(room), node.member("u\(i)")) { answers[room, default: []].append($0) }
      }
    }
    #expect(drive([node]) { answers.values.reduce(0) { $0 + $1.count } == 6 * membersPerRoom })
    for room in ["good", "fine"] {
      #expect(answers[room]?.compactMap { try? $0.get() }.count == membersPerRoom)
      #expect(try node.page(room: room).userCount == membersPerRoom)
    }
    for room in ends {
      #expect(answers[room]?.allSatisfy { $0 == .failure(.refused) } == true, "\(room)")
      #expect(keys(room) == [room], "\(room)")
    }
    #expect(node.log.contains { $0.contains("another type") } && node.isUp)
    // Extras and graces are looked at when somebody leaves.
    for end in ["extras", "graces"] { server.run("SET", "roost:3:{r:good}:\(end)", "x") }
    node.leave(node.member("u0"), "good", grace: 0)
    node.leave(node.member("u0"), "fine", grace: 0)
    #expect(try node.page(room: "fine").userCount == membersPerRoom - 1)
    #expect(server.run("HLEN", "roost:3:{r:good}:members") == "\(membersPerRoom)")
    server.run("DEL", "roost:3:{r:good}:extras")
    node.leave(node.member("u0"), "good", grace: 0)
    #expect(try node.page(room: "good").userCount == membersPerRoom - 1)
  }

  @Test("users who enter in one run count each connection once, and are announced once", arguments: [false, true])
  func repeatedEntries(isAnnThere: Bool) throws {
    try node.subscribe()
    if isAnnThere { _ = try node.enter(node.member("ann")) }
    let entering = [("ann", 1), ("ann", 2), ("bob", 1), ("bob", 1), ("eve", 1)].map { node.member($0.0, $0.1) }
    var positions: [Position] = []
    for member in entering {
      node.broker.enter(room: bytes("r"), member) { if let position = try? $0.get() { positions.append(position) } }
    }
    #expect(drive([node]) { positions.count == entering.count && node.heard.notices(.userJoined).count == 3 })
    #expect(Set(positions).count == 1)
    #expect(try Set(node.page().members.map(\.name)) == Set(entering.map(\.name)))
    #expect(
      try node.userPage().users.sorted(by: { $0.lexicographicallyPrecedes($1) }) == ["ann", "bob", "eve"].map(bytes))
    for (user, count) in [("ann", "2"), ("bob", "1"), ("eve", "1")] {
      #expect(server.run("HGET", "roost:3:{r:r}:users", user) == count, "\(user)")
    }
    #expect(server.run("ZCARD", "roost:3:{r:r}:order") == "4")
    #expect(node.heard.notices(.userJoined) == ["\"ann\"", "\"bob\"", "\"eve\""])
  }

  @Test("the users of a room that grows fast are a table early")
  func growth() throws {
    for i in 0..<100 { node.broker.enter(room: bytes("r"), node.member("u\(i)")) { _ in } }
    _ = try node.enter(node.member("last"))
    #expect(server.run("OBJECT", "ENCODING", "roost:3:{r:r}:users") == "hashtable")
    for user in ["u0", "u99", "last"] { #expect(server.run("HGET", "roost:3:{r:r}:users", user) == "1", "\(user)") }
    #expect(server.run("HLEN", "roost:3:{r:r}:users") == "101")
  }

  @Test(
    "joins in a room without messages refresh the life of its counter when the first enters, and then once a minute")
  func lazyLife() throws {
    _ = try node.enter(node.member("u0"))
    let refreshes = calls(of: "pexpire")
    for i in 1..<10 { _ = try node.enter(node.member("u\(i)")) }
    // A renewal of the lease may fall into it.
    #expect(calls(of: "pexpire") - refreshes <= 2)
    for i in 0..<10 { node.leave(node.member("u\(i)"), grace: 0) }
    _ = try node.page()
    #expect((1...60_000).contains(life("meta")))
    _ = try node.enter(node.member("u0"))
    #expect(life("meta") > 60_000)
    // The first message has the counter's life set, though it was refreshed just now.
    server.run("PEXPIRE", "roost:3:{r:r}:meta", "70000")
    _ = try node.publish("m1")
    #expect(drive([node]) { life("meta") > 80_000 })
  }

  @Test("who left while a key had another type is gone once it is repaired")
  func repairedKeys() throws {
    _ = try node.enter(node.member("ann"))
    server.run("SET", "roost:3:{r:r}:extras", "x")
    node.heard.roomsLeft = ["r"]
    node.leave(node.member("ann"), grace: 0)
    #expect(drive([node]) { node.log.contains { $0.contains("another type") } })
    #expect(server.run("HLEN", "roost:3:{r:r}:members") == "1")
    server.run("DEL", "roost:3:{r:r}:extras")
    #expect(drive([node], within: 15) { server.run("HLEN", "roost:3:{r:r}:members") == "0" })
  }

  @Test("all fail, and nothing is changed, when Redis has no memory left")
  func noMemory() throws {
    server.run("CONFIG", "SET", "maxmemory", "1")
    var failures = 0
    for room in ["a", "b", "b"] {
      node.broker.enter(room: bytes(room), node.member("u\(failures)")) { result in
        if case .failure = result { failures += 1 }
      }
    }
    #expect(drive([node]) { failures == 3 })
    #expect(keys("a").isEmpty && keys("b").isEmpty)
    server.run("CONFIG", "SET", "maxmemory", "0")
    #expect(try node.countAfterEntering(node.member("ann"), "a") == 1)
  }

  @Test("users are read behind the changes of their room, in the same run", arguments: [1, 3])
  func readsUsers(enteringAtOnce: Int) throws {
    for room in ["old", "new"] {
      if room == "old" { for name in ["ann", "u0"] { _ = try node.enter(node.member(name), room) } }
      let scripts = calls(of: "evalsha")
      var pages: [UserPage] = []
      for i in 0..<enteringAtOnce { node.broker.enter(room: bytes(room), node.member("u\(i)", 2)) { _ in } }
      node.broker.setState(room: bytes(room), node.member("u0"), bytes("1"), isAssertion: false) { _ in }
      node.broker.users(room: bytes(room), from: nil) { if let page = try? $0.get() { pages.append(page) } }
      #expect(drive([node]) { pages.count == 1 })
      let entered = (0..<enteringAtOnce).map { "u\($0)" }
      #expect(Set(pages[0].users) == Set((entered + (room == "old" ? ["ann"] : [])).map(bytes)))
      #expect(pages[0].states == [bytes("u0"): bytes("1")] && pages[0].next == nil)
      // A renewal of the lease and a probe may fall into it.
      #expect(calls(of: "evalsha") - scripts <= 1 + 2)
    }
  }

  @Test("the first who enters a room is read with it", arguments: ["", "ann"])
  func readsFirst(other: String) throws {
    if !other.isEmpty {
      _ = try node.enter(node.member(other))
      try ask([node]) { node.broker.setState(room: bytes("r"), node.member(other), bytes("1"), isAssertion: false, $0) }
        as Void
    }
    var pages: [UserPage] = []
    node.broker.enter(room: bytes("r"), node.member("eve")) { _ in }
    node.broker.users(room: bytes("r"), from: nil) { if let page = try? $0.get() { pages.append(page) } }
    #expect(drive([node]) { pages.count == 1 })
    #expect(Set(pages[0].users) == Set([other, "eve"].filter { !$0.isEmpty }.map(bytes)))
    #expect(pages[0].states == (other.isEmpty ? [:] : [bytes(other): bytes("1")]) && pages[0].next == nil)
  }

  @Test("messages and joins of one room keep their order")
  func order() throws {
    try node.subscribe()
    for i in 0..<3 {
      node.broker.publish(RoomMessage(room: bytes("r"), envelope: bytes("m\(i)"), dedupe: nil)) { _ in }
      node.broker.enter(room: bytes("r"), node.member("u\(i)")) { [heard = node.heard] result in
        #expect((try? result.get())?.offset == UInt64(i + 1))
        _ = heard
      }
    }
    var seen: [Int] = []
    node.heard.onNotice = { [heard = node.heard] in seen.append(heard.messages.count) }
    #expect(drive([node]) { seen.count == 3 })
    #expect(seen == [1, 2, 3])
  }

  @Test("a room that all have left leaves no key of its members")
  func noLeftovers() throws {
    let (ann, bob) = (node.member("ann"), node.member("bob"))
    for member in [ann, bob] { _ = try node.enter(member) }
    try node.say("1", ann)
    // A member of whom nobody can read whose it was keeps its place in the order until the last has left.
    server.run("HSET", "roost:3:{r:r}:members", "n1-broken", "\u{1}")
    server.run("ZADD", "roost:3:{r:r}:order", "0", "who\u{0}n1-broken")
    #expect(try node.page().members == [ann, bob])
    node.broker.leave(
      room: bytes("r"), MemberCodec.leaver(name: bytes("n1-broken"), bytes("\u{1}").span), graceMilliseconds: 0)
    node.leave(ann, grace: 1)
    #expect(drive([node]) { (try? node.endGraces()) == .some(nil) })
    #expect(keys() == ["meta", "members", "users", "order"])
    node.leave(bob, grace: 0)
    _ = try node.page()
    #expect(keys() == ["meta"])
  }

  @Test("keys of a room with nobody but users in grace end by themselves, unless somebody comes")
  func lives() throws {
    let (ann, bob) = (node.member("ann"), node.member("bob"))
    for member in [ann, bob] { _ = try node.enter(member) }
    node.leave(ann, grace: 5_000)
    _ = try node.page()
    for end in ["users", "order", "extras", "graces", "members"] { #expect(life(end) == -1, "\(end)") }
    node.leave(bob, grace: 1_000)
    _ = try node.page()
    #expect(keys() == ["meta", "users", "order", "extras", "graces"])
    for end in ["users", "order", "extras", "graces"] {
      #expect((60_000...65_000).contains(life(end)), "\(end)")
    }
    // Not the one who is expected.
    _ = try node.enter(node.member("eve"))
    for end in ["users", "order", "extras", "graces", "members"] { #expect(life(end) == -1, "\(end)") }
    #expect(try node.page().userCount == 3)
    node.leave(node.member("eve"), grace: 0)
    _ = try node.page()
    #expect((60_000...65_000).contains(life("users")))
    // The counter was lost meanwhile: what it says of graces too.
    server.run("DEL", "roost:3:{r:r}:meta")
    _ = try node.enter(node.member("eve"))
    for end in ["users", "order", "extras", "graces"] { #expect(life(end) == -1, "\(end)") }
  }

  @Test("a dead node's users have the grace of their room, and may be back on another node")
  func sweptWithGrace() throws {
    let dying = try TestNode("n2", on: server) { $0.graceMilliseconds = { _ in 3_000 } }
    let watching = try TestNode("n3", on: server) { $0.graceMilliseconds = { $0 == bytes("r") ? 3_000 : 0 } }
    let nodes = [node, watching]
    node.redis?.abandon()
    try #require(drive([dying, watching]) { dying.isUp && watching.isUp })
    try watching.subscribe()
    try watching.subscribe("hard")
    for user in ["back", "gone"] {
      _ = try dying.enter(dying.member(user))
      _ = try dying.enter(dying.member(user), "hard")
    }
    dying.redis?.abandon()
    #expect(drive(nodes, within: 20) { watching.heard.notices(.userLeaving).count == 2 })
    #expect(drive(nodes) { watching.heard.notices(.userLeft).count == 2 })
    #expect(watching.heard.notices.allSatisfy { $0.kind != .userLeft || $0.room == "hard" })
    #expect(try watching.page().userCount == 2 && watching.page(room: "hard").userCount == 0)
    _ = try watching.enter(watching.member("back"))
    #expect(drive(nodes, within: 8) { (try? watching.endGraces()) == .some(nil) })
    #expect(drive(nodes) { watching.heard.notices(.userLeft).count == 3 })
    #expect(watching.heard.notices.last?.user == #""gone""# && watching.heard.notices(.userJoined).count == 4)
    #expect(try watching.page().members == [watching.member("back")])
  }

  @Test("a node that was alone and died leaves users who go in their grace, and keys that end")
  func crashOfOnlyNode() throws {
    let dying = try TestNode("n2", on: server)
    try #require(drive([dying]) { dying.isUp })
    _ = try dying.enter(dying.member("ann"))
    dying.redis?.abandon()
    node.redis?.abandon()
    let next = try TestNode("n2", on: server) { $0.graceMilliseconds = { _ in 2_000 } }
    #expect(drive([next], within: 15) { next.isUp })
    // The same id: what the earlier process left is taken back, with the grace of the room.
    #expect(try next.page().members.map(\.name) == [[]])
    #expect((61_000...62_000).contains(life("users")))
    #expect(drive([next]) { (try? next.endGraces()) == .some(nil) })
    #expect(keys() == ["meta"])
  }

  @Test("large rooms are looked through in chunks, for members that are not here and for those of forgotten nodes")
  func chunks() throws {
    let forgotten = try TestNode("n2", on: server)
    try #require(drive([forgotten]) { forgotten.isUp })
    var entered = 0
    for i in 0..<1300 {
      for node in [node, forgotten] {
        node.broker.enter(room: bytes("r"), node.member("u\(i)", i)) { _ in entered += 1 }
      }
    }
    #expect(drive([node, forgotten]) { entered == 2600 })
    let gone = stride(from: 0, to: 1300, by: 13).map { node.member("u\($0)", $0) }
    node.heard.gone = Set(gone.map { String(decoding: $0.name, as: UTF8.self) })
    node.redis?.reconciler.reconcileAll()
    #expect(drive([node]) { server.run("HLEN", "roost:3:{r:r}:members") == "2500" })
    for member in gone {
      #expect(server.run("HEXISTS", "roost:3:{r:r}:members", String(decoding: member.name, as: UTF8.self)) == "0")
    }
    forgotten.redis?.abandon()
    server.run("DEL", "roost:3:{n:n2}:rooms")
    server.run("ZREM", "roost:3:{nodes}:leases", "n2")
    node.redis?.orphans.schedule()
    #expect(drive([node], within: 20) { server.run("HLEN", "roost:3:{r:r}:members") == "1200" })
    #expect(drive([node]) { server.run("HLEN", "roost:3:{r:r}:users") == "1200" })
    #expect(server.run("ZCARD", "roost:3:{r:r}:order") == "1200")
  }
}
