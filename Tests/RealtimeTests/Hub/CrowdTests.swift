import JSONCore
import Testing

@testable import Realtime

@Suite("Presence in crowds, of readers that fall behind, and under other notices")
struct CrowdTests {
  private func makeBench(announceMax: Int, rule: RoomRule = .standard) -> HubBench {
    HubBench {
      $0.presenceAnnounceMax = announceMax
      $0.presenceIntervalMilliseconds = 1000
      $0.rules = RoomRules([(match: RoomGlob(Array("*".utf8)), rule: rule)])
    }
  }

  private func names(_ text: Text, _ key: StaticString) -> [String] {
    text.json[key]?.asArray?.compactMap(\.asString) ?? []
  }

  @Test("tells a crowd in sum, once in an interval, and each by name again below four fifths of the limit")
  func crowd() throws {
    let bench = makeBench(announceMax: 5)
    let ann = bench.open("ann")
    ann.join()
    for number in 1...4 { bench.broker.moveElsewhere("far\(number)") }
    #expect(ann.take().map(\.type) == Array(repeating: "user_joined", count: 4))
    bench.broker.moveElsewhere("far5")
    let first = try #require(ann.take().first)
    #expect(first.type == "presence_update" && first.int("count") == 6 && names(first, "joined") == ["far5"])
    for number in 6...9 { bench.broker.moveElsewhere("far\(number)") }
    bench.broker.moveElsewhere("far6")
    #expect(ann.take().isEmpty, "the interval is not over")
    bench.wait(milliseconds: 1000)
    let texts = ann.take()
    #expect(texts.count == 1 && texts[0].int("count") == 9)
    #expect(names(texts[0], "joined") == ["far7", "far8", "far9"] && names(texts[0], "left") == ["far6"])
    for number in 1...4 { bench.broker.moveElsewhere("far\(number)") }
    bench.wait(milliseconds: 1000)
    #expect(ann.take().map { $0.int("count") } == [5])
    bench.wait(milliseconds: 1000)
    bench.broker.moveElsewhere("far5")
    #expect(ann.take().map(\.type) == ["presence_update"], "four fifths of the limit is a crowd still")
    bench.broker.moveElsewhere("far7")
    bench.broker.moveElsewhere("far5")
    #expect(ann.take().map(\.type) == ["user_left", "user_joined"])
  }

  @Test("a room that is no longer a crowd gets its last update in its time, and no notice overtakes it")
  func lastUpdate() throws {
    let bench = makeBench(announceMax: 5)
    let ann = bench.open("ann")
    ann.join()
    for number in 1...6 { bench.broker.moveElsewhere("far\(number)") }
    _ = ann.take()
    bench.wait(milliseconds: 1000)
    _ = ann.take()
    bench.wait(milliseconds: 100)
    for number in 1...4 { bench.broker.moveElsewhere("far\(number)") }
    #expect(ann.take().isEmpty, "the interval since the last update is not over")
    bench.broker.moveElsewhere("far4")
    bench.wait(milliseconds: 1000)
    let texts = ann.take()
    #expect(texts.map(\.type) == ["presence_update"] && names(texts[0], "left") == ["far1", "far2", "far3"])
    bench.broker.moveElsewhere("far1")
    #expect(ann.take().map(\.type) == ["user_joined"])
  }

  @Test("an answer to presence comes after the notices of what it contains")
  func answerOrder() throws {
    let bench = makeBench(announceMax: 500)
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    ann.join()
    bob.post(#"{"type":"join","room":"r"}"#)
    bench.broker.moveElsewhere("far")
    ann.post(#"{"type":"presence","room":"r"}"#)
    let texts = ann.take()
    let answer = try #require(texts.first { $0.type == "presence" })
    #expect(texts.contains { $0.type == "user_joined" })
    for text in texts.drop(while: { $0.type != "presence" }) where text.type == "user_joined" {
      #expect(!answer.description.contains(text.string("user") ?? "?"), "\(texts)")
    }
  }

  @Test("names at most a hundred, and says that there were more")
  func manyNames() throws {
    let bench = makeBench(announceMax: 0)
    let ann = bench.open("ann")
    ann.join()
    bench.broker.moveElsewhere("first")
    _ = ann.take()
    for number in 0..<150 { bench.broker.moveElsewhere("far\(number)") }
    bench.wait(milliseconds: 1000)
    let update = try #require(ann.take().first)
    #expect(names(update, "joined").count == 100 && update.json["more"]?.asBool == true)
    #expect(update.int("count") == 152)
  }

  @Test("tells a reader that missed notices to ask who is there")
  func missedNotices() throws {
    let bench = makeBench(announceMax: 500, rule: RoomRule(slow: .dropOldest, lagBytesMax: 2000))
    let (ann, slow) = (bench.open("ann"), bench.open("slow"))
    for client in [ann, slow] { client.join() }
    _ = slow.take()
    bench.stop(slow)
    ann.publish(#""n":0"#)
    bench.broker.moveElsewhere("far")
    for n in 1...100 { ann.publish("\"n\":\(n)") }
    _ = slow.take()
    bench.drain(slow)
    let update = try #require(slow.take().first { $0.type == "presence_update" })
    #expect(update.int("count") == 3 && update.json["more"]?.asBool == true)
  }

  @Test("tells nobody who missed only messages to ask who is there")
  func missedMessages() throws {
    let bench = makeBench(announceMax: 500, rule: RoomRule(slow: .dropOldest, lagBytesMax: 2000))
    let (ann, slow) = (bench.open("ann"), bench.open("slow"))
    for client in [ann, slow] { client.join() }
    bench.stop(slow)
    for n in 1...100 { ann.publish("\"n\":\(n)") }
    _ = slow.take()
    bench.drain(slow)
    let seen = slow.take()
    #expect(seen.contains { $0.type == "gap" } && !seen.contains { $0.type == "presence_update" })
  }

  @Test("answers presence after joined, and counts everybody who came in the same tick")
  func oneTick() throws {
    let bench = HubBench()
    bench.broker.losesNotices = false
    let clients = (0..<50).map { bench.open("user\($0)") }
    for client in clients {
      client.post(#"{"type":"join","room":"r"}"#)
      client.post(#"{"type":"presence","room":"r"}"#)
    }
    for client in clients {
      let texts = client.take()
      #expect(texts.map(\.type) == ["joined", "presence"])
      #expect(texts[0].int("members") == 50 && texts[1].int("count") == 50)
    }
  }

  @Test("compares at the moments that were asked for, however often it is asked meanwhile")
  func comparisons() {
    var schedule = ComparisonSchedule()
    func due(_ moments: [UInt64]) -> [UInt64] { moments.filter { schedule.isDue(at: $0) } }
    #expect(due([0, 10]).isEmpty)
    for moment in stride(from: UInt64(5000), through: 9000, by: 500) { schedule.add(moment) }
    schedule.add(4000)
    #expect(due([3999, 4000, 8999, 9000, 99_000]) == [4000, 9000])
    schedule.add(100)
    schedule.add(200)
    #expect(due([300, 400]) == [300])
  }
}
