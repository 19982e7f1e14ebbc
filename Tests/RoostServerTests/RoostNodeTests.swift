import JSONCore
import RoostServer
import TestSupport
import Testing

@Suite("A node in a program, by RoostServer")
struct RoostNodeTests {
  @Test("starts, publishes, reads, disconnects and stops; a second one takes the port after it")
  func life() async throws {
    let node = try await RoostNode.start(.test())
    let port = node.port
    #expect(port != 0)
    let ada = try await blocking {
      let ada = try client(port, "ada")
      try ada.expect("welcome")
      try ada.join("lobby")
      return Held(ada)
    }
    let first = try await node.publish(#"{"n":1}"#, in: "lobby", as: "bank", idempotencyKey: "k")
    let again = try await node.publish(#"{"n":1}"#, in: "lobby", as: "bank", idempotencyKey: "k")
    #expect(first == again && first.offset == 1)
    #expect(try await node.send(#"{"n":2}"#, to: "ada") == 1)
    #expect(try await node.send(#"{"n":2}"#, to: "nobody") == 0)
    try await node.broadcast(#"{"n":3}"#)
    #expect(try await node.users(in: "lobby") == ["ada"])
    #expect(try await node.subscribe(user: "ada", to: "attic") == 1)
    #expect(try await node.metrics().contains("roost_connections{transport=\"websocket\"} 1"))
    #expect(try await node.disconnect(user: "ada") == 1)
    try await blocking {
      let ada = ada.value
      #expect(try ada.expect("message").string("user") == "bank")
      #expect(try ada.expect("direct").int("n") == 2)
      #expect(try ada.expect("broadcast").int("n") == 3)
      _ = try ada.expect("joined") { $0.string("room") == "attic" }
      #expect(try ada.expectClose() == 4409)
    }
    await node.stop()
    await node.stop()
    try await node.waitUntilStopped()
    await #expect(throws: NodeError.self) { try await node.publish("{}", in: "lobby") }
    try await withNode(.test(["port": "\(port)"])) { second in #expect(second.port == port) }
  }

  @Test("refuses what can never be done, and says why")
  func refusals() async throws {
    for (settings, word) in [
      (["port": "none"], "--port"), (["colour": "red"], "--colour"), (["workers": "2"], "workers"),
      (["auth": "jwt"], "key"),
    ] {
      do {
        let node = try await RoostNode.start(RoostNode.Configuration(settings: settings))
        await node.stop()
        Issue.record("\(settings) started a node")
      } catch let error as NodeError {
        #expect(error.code == .invalidSettings && error.message.contains(word), "\(error)")
      }
    }
    try await withNode(.test()) { node in
      for (data, room) in [("[]", "r"), ("{\"n\":", "r"), (#"{"room":"x"}"#, "r"), ("{}", "")] as [(JSON, String)] {
        do {
          try await node.publish(data, in: room)
          Issue.record("published \(data)")
        } catch let error as NodeError {
          #expect(error.code == .refused, "\(error)")
        }
      }
      var taken = RoostNode.Configuration.test(["port": "\(node.port)"])
      taken.log = .none
      do {
        _ = try await RoostNode.start(taken)
        Issue.record("two nodes on one port")
      } catch let error as NodeError {
        #expect(error.code == .cannotStart && error.message.contains("\(node.port)"), "\(error)")
      }
    }
  }

  @Test("answers a thousand publishes of many tasks, each once, and fails none that wait when it stops")
  func concurrency() async throws {
    try await withNode(.test(["history-size": "1000"])) { node in
      let offsets = try await withThrowingTaskGroup(of: UInt64.self) { group in
        for number in 1...1000 {
          group.addTask { try await node.publish(JSON("{\"n\":\(number)}"), in: "r").offset }
        }
        return try await group.reduce(into: Set<UInt64>()) { $0.insert($1) }
      }
      #expect(offsets == Set(1...1000))
    }
    let node = try await RoostNode.start(.test())
    await withTaskGroup(of: Void.self) { group in
      for _ in 1...100 { group.addTask { _ = try? await node.publish("{}", in: "r") } }
      group.addTask { await node.stop() }
    }
  }

  @Test("is one of a cluster: two nodes of one program meet in Redis, and publishing fails while it is away")
  func cluster() async throws {
    let redis = try await blocking { Held(try RedisProcess()) }
    let url = "redis://127.0.0.1:\(redis.value.port)"
    try await withNode(.test(["redis": url])) { first in
      try await withNode(.test(["redis": url])) { second in
        let ada = try await blocking {
          let ada = try client(second.port, "ada")
          try ada.expect("welcome")
          try ada.join("r")
          return Held(ada)
        }
        try await first.publish(#"{"n":1}"#, in: "r")
        #expect(try await first.users(in: "r") == ["ada"])
        #expect(try await first.disconnect(user: "ada") == 1)
        let (number, code) = try await blocking {
          (try ada.value.expect("message").int("n"), try ada.value.expectClose())
        }
        #expect(number == 1 && code == 4409)
        redis.value.kill()
        try await until("a publish fails") {
          do {
            try await first.publish(#"{"n":2}"#, in: "r")
            return false
          } catch let error as NodeError {
            return error.code == .unavailable || error.code == .uncertain
          }
        }
      }
    }
  }

  @Test("gives its log to a closure, from the level that is set on")
  func log() async throws {
    let lines = Seen<RoostNode.LogLine>()
    var configuration = RoostNode.Configuration.test(["log-level": "info", "node-id": "n1"])
    configuration.log = .handler { lines.add($0) }
    try await withNode(configuration) { node in
      try await until("the line") { lines.all.contains { $0.message == "listening" } }
      let line = try #require(lines.all.first { $0.message == "listening" })
      #expect(line.level == "info" && line.node == "n1" && line.fields["port"] == "\(node.port)")
    }
    try await until("the last line") { lines.all.contains { $0.message == "stopped" } }
    #expect(!lines.all.contains { $0.level == "debug" })
  }

  @Test("tells an observer what happens, in order")
  func events() async throws {
    let seen = Seen<String>()
    var configuration = RoostNode.Configuration.test()
    configuration.observe = { event, _ in
      switch event {
      case .connected(let user, _, let transport, _): seen.add("connected \(user) \(transport)")
      case .disconnected(let user, _): seen.add("disconnected \(user)")
      case .joined(let room, let user): seen.add("joined \(room) \(user)")
      case .left(let room, let user): seen.add("left \(room) \(user)")
      case .message(let message):
        if case .json(let json) = message.body { seen.add("message \(message.room) \(message.user ?? "-") \(json)") }
        if case .binary(let bytes) = message.body { seen.add("binary \(bytes)") }
      case .missed(let count): seen.add("missed \(count)")
      }
    }
    try await withNode(configuration) { node in
      try await blocking {
        let ada = try client(node.port, "ada")
        try ada.expect("welcome")
        try ada.join("r")
        try ada.publish("r", #""n":1"#)
        try ada.send(binary: [1, 1] + Array("r".utf8) + [7, 8])
        try ada.ask(#""type":"ping""#)
        try ada.sendClose(1000)
        try ada.expectEnd()
      }
      try await node.publish(#"{"n":2}"#, in: "r")
      try await until("the events") { seen.all.count >= 7 }
      #expect(
        seen.all.filter { !$0.hasPrefix("left") } == [
          "connected ada websocket", "joined r ada", #"message r ada {"n":1}"#, "binary [7, 8]", "disconnected ada",
          #"message r - {"n":2}"#,
        ])
      #expect(seen.all.contains("left r ada"))
    }
  }
}

/// Something that goes from one thread to another, one at a time.
final class Held<Value>: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
}
