import LoopCore
import Realtime
import Testing

@testable import RedisBackend

/// Publishes that share a tick.
@Suite(.serialized)
struct PublishBatchTests {
  let server: RedisServer
  let node: TestNode

  init() throws {
    server = try RedisServer()
    node = try TestNode("n1", on: server)
    guard drive([node], until: { [node] in node.isUp }) else { throw SystemError("the node is not up") }
  }

  /// The answers to publishes of one tick: offsets, or nil for a failure.
  private func publish(_ messages: [(room: String, text: String, dedupe: String?)]) -> [UInt64?] {
    var answers = [UInt64??](repeating: nil, count: messages.count)
    for (i, message) in messages.enumerated() {
      let message = RoomMessage(
        room: bytes(message.room), envelope: bytes(message.text), dedupe: message.dedupe.map { bytes($0) })
      node.broker.publish(message) { answers[i] = .some((try? $0.get())?.offset) }
    }
    drive([node]) { answers.allSatisfy { $0 != nil } }
    return answers.map { $0 ?? nil }
  }

  /// Runs of scripts since the server started.
  private var scriptRuns: Int {
    let line = server.run("INFO", "commandstats")?.split(whereSeparator: \.isNewline).first {
      $0.hasPrefix("cmdstat_evalsha:calls=")
    }
    return line.flatMap { Int($0.drop { $0 != "=" }.dropFirst().prefix { $0 != "," }) } ?? 0
  }

  @Test("share scripts, keep their order, and are answered each for itself")
  func sharing() throws {
    for room in ["a", "b"] { try node.subscribe(room) }
    let before = scriptRuns
    let messages = (0..<200).map {
      (room: $0 % 2 == 0 ? "a" : "b", text: "m\($0)", dedupe: $0 % 3 == 0 ? "ann:\($0)" : nil)
    }
    let offsets: [UInt64?] = (0..<200).map { UInt64($0 / 2 + 1) }
    #expect(publish(messages) == offsets)
    // A renewal of the lease may fall into it.
    #expect(scriptRuns - before <= 200 / RedisLimits.batchMessagesMax + 4)
    #expect(drive([node]) { node.heard.messages.count == 200 })
    for room in ["a", "b"] {
      let heard = node.heard.messages.filter { $0.room == room }
      #expect(heard.map(\.position.offset) == Array(1...100))
      #expect(heard.map(\.envelope) == messages.filter { $0.room == room }.map(\.text))
    }
  }

  @Test("with an id that was used are answered with its first offset, among others and twice in one script")
  func repetition() {
    #expect(
      publish([("a", "one", "ann:1"), ("a", "two", nil), ("a", "one", "ann:1"), ("b", "one", "ann:1")]) == [1, 2, 1, 1])
    #expect(publish([("a", "three", nil), ("a", "one", "ann:1"), ("a", "four", "ann:2")]) == [3, 1, 4])
    #expect((try? node.history(.newest(limit: 9), "a"))?.entries.map(\.offset) == [1, 2, 3, 4])
  }

  @Test("do no harm to each other when the keys of one room hold something else")
  func foreignKeys() {
    #expect(publish([("log", "m", nil)]) == [1])
    server.run("SET", "roost:3:{r:log}:log", "not a list")
    server.run("SET", "roost:3:{r:meta}:meta", "not a hash")
    server.run("SET", "roost:3:{ids}:old", "not a hash")
    #expect(publish([("log", "m", nil), ("good", "m", nil), ("meta", "m", nil)]) == [nil, 1, nil])
    #expect(
      publish([("good", "m", nil), ("id", "m", "ann:1"), ("meta", "m", nil), ("id", "m", nil)]) == [2, nil, nil, 1])
    #expect(node.log.contains { $0.contains("another type") })
    #expect(node.isUp)
  }

  @Test("all fail, and nothing is counted, when Redis has no memory left")
  func noMemory() {
    #expect(publish([("a", "m", nil), ("b", "m", nil)]) == [1, 1])
    server.run("CONFIG", "SET", "maxmemory", "1")
    #expect(publish([("a", "m", nil), ("b", "m", nil), ("c", "m", nil)]) == [nil, nil, nil])
    #expect(node.log.contains { $0.contains("OOM") })
    server.run("CONFIG", "SET", "maxmemory", "0")
    #expect(publish([("a", "m", nil), ("b", "m", nil), ("c", "m", nil)]) == [2, 2, 1])
  }

  @Test("are published when Redis has forgotten the script")
  func forgottenScript() {
    server.run("SCRIPT", "FLUSH")
    #expect(publish([("a", "m", nil), ("b", "m", "ann:1"), ("a", "m", nil)]) == [1, 1, 2])
  }

  @Test("are not overtaken by what their clients do next")
  func order() throws {
    try node.subscribe("a")
    let member = node.member("ann")
    _ = try node.enter(member, "a")
    var messagesBeforeFarewell: Int?
    node.heard.onNotice = { [heard = node.heard] in messagesBeforeFarewell = heard.messages.count }
    for text in ["first", "last"] {
      node.broker.publish(RoomMessage(room: bytes("a"), envelope: bytes(text), dedupe: nil)) { _ in }
    }
    node.broker.leave(room: bytes("a"), member, graceMilliseconds: 0)
    #expect(drive([node]) { node.heard.notices(.userLeft) == [#""ann""#] })
    #expect(messagesBeforeFarewell == 2)
  }

  @Test("leave a log no longer than its size and what one node may leave uncut")
  func length() {
    let size = 100
    for _ in 0..<10 { _ = publish((0..<50).map { ("a", "m\($0)", nil) }) }
    let length = Int(server.run("LLEN", "roost:3:{r:a}:log") ?? "") ?? 0
    #expect((size..<size + RedisLimits.publishesPerTrim).contains(length))
    #expect((try? node.history(.newest(limit: 1000), "a"))?.entries.count == size)
  }
}
