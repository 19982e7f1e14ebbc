import Testing

@testable import RedisBackend

/// The pure parts of following a Redis Cluster.
@Suite struct ClusterValueTests {
  @Test("puts keys into the slots that Redis puts them into")
  func slots() {
    #expect(HashSlot.of(bytes("123456789")) == 0x31C3 % 16_384)
    #expect(HashSlot.of(bytes("foo")) == 12_182)
    #expect(HashSlot.of(bytes("a{foo}b")) == 12_182)
    #expect(HashSlot.of(bytes("a{foo}{bar}")) == 12_182)
    #expect(HashSlot.of(bytes("foo{}{bar}")) == HashSlot.of(bytes("foo{}{bar}")[...]))
    #expect(HashSlot.of(bytes("{}foo")) != HashSlot.of(bytes("foo")))
    #expect(HashSlot.of(bytes("{foo")) != HashSlot.of(bytes("foo")))
  }

  @Test(
    "keeps all keys and the channel of a room in one slot, whatever its name", arguments: ["a", "}", "a}b{c}", "{", ""])
  func roomSlots(name: String) {
    let keys = RedisKeys(prefix: "p", schema: nil, isSharded: true)
    let slot = HashSlot.of(keys.roomChannel(bytes(name)))
    for end in ["}:meta", "}:log", "}:members", "}:users", "}:ids:new", "}:ids:old"] {
      #expect(HashSlot.of(keys.room + bytes(name + end)) == slot)
    }
    func idSlot(_ owner: IDOwner) -> Int { HashSlot.of(keys.idPlace(of: owner) + bytes("new")) }
    #expect(idSlot(.room(bytes(name))) == HashSlot.of(keys.roomChannel(bytes(name))))
    #expect(idSlot(.audience(.user(bytes(name)))) == HashSlot.of(keys.userChannel(bytes(name))))
    #expect(idSlot(.audience(.everyone)) == HashSlot.of(keys.everyone))
  }

  @Test("finds the key of a command, and of a script behind the number of its keys")
  func commandSlots() {
    func slot(_ parts: String...) -> Int? {
      var writer = CommandWriter()
      writer.command(parts: parts.count)
      for part in parts { writer.bulk(bytes(part)) }
      return HashSlot.ofCommand(writer.bytes)
    }
    #expect(slot("HGETALL", "foo") == 12_182)
    #expect(slot("EVALSHA", "0123", "2", "foo", "bar") == 12_182)
    #expect(slot("EVAL", "return 1\r\n$3", "1", "foo") == 12_182)
    #expect(slot("PING") == nil)
    #expect(slot("EVALSHA", "0123", "0") == nil)
  }

  private func reply<Value>(_ text: String, _ read: (Reply) -> Value) -> Value? {
    var value: Value?
    _ = bytes(text).withUnsafeBytes { buffer in
      ReplyReader().feed(buffer) {
        value = read($0)
        return true
      }
    }
    return value
  }

  private let asked = RedisEndpoint.tcp(host: "seed", port: 7)

  @Test("reads redirections, and the asked host where they name none")
  func redirects() {
    func redirect(_ text: String) -> Redirect? { reply("-\(text)\r\n") { Redirect($0, askedOf: asked) } ?? nil }
    #expect(redirect("MOVED 3999 h:6381") == .moved(slot: 3999, .tcp(host: "h", port: 6381)))
    #expect(redirect("MOVED 3999 :6381") == .moved(slot: 3999, .tcp(host: "seed", port: 6381)))
    #expect(redirect("ASK 1 ::1:6381") == .ask(.tcp(host: "::1", port: 6381)))
    #expect(redirect("TRYAGAIN Multiple keys request during rehashing of slot") == .later)
    #expect(redirect("CLUSTERDOWN The cluster is down") == .later)
    for other in ["MOVED", "MOVED x h:1", "MOVED 16384 h:1", "MOVED 1 h", "MOVED 1 h:99999", "ERR no"] {
      #expect(redirect(other) == nil)
    }
  }

  @Test("reads a map of slots with its masters and replicas, and refuses what is none")
  func map() {
    func map(_ text: String) -> ClusterMap? { reply(text) { ClusterMap($0, askedOf: asked) } ?? nil }
    let node = { (host: String, port: Int) in "*3\r\n$\(host.utf8.count)\r\n\(host)\r\n:\(port)\r\n$2\r\nid\r\n" }
    let text =
      "*2\r\n*4\r\n:0\r\n:100\r\n" + node("a", 1) + node("b", 2) + "*3\r\n:101\r\n:16383\r\n" + node("", 3)
    let read = map(text)
    #expect(read?.masters == [.tcp(host: "a", port: 1), .tcp(host: "seed", port: 3)])
    #expect(read?.replicas == [.tcp(host: "b", port: 2)])
    #expect(read?.ranges.map(\.slots) == [0...100, 101...16383])
    for wrong in [
      "*0\r\n", "+OK\r\n", "*1\r\n*3\r\n:5\r\n:4\r\n" + node("a", 1), "*1\r\n*3\r\n:0\r\n:16384\r\n" + node("a", 1),
    ] {
      #expect(map(wrong) == nil)
    }
  }

  @Test("hands channels to another connection with those who wait, and outlives a lost connection")
  func release() {
    var old = Subscriptions<Int>()
    var new = Subscriptions<Int>()
    _ = old.want(bytes("heard"), 1)
    _ = old.want(bytes("waiting"), 2)
    _ = old.want(bytes("user"), nil)
    _ = old.want(bytes("stays"), nil)
    _ = old.takeCommands(limit: 1)
    let heard = old.confirmed(bytes("heard"))
    #expect(heard == [1])
    for released in old.release(unless: { $0 == bytes("stays") }) { new.adopt(released, 9) }
    #expect(old.count == 1 && new.count == 3)
    let asked = new.takeCommands(limit: 9)
    #expect(asked.flatMap(\.channels).count == 3)
    let answered = new.confirmed(bytes("waiting"))
    #expect(answered.sorted() == [2, 9])
    let failed = new.connectionLost()
    #expect(failed.sorted() == [9, 9])
    let askedAgain = new.takeCommands(limit: 9)
    #expect(Set(askedAgain.flatMap(\.channels)) == Set(["heard", "waiting", "user"].map(bytes)))
  }

  @Test("asks again for what the server dropped or refused, and not for what it was asked to drop")
  func strays() {
    var channels = Subscriptions<Int>()
    for name in ["a", "b", "c"] { _ = channels.want(bytes(name), 1) }
    _ = channels.takeCommands(limit: 1)
    let first = channels.confirmed(bytes("a"))
    #expect(first == [1])
    let isDropped = channels.dropped(byServer: bytes("a"))
    #expect(isDropped)
    channels.refused { $0 == bytes("b") }
    let third = channels.confirmed(bytes("c"))
    #expect(third == [1])
    _ = channels.giveUp(bytes("c"))
    _ = channels.takeCommands(limit: 1)
    let isUnasked = channels.dropped(byServer: bytes("c"))
    #expect(!isUnasked)
    let strays = channels.takeDropped()
    #expect(Set(strays.map(\.channel)) == [bytes("a"), bytes("b")])
    for stray in strays { channels.adopt(stray, 2) }
    let askedAgain = channels.takeCommands(limit: 9)
    #expect(Set(askedAgain.flatMap(\.channels)) == [bytes("a"), bytes("b")])
    let last = channels.confirmed(bytes("b"))
    #expect(last == [1, 2])
  }
}
