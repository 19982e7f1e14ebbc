import JSONCore
import Randomness
import Testing

@testable import Realtime

@Suite("Hub, slow readers in rooms that spare them")
struct LagTests {
  private func makeBench(_ rule: RoomRule, historySize: Int = 100) -> HubBench {
    HubBench(historySize: historySize) {
      $0.rules = RoomRules([(match: RoomGlob(Array("r".utf8)), rule: rule)])
    }
  }

  /// Numbers of the messages and ends of the gaps that a client was given.
  private func story(_ texts: [Text]) -> [String] {
    texts.compactMap { text in
      switch text.type {
      case "message": text.int("n").map(String.init)
      case "gap": "\(text.int("from") ?? 0)-\(text.int("to") ?? 0)"
      case "joined": "joined \(text.int("offset") ?? -1) \(text.json["recovered"]?.asBool.map(String.init) ?? "")"
      default: nil
      }
    }
  }

  @Test("gives a reader that stopped for a moment all that it missed, in order, once")
  func catchesUp() throws {
    let bench = makeBench(RoomRule(slow: .dropOldest))
    let (ann, bob, slow) = (bench.open("ann"), bench.open("bob"), bench.open("slow"))
    for client in [ann, bob, slow] { client.join() }
    _ = [bob.take(), slow.take()]
    bench.stop(slow)
    for n in 1...5 { ann.publish("\"n\":\(n)") }
    #expect(story(bob.take()) == ["1", "2", "3", "4", "5"])
    #expect(story(slow.take()) == ["1"])
    bench.drain(slow)
    ann.publish(#""n":6"#)
    #expect(story(slow.take()) == ["2", "3", "4", "5", "6"])
    #expect(bench.hub.counters.slowDropped == 0)
    #expect(bench.hub.lagBytes == 0)
  }

  @Test("drops the oldest past the room's limit and says so once, when the reader reads again")
  func dropsOldest() throws {
    let bench = makeBench(RoomRule(slow: .dropOldest, lagBytesMax: 3000))
    let (ann, slow) = (bench.open("ann"), bench.open("slow"))
    for client in [ann, slow] { client.join() }
    _ = slow.take()
    bench.stop(slow)
    for n in 1...100 { ann.publish("\"n\":\(n)") }
    #expect(bench.hub.lagBytes <= 3000)
    #expect(story(slow.take()) == ["1"])
    bench.drain(slow)
    let seen = story(slow.take())
    let first = try #require(seen.dropFirst().first.flatMap { Int($0) })
    #expect(seen.first == "2-\(first - 1)")
    #expect(seen.dropFirst() == (first...100).map(String.init)[...])
    #expect(first > 50 && first < 100, "what fits is kept")
    #expect(bench.hub.counters.slowDropped == UInt64(first - 2))
    #expect(bench.closes.isEmpty)
  }

  @Test("takes a reader that is behind out of the fan-out, and gives it plain frames when it comes back")
  func leavesTheFanOut() {
    let bench = makeBench(RoomRule(slow: .dropOldest))
    let (ann, slow) = (bench.open("ann"), bench.open("slow", format: .webSocketDeflated))
    for client in [ann, slow] { client.join() }
    bench.stop(slow)
    ann.publish(#""n":1"#)
    let before = bench.deliveries.count
    ann.publish(#""n":2"#)
    #expect(!bench.deliveries[before...].contains { $0.targets.contains(slow.connection) })
    bench.drain(slow)
    #expect(bench.deliveries.last?.format == .webSocket)
    #expect(bench.deliveries.last?.targets == [slow.connection])
    ann.publish(#""n":3"#)
    #expect(bench.deliveries.last?.format == .webSocketDeflated)
  }

  @Test("hands what was kept over in pieces, as fast as the reader reads")
  func pieces() throws {
    let bench = makeBench(RoomRule(slow: .dropOldest))
    let (ann, slow) = (bench.open("ann"), bench.open("slow"))
    for client in [ann, slow] { client.join() }
    bench.stop(slow)
    let text = String(repeating: "x", count: 20_000)
    for n in 1...20 { ann.publish("\"n\":\(n),\"text\":\"\(text)\"") }
    _ = slow.take()
    var seen: [String] = []
    for _ in 0..<20 where seen.count < 19 {
      bench.drain(slow, again: true)
      let piece = story(slow.take())
      #expect(piece.count <= 4, "no more than a batch at a time")
      seen += piece
    }
    #expect(seen == (2...20).map(String.init))
  }

  @Test("keeps the newest message of each key for a reader that is behind, in order of offset")
  func conflates() {
    let bench = makeBench(RoomRule(slow: .latest, key: Array("symbol".utf8)))
    let (ann, slow) = (bench.open("ann"), bench.open("slow"))
    for client in [ann, slow] { client.join() }
    _ = slow.take()
    bench.stop(slow)
    ann.publish(#""n":1,"symbol":"A""#)
    for n in 2...300 { ann.publish("\"n\":\(n),\"symbol\":\"\(n % 2 == 0 ? "A" : "B")\",\"price\":\(n)") }
    ann.publish(#""symbol":"C","n":301"#)
    ann.publish(#""n":302"#)
    ann.publish(#""n":303"#)
    ann.publish(#""n":304,"s\u0079mbol":"C""#)
    #expect(story(slow.take()) == ["1"])
    #expect(bench.hub.lagBytes < 2000)
    bench.drain(slow)
    // The newest of A, of B, of those without a key, and of C, whose key was spelled otherwise.
    #expect(story(slow.take()) == ["299", "300", "303", "304"])
    #expect(bench.hub.counters.slowConflated == 299)
    #expect(bench.hub.counters.slowDropped == 0)
  }

  @Test("says gap when there are more keys than a room may keep")
  func tooManyKeys() throws {
    let bench = makeBench(RoomRule(slow: .latest, key: Array("k".utf8), lagBytesMax: 5000))
    let (ann, slow) = (bench.open("ann"), bench.open("slow"))
    for client in [ann, slow] { client.join() }
    _ = slow.take()
    bench.stop(slow)
    for n in 1...200 { ann.publish("\"n\":\(n),\"k\":\(n)") }
    _ = slow.take()
    bench.drain(slow)
    let seen = story(slow.take())
    let first = try #require(seen.dropFirst().first.flatMap { Int($0) })
    #expect(seen == ["2-\(first - 1)"] + (first...200).map(String.init))
  }

  @Test("does not give a sender its own messages when it catches up, and counts none of them as lost")
  func ownMessages() {
    let bench = makeBench(RoomRule(slow: .dropOldest))
    let (ann, slow) = (bench.open("ann"), bench.open("slow"))
    for client in [ann, slow] { client.join() }
    _ = slow.take()
    bench.stop(slow)
    ann.publish(#""n":1"#)
    slow.publish(#""n":2"#)
    ann.publish(#""n":3"#)
    _ = slow.take()
    bench.drain(slow)
    #expect(story(slow.take()) == ["3"])
  }

  @Test("answers a reader that is behind and joins again from where the room is, with what it skips as a gap")
  func joinsAgain() throws {
    let bench = makeBench(RoomRule(slow: .dropOldest))
    let (ann, slow) = (bench.open("ann"), bench.open("slow"))
    ann.join()
    let epoch = try #require(slow.join().first?.string("epoch"))
    bench.stop(slow)
    for n in 1...4 { ann.publish("\"n\":\(n)") }
    #expect(story(slow.take()) == ["1"])
    #expect(story(slow.join()) == ["2-4", "joined 4 "])
    ann.publish(#""n":5"#)
    #expect(story(slow.join(since: #"{"epoch":"\#(epoch)","offset":2}"#)) == ["joined 5 true", "3", "4", "5"])
    ann.publish(#""n":6"#)
    bench.drain(slow)
    #expect(story(slow.take()) == ["6"])
  }

  @Test("leaves nothing behind when a reader that is behind leaves or is closed")
  func departs() {
    let bench = makeBench(RoomRule(slow: .dropOldest))
    let clients = ["ann", "s1", "s2", "s3"].map { bench.open($0) }
    for client in clients { client.join() }
    for client in clients.dropFirst() { bench.stop(client) }
    for n in 1...3 { clients[0].publish("\"n\":\(n)") }
    clients[1].send(#"{"type":"leave","room":"r"}"#)
    bench.hub.close(clients[2].session)
    #expect(bench.hub.lagBytes > 0)
    _ = clients[3].take()
    bench.drain(clients[3])
    #expect(story(clients[3].take()) == ["2", "3"])
    #expect(bench.hub.lagBytes == 0)
    clients[0].publish(#""n":4"#)
    #expect(story(clients[3].take()) == ["4"])
    #expect(story(clients[1].take()).isEmpty)
  }

  @Test("keeps no more than the node's limit for all rooms together")
  func nodeLimit() {
    let bench = HubBench {
      $0.rules = RoomRules([(RoomGlob([0x2A]), RoomRule(slow: .dropOldest, lagBytesMax: 64 << 20))])
    }
    let (ann, slow) = (bench.open("ann"), bench.open("slow"))
    let text = String(repeating: "x", count: 1 << 20)
    for room in ["a", "b", "c"] { for client in [ann, slow] { client.join(room) } }
    bench.stop(slow)
    for n in 1...40 {
      for room in ["a", "b", "c"] {
        ann.publish("\"n\":\(n),\"text\":\"\(text)\"", in: room)
        #expect(bench.hub.lagBytes <= Limits.lagBytesMax)
      }
    }
    #expect(bench.hub.lagBytes > Limits.lagBytesMax / 2)
    bench.hub.close(slow.session)
    #expect(bench.hub.lagBytes == 0)
  }

  @Test("gives a reader that is behind in a room and hears it through a wildcard, too, one copy of each message")
  func besideWildcard() {
    let bench = makeBench(RoomRule(slow: .dropOldest))
    let (ann, slow, wide) = (bench.open("ann"), bench.open("slow"), bench.open("wide"))
    for client in [ann, slow] { client.join("r") }
    for client in [slow, wide] { client.join("r*") }
    for client in [slow, wide] { _ = client.take() }
    bench.stop(slow)
    for n in 1...4 { ann.publish("\"n\":\(n)") }
    #expect(story(slow.take()) == ["1"])
    #expect(story(wide.take()) == ["1", "2", "3", "4"])
    bench.drain(slow)
    #expect(story(slow.take()) == ["2", "3", "4"])
  }

  @Test("does not change what rooms without a rule do")
  func others() {
    let bench = makeBench(RoomRule(slow: .dropOldest))
    let (ann, slow) = (bench.open("ann"), bench.open("slow"))
    for client in [ann, slow] { client.join("other") }
    _ = slow.take()
    bench.hub.becameUnwritable(slow.session)
    ann.publish(#""n":1"#, in: "other")
    #expect(story(slow.take()) == ["1"])
  }

  /// One life of a room whose members stop and go on, while the broker misbehaves as it likes.
  private func simulate(seed: UInt64, _ rule: RoomRule) throws {
    var random = SeededGenerator(seed: seed)
    let bench = makeBench(rule, historySize: 8)
    let witnesses = (0..<4).map { Witness(bench.open("user\($0)"), missesNotices: true) }
    bench.broker.isQueuing = true
    for n in 1...400 {
      let witness = witnesses[Int.random(in: 0..<witnesses.count, using: &random)]
      switch Int.random(in: 0..<100, using: &random) {
      case 0..<30: try bench.broker.publishElsewhere("r", "\"n\":\(n)")
      case 30..<55: bench.broker.hearNext()
      case 55..<65: bench.broker.answerNext()
      case 65..<72: if !witness.isJoined, !witness.isJoining { witness.join(resuming: Bool.random(using: &random)) }
      case 72..<74:
        // What it was given before, it reads before it leaves.
        witness.look()
        if witness.isJoined { witness.leave() }
      case 74..<82: bench.stop(witness.client)
      case 82..<90:
        bench.drain(witness.client, again: Bool.random(using: &random))
      case 90: bench.broker.isLosing.toggle()
      case 91: bench.broker.forget()
      case 92..<95: bench.wait(milliseconds: 300)
      default: break
      }
      if Bool.random(using: &random) { for witness in witnesses { witness.look() } }
    }
    bench.broker.isLosing = false
    bench.broker.comeBack()
    for _ in 0..<40 {
      bench.exchangeAll()
      for witness in witnesses {
        bench.drain(witness.client)
        witness.look()
      }
      bench.wait(milliseconds: 300)
      bench.hub.expire()
    }
    for witness in witnesses {
      #expect(witness.complaints.isEmpty, "seed \(seed)")
      guard witness.isJoined, let position = bench.broker.position(of: "r") else { continue }
      #expect(
        witness.position?.offset == Int(position.offset), "seed \(seed): not everything arrived, or was owned up to")
    }
    #expect(bench.hub.lagBytes == 0, "seed \(seed)")
  }

  @Test(
    "says every hole, repeats nothing and keeps the order, whoever stops and goes on and whatever the broker does",
    arguments: [
      RoomRule(slow: .dropOldest, lagBytesMax: 1200), RoomRule(slow: .dropOldest, lagBytesMax: 1 << 20),
      RoomRule(slow: .dropOldest, throttleMilliseconds: 500, lagBytesMax: 1200), RoomRule(throttleMilliseconds: 500),
    ])
  func manySeeds(rule: RoomRule) throws {
    for seed in seeds(100) { try simulate(seed: seed, rule) }
  }
}
