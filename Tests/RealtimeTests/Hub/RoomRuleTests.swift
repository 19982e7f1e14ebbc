import ClientProtocol
import JSONCore
import Testing

@testable import Realtime

@Suite("Hub, room rules")
struct RoomRuleTests {
  private func makeBench(_ rules: [(String, RoomRule)]) -> HubBench {
    HubBench { $0.rules = RoomRules(rules.map { (RoomGlob(Array($0.0.utf8)), $0.1) }) }
  }

  @Test("the first rule that fits holds, and rooms that none fits are as they were")
  func firstMatch() {
    let (first, second) = (RoomRule(mayPublish: false), RoomRule(mayJoin: false))
    let rules = RoomRules([
      (RoomGlob(Array("news:*".utf8)), first), (RoomGlob(Array("news:eu".utf8)), second), (RoomGlob([0x2A]), second),
    ])
    #expect(rules.rule(for: Array("news:eu".utf8).span) === first)
    #expect(rules.rule(for: Array("x".utf8).span) === second)
    #expect(RoomRules().rule(for: Array("x".utf8).span) === RoomRule.standard)
  }

  @Test("refuses to let clients join or publish where the rule says so; backends publish all the same")
  func access() throws {
    let bench = makeBench([("closed", RoomRule(mayJoin: false)), ("read", RoomRule(mayPublish: false))])
    let ann = bench.open("ann")
    #expect(ann.join("closed").first?.string("code") == "forbidden")
    #expect(bench.hub.counters.rooms == 0)
    for type in ["presence", "history"] {
      #expect(ann.send(#"{"type":"\#(type)","room":"closed"}"#).map { $0.string("code") } == ["forbidden"], "\(type)")
    }
    #expect(ann.join("read").first?.type == "joined")
    #expect(ann.publish(#""id":"1","n":1"#, in: "read").map { $0.string("code") } == ["forbidden"])
    var binary: [UInt8] = [1, 4]
    binary += Array("read".utf8)
    bench.hub.receive(binary: binary.span, from: ann.session)
    #expect(ann.take().map { $0.string("code") } == ["forbidden"])
    var position: Position?
    try bench.hub.publish(room: Array("read".utf8), data: Array(#"{"n":2}"#.utf8).span, idempotencyKey: nil) {
      position = try? $0.get()
    }
    #expect(position?.offset == 1)
    #expect(ann.take().map { $0.int("n") } == [2])
  }

  @Test("does not let a wildcard hear a room that clients may not join")
  func closedToWildcards() throws {
    let bench = makeBench([("news:closed", RoomRule(mayJoin: false))])
    let ann = bench.open("ann")
    #expect(ann.join("news:*").first?.type == "joined")
    for room in ["news:closed", "news:open"] { try bench.broker.publishElsewhere(room, #""n":1"#) }
    #expect(ann.take().filter { $0.type == "message" }.map { $0.string("room") } == ["news:open"])
  }

  @Test("says nothing of who comes and goes where presence is off, and counts nobody")
  func presence() {
    let bench = makeBench([("quiet", RoomRule(hasPresence: false))])
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    #expect(ann.join("quiet").first?.int("members") == 0)
    bob.join("quiet")
    #expect(ann.send(#"{"type":"presence","room":"quiet"}"#).first?.int("count") == 0)
    ann.publish(#""n":1"#, in: "quiet")
    #expect(bob.take().map { $0.int("n") } == [1])
    bench.broker.forget()
    bob.send(#"{"type":"leave","room":"quiet"}"#)
    #expect(!ann.take().contains { $0.type == "user_joined" || $0.type == "user_left" })
    #expect(ann.send(#"{"type":"presence","room":"quiet"}"#).first?.int("count") == 0)
  }

  @Test("keeps as much of a room as its rule says; nothing at all for 0")
  func retention() {
    let none = RoomRule(retention: Retention(messagesMax: 0, milliseconds: 60_000))
    let short = RoomRule(retention: Retention(messagesMax: 3, milliseconds: 1000))
    let bench = makeBench([("none", none), ("short", short)])
    let ann = bench.open("ann")
    func history(_ room: String) -> [Int?] {
      ann.send(#"{"type":"history","room":"\#(room)"}"#).first?.json["messages"]?.asArray?.map { $0["n"]?.asInt } ?? []
    }
    for room in ["none", "short", "other"] {
      ann.join(room)
      for n in 1...5 { ann.publish("\"n\":\(n)", in: room) }
    }
    #expect(history("none").isEmpty)
    #expect(history("short") == [3, 4, 5])
    #expect(history("other") == [1, 2, 3, 4, 5])
    bench.clock.milliseconds += 2000
    #expect(history("short").isEmpty)
    #expect(history("other") == [1, 2, 3, 4, 5])
  }

  @Test("flushes a throttled room once in its interval, with all messages in order")
  func throttle() {
    let bench = makeBench([("r", RoomRule(throttleMilliseconds: 100))])
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    ann.join()
    bob.join()
    bench.wait(milliseconds: 100)
    _ = bob.take()
    let before = bench.deliveries.count
    for n in 1...10 {
      ann.publish("\"n\":\(n)")
      bench.clock.milliseconds += 1
    }
    #expect(bob.take().map { $0.int("n") } == [1])
    bench.wait(milliseconds: 90)
    #expect(bob.take().map { $0.int("n") } == Array(2...10))
    #expect(bench.deliveries.count == before + 2)
    bench.wait(milliseconds: 100)
    bench.wait(milliseconds: 100)
    #expect(bench.deliveries.count == before + 2, "a silent room is not flushed")
    ann.publish(#""n":11"#)
    #expect(bob.take().map { $0.int("n") } == [11])
  }

  @Test("lets whoever joins between two flushes in at the second, exactly where the live messages begin")
  func throttledJoin() {
    let bench = makeBench([("r", RoomRule(hasPresence: false, throttleMilliseconds: 100))])
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    ann.join()
    for n in 1...3 { ann.publish("\"n\":\(n)") }
    #expect(bob.join().isEmpty)
    bench.wait(milliseconds: 100)
    #expect(bob.take().map { $0.int("offset") } == [3])
    ann.publish(#""n":4"#)
    bench.wait(milliseconds: 100)
    #expect(bob.take().map { $0.int("n") } == [4])
  }

  @Test("reduces a throttled flush to the newest message of each key where the rule says latest")
  func throttledLatest() {
    let rule = RoomRule(hasPresence: false, slow: .latest, key: Array("s".utf8), throttleMilliseconds: 100)
    let bench = makeBench([("r", rule)])
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    ann.join()
    bob.join()
    ann.publish(#""n":0"#)
    _ = bob.take()
    for n in 1...9 { ann.publish("\"n\":\(n),\"s\":\(n % 3)") }
    bench.wait(milliseconds: 100)
    #expect(bob.take().map { $0.int("n") } == [7, 8, 9])
    #expect(bench.hub.counters.slowConflated == 12, "six messages that neither of two members got")
    let text = String(repeating: "x", count: 30_000)
    let before = bench.deliveries.count
    for n in 10...40 { ann.publish("\"n\":\(n),\"s\":1,\"text\":\"\(text)\"") }
    #expect(bench.deliveries.count == before, "a batch that fills up is conflated before it is flushed")
    bench.wait(milliseconds: 100)
    #expect(bob.take().map { $0.int("n") } == [40])
  }
}
