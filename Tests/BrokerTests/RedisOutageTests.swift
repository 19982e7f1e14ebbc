import ClientProtocol
import LoopCore
import Realtime
import Testing

@testable import RedisBackend

/// What a node does when its Redis fails.
@Suite(.serialized)
struct RedisOutageTests {
  let server: RedisServer
  let node: TestNode

  init() throws {
    server = try RedisServer()
    let node = try TestNode("n1", on: server)
    self.node = node
    try #require(drive([node]) { node.isUp })
  }

  private func isBack() -> Bool { node.isUp && node.heard.restored == node.heard.lost }

  @Test("says lost and restored once when Redis is restarted empty, subscribes again, and loses its presence")
  func restart() throws {
    try node.subscribe()
    let before = try node.publish("before")
    _ = try node.enter(node.member("ann"))
    server.kill()
    #expect(drive([node]) { node.heard.lost == 1 })
    #expect(throws: BrokerError.unavailable) { try node.publish("while away") }
    #expect(throws: BrokerError.unavailable) { try node.subscribe("other") }
    try server.start()
    #expect(drive([node]) { isBack() && node.heard.presenceLosses == 1 })
    let after = try node.publish("after")
    #expect(after.offset == 1)
    #expect(after.epoch != before.epoch)
    #expect(drive([node]) { node.heard.messages.map(\.envelope) == ["before", "after"] })
    #expect(node.heard.lost == 1 && node.heard.restored == 1)
    #expect(node.redis?.reconnectsTotal == 2)
  }

  @Test("comes back when one of its connections is killed", arguments: ["commands", "subscriber"])
  func killedConnection(name: String) throws {
    try node.subscribe()
    _ = try node.enter(node.member("ann"))
    let id = try #require(server.clients(named: name).first)
    server.run("CLIENT", "KILL", "ID", id)
    #expect(drive([node]) { node.heard.lost == 1 })
    #expect(drive([node]) { isBack() })
    _ = try node.publish("after")
    #expect(drive([node]) { node.heard.messages.map(\.envelope) == ["after"] })
    #expect(node.heard.presenceLosses == 0)
    #expect(try node.members().count == 1)
  }

  @Test("notices within 5 s that Redis does not answer, fails what is pending, and comes back")
  func pausedRedis() throws {
    try node.subscribe()
    server.pause()
    var answer: Result<Position, BrokerError>?
    let message = RoomMessage(room: bytes("r"), envelope: bytes("m"), dedupe: bytes("ann:1"))
    node.broker.publish(message) { answer = $0 }
    #expect(drive([node], within: 5) { node.heard.lost == 1 })
    #expect(!node.broker.isAvailable)
    // With an id it may still be done, for a bounded time.
    #expect(drive([node], within: 10) { answer != nil })
    #expect(answer == .failure(.uncertain))
    server.resume()
    #expect(drive([node]) { isBack() })
    // The first attempt may have reached Redis after all: its id keeps it from being published twice.
    #expect(try node.publish("m", dedupe: "ann:1").offset == 1)
  }

  @Test("notices an unreachable Redis without having anything to say")
  func pausedRedisIdle() throws {
    server.pause()
    #expect(drive([node], within: 5) { node.heard.lost == 1 && !node.broker.isAvailable })
    server.resume()
    #expect(drive([node]) { isBack() })
  }

  @Test("tells Redis afterwards who left and who came while it was away")
  func backlog() throws {
    try node.subscribe()
    node.broker.connect(node.member("ann"))
    _ = try node.enter(node.member("ann"))
    let id = try #require(server.clients(named: "commands").first)
    server.run("CLIENT", "KILL", "ID", id)
    #expect(drive([node]) { !node.broker.isAvailable })
    node.broker.leave(room: bytes("r"), node.member("ann"), graceMilliseconds: 0)
    node.broker.disconnect(node.member("ann"))
    node.broker.subscribe(user: bytes("bob"))
    node.broker.connect(node.member("bob"))
    #expect(drive([node]) { isBack() })
    #expect(try node.members().isEmpty)
    #expect(try ask([node]) { node.broker.connections(of: bytes("ann"), $0) }.isEmpty)
    #expect(try ask([node]) { node.broker.connections(of: bytes("bob"), $0) }.count == 1)
    #expect(drive([node]) { (try? node.send("m", to: .user(bytes("bob")))) == 1 && !node.heard.direct.isEmpty })
  }

  @Test("finds out who has left when more happened than it keeps")
  func overflow() throws {
    try node.subscribe()
    for user in ["ann", "bob"] { _ = try node.enter(node.member(user)) }
    let id = try #require(server.clients(named: "commands").first)
    server.run("CLIENT", "KILL", "ID", id)
    #expect(drive([node]) { !node.broker.isAvailable })
    for i in 0..<RedisLimits.offlineQueueMax {
      node.broker.leave(room: bytes("x"), node.member("u", i), graceMilliseconds: 0)
    }
    node.heard.gone = [String(decoding: node.member("ann").name, as: UTF8.self)]
    node.broker.leave(room: bytes("r"), node.member("ann"), graceMilliseconds: 0)
    #expect(drive([node]) { isBack() && node.heard.presenceLosses == 1 })
    #expect(drive([node]) { server.run("HKEYS", "roost:3:{r:r}:users") == "bob" })
    #expect(drive([node]) { node.heard.notices(.userLeft) == [#""ann""#] })
    #expect(node.heard.notices(.userJoined) == [#""ann""#, #""bob""#])
  }

  @Test("loads its scripts again when Redis has forgotten them")
  func scriptFlush() throws {
    try node.subscribe()
    _ = try node.publish("1")
    server.run("SCRIPT", "FLUSH")
    var offsets: [UInt64] = []
    for i in 2...4 {
      node.broker.publish(RoomMessage(room: bytes("r"), envelope: bytes("\(i)"), dedupe: nil)) {
        if let position = try? $0.get() { offsets.append(position.offset) }
      }
    }
    #expect(drive([node]) { offsets == [2, 3, 4] && node.heard.messages.count == 4 })
    #expect(node.heard.messages.map(\.envelope) == ["1", "2", "3", "4"])
    #expect(node.heard.lost == 0)
  }

  @Test("takes its lease again at once when a room's new epoch tells that everything was lost")
  func noticedLoss() throws {
    try node.subscribe()
    _ = try node.enter(node.member("ann"))
    _ = try node.publish("before")
    // A publish for each flush: the lease stands long before its next renewal is due, time after time.
    for _ in 0..<5 {
      server.run("FLUSHALL")
      _ = try node.publish("after")
      #expect(drive([node], within: 1.5) { server.run("ZCARD", "roost:3:{nodes}:leases") == "1" })
    }
    #expect(drive([node]) { node.heard.presenceLosses >= 5 })
  }

  @Test("lets no member enter behind its own leaving, though the script was forgotten and loaded between them")
  func overtakenEntry() throws {
    try node.subscribe()
    for isBack in [false, true] {
      server.run("SCRIPT", "FLUSH")
      var isAnswered = false
      node.broker.enter(room: bytes("r"), node.member("ann")) { _ in isAnswered = true }
      node.loop.tick(waitMillisecondsMax: 0)
      // Another node loads the script before this one knows that it was forgotten.
      server.run("SCRIPT", "LOAD", String(decoding: Script.presence.source, as: UTF8.self))
      node.leave(node.member("ann"), grace: 0)
      if isBack { node.broker.enter(room: bytes("r"), node.member("ann")) { _ in } }
      #expect(drive([node]) { isAnswered })
      // Whoever comes back before the first entering was answered stays.
      #expect(drive([node]) { server.run("HLEN", "roost:3:{r:r}:members") == (isBack ? "1" : "0") })
      #expect(try node.members().count == (isBack ? 1 : 0))
    }
  }

  @Test("begins a new epoch without old messages when a room's counter is lost")
  func lostCounter() throws {
    let old = try node.publish("old")
    server.run("DEL", "roost:3:{r:r}:meta")
    let new = try node.publish("new")
    #expect(new.offset == 1 && new.epoch != old.epoch)
    #expect(try node.history(.after(0, limit: 10)).entries.map(\.envelope) == [bytes("new")])
    server.run("DEL", "roost:3:{r:r}:meta")
    let silent = try node.position()
    #expect(silent.offset == 0 && silent.epoch != new.epoch)
    #expect(try node.history(.after(0, limit: 10)).entries.isEmpty)
    let newer = try node.publish("newer")
    #expect(newer.offset == 1 && ![silent.epoch, new.epoch, old.epoch].contains(newer.epoch))
  }

  @Test(
    "begins a new epoch when a message that was delivered is gone or is another one, and else leaves the room alone")
  func divergedStream() throws {
    func compare(_ position: Position, _ timestamp: UInt64) throws -> Position {
      let known = StreamEnd(position: position, timestamp: timestamp)
      return try ask([node]) { node.broker.compare(room: bytes("r"), with: known, $0) }
    }
    let positions = try (1...5).map { try node.publish("m \(100 + $0) n1-1 null\nx") }
    let (third, last) = (positions[2], positions[4])
    #expect(try compare(last, 105) == last)
    #expect(try compare(third, 103) == last)
    #expect(try compare(third, 0) == last)
    server.run("LTRIM", "roost:3:{r:r}:log", "-1", "-1")
    #expect(try compare(third, 999) == last, "what history does not reach back to proves nothing")
    let other = try compare(last, 104)
    #expect(other.epoch != last.epoch && other.offset == 0)
    #expect(try compare(last, 105) == other, "the second node to notice finds the new epoch")
    #expect(try node.history(.newest(limit: 9)).entries.isEmpty)
    let next = try node.publish("m 200 n1-1 null\nx")
    #expect(next.epoch == other.epoch)
    let ahead = Position(epoch: next.epoch, offset: 2)
    #expect(try compare(ahead, 0).epoch != next.epoch)
  }

  @Test("says lost when Redis cannot be reached from the start, and restored when it can")
  func unreachableAtStart() throws {
    server.kill()
    let late = try TestNode("n2", on: server)
    late.broker.connect(late.member("ann"))
    #expect(drive([late]) { late.heard.lost == 1 })
    try server.start()
    #expect(drive([late]) { late.isUp && late.heard.restored == 1 })
    #expect(late.heard.lost == 1 && late.heard.presenceLosses == 0)
    #expect(try ask([late]) { late.broker.connections(of: bytes("ann"), $0) }.count == 1)
  }

  @Test("subscribes to more channels than one command takes, and again after a lost connection")
  func manyChannels() throws {
    let count = 2 * RedisLimits.channelsPerCommandMax + 10
    var confirmed = 0
    for i in 0..<count { node.broker.subscribe(room: bytes("r\(i)")) { if case .success = $0 { confirmed += 1 } } }
    #expect(drive([node]) { confirmed == count })
    let id = try #require(server.clients(named: "subscriber").first)
    server.run("CLIENT", "KILL", "ID", id)
    #expect(drive([node]) { node.heard.lost == 1 })
    #expect(drive([node]) { isBack() })
    #expect(server.info("stats", "pubsub_channels") <= count + 3)
    for i in [0, count / 2, count - 1] { _ = try node.publish("m", in: "r\(i)") }
    #expect(drive([node]) { node.heard.messages.count == 3 })
  }
}
