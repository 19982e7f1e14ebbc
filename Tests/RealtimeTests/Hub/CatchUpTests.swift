import JSONCore
import Testing

@testable import Realtime

@Suite("Hub, members who catch up")
struct CatchUpTests {
  /// A room with so many messages of a size, and where it began.
  private func fill(_ bench: HubBench, _ count: Int, bytes: Int = 100, room: String = "r") throws -> String {
    let ann = bench.open("ann")
    let epoch = try #require(ann.join(room).first?.string("epoch"))
    let text = String(repeating: "x", count: bytes)
    for n in 1...count { try bench.broker.publishElsewhere(room, "\"n\":\(n),\"text\":\"\(text)\"") }
    _ = ann.take()
    return epoch
  }

  private func since(_ epoch: String, _ offset: Int = 0) -> String { #"{"epoch":"\#(epoch)","offset":\#(offset)}"# }

  private func numbers(_ texts: [Text]) -> [Int] { texts.filter { $0.type == "message" }.compactMap { $0.int("n") } }

  /// Drains a slow client until nothing more comes.
  private func readSlowly(_ bench: HubBench, _ client: Client) -> [Text] {
    var seen: [Text] = []
    while true {
      bench.drainQueue(client)
      let texts = client.take()
      if texts.isEmpty { return seen }
      seen += texts
    }
  }

  @Test("gives a slow client all that it missed, piece by piece, then what came meanwhile, in order")
  func slowResume() throws {
    let bench = HubBench()
    let epoch = try fill(bench, 50)
    let bob = bench.open("bob")
    bench.slowDown(bob)
    var seen = bob.join(since: since(epoch))
    #expect(seen.first?.type == "joined" && seen.first?.json["recovered"]?.asBool == true)
    #expect(seen.first?.int("offset") == 50)
    #expect((1..<10).contains(numbers(seen).count), "as much as there is room for: \(numbers(seen).count)")
    try bench.broker.publishElsewhere("r", #""n":51"#)
    seen += readSlowly(bench, bob)
    try bench.broker.publishElsewhere("r", #""n":52"#)
    seen += readSlowly(bench, bob)
    #expect(numbers(seen) == Array(1...52))
    #expect(!seen.contains { $0.type == "gap" })
  }

  @Test("is read no further while it asks to resume again and again before it is answered, and is answered at last")
  func pile() throws {
    let bench = HubBench()
    bench.queueRoom = 1000
    let epoch = try fill(bench, 40, bytes: 30_000)
    bench.wait(milliseconds: Limits.recoveryCacheMilliseconds + 1000)
    bench.hub.expire()
    let bob = bench.open("bob")
    bench.slowDown(bob)
    for n in 0..<Limits.inFlightMax + 10 {
      bob.send(#"{"type":"join","room":"r","id":"\#(n)","since":\#(since(epoch))}"#)
    }
    #expect(bench.paused.contains(bob.connection))
    let seen = readSlowly(bench, bob)
    #expect(seen.contains { $0.type == "joined" && $0.string("id") == "\(Limits.inFlightMax + 9)" })
    #expect(!bench.paused.contains(bob.connection))
  }

  @Test("reads no further page of history for a client before it has taken the last one")
  func pages() throws {
    let bench = HubBench()
    bench.queueRoom = 1000
    let epoch = try fill(bench, 40, bytes: 30_000)
    // Nothing of it is kept by the node any more.
    bench.wait(milliseconds: Limits.recoveryCacheMilliseconds + 1000)
    bench.hub.expire()
    let bob = bench.open("bob")
    bench.slowDown(bob)
    let before = bench.broker.historyReads
    var seen = bob.join(since: since(epoch))
    #expect(bench.broker.historyReads == before + 1)
    let page = Limits.historyPageBytesMax / 30_000
    #expect(numbers(seen) == Array(1...page))
    #expect(bench.longestQueue < Limits.historyPageBytesMax + 40_000)
    seen += readSlowly(bench, bob)
    #expect(numbers(seen) == Array(1...40))
    #expect(bench.longestQueue < 2 * Limits.historyPageBytesMax)
  }

  @Test("counts a member that catches up as joined: it may publish, is listed, gets notices, and not its own messages")
  func isMember() throws {
    let bench = HubBench()
    let epoch = try fill(bench, 20)
    let bob = bench.open("bob")
    bench.slowDown(bob)
    _ = bob.join(since: since(epoch))
    #expect(bob.send(#"{"type":"message","room":"r","id":"m","n":100}"#).contains { $0.type == "ack" })
    let rooms = bob.send(#"{"type":"request","action":"rooms","id":"q"}"#).first { $0.type == "response" }
    #expect(rooms?.description.contains(#""rooms":["r"]"#) == true)
    _ = bench.open("cho").join()
    let seen = bob.take() + readSlowly(bench, bob)
    #expect(seen.contains { $0.type == "user_joined" && $0.string("user") == "cho" })
    #expect(!numbers(seen).contains(100))
    try bench.broker.publishElsewhere("r", #""n":101"#)
    #expect(numbers(readSlowly(bench, bob)).last == 101)
  }

  @Test("ends with leaving, with the connection, and with a new token that forbids the room")
  func ends() throws {
    let bench = HubBench()
    let epoch = try fill(bench, 20)
    let (bob, cho) = (bench.open("bob"), bench.open("cho"))
    for client in [bob, cho] {
      bench.slowDown(client)
      _ = client.join(since: since(epoch))
    }
    #expect(bob.send(#"{"type":"leave","room":"r"}"#).contains { $0.type == "left" })
    _ = cho.take()
    bench.hub.close(cho.session)
    #expect(numbers(readSlowly(bench, bob)).isEmpty && readSlowly(bench, cho).isEmpty)
    try bench.broker.publishElsewhere("r", #""n":21"#)
    #expect(numbers(readSlowly(bench, bob)).isEmpty)
    // It may come back, and begins where it likes.
    #expect(numbers(bob.join(since: since(epoch, 19)) + readSlowly(bench, bob)) == [20, 21])
  }

  @Test("tells by gap what history has dropped before a slow client came to it")
  func trimmed() throws {
    let bench = HubBench(historySize: 10)
    let epoch = try fill(bench, 10)
    bench.wait(milliseconds: Limits.recoveryCacheMilliseconds + 1000)
    bench.hub.expire()
    let bob = bench.open("bob")
    bench.slowDown(bob)
    // A history that is read in several pages: what the first one left is gone when the second is asked for.
    var seen = bob.join(since: since(epoch))
    let text = String(repeating: "y", count: 400_000)
    for n in 11...40 { try bench.broker.publishElsewhere("r", "\"n\":\(n),\"text\":\"\(text)\"") }
    seen += readSlowly(bench, bob)
    var next = 1
    for text in seen where text.type == "message" || text.type == "gap" {
      if text.type == "gap" { #expect(text.int("from") == next) } else { #expect(text.int("offset") == next) }
      next = (text.int("to") ?? text.int("offset") ?? 0) + 1
    }
    #expect(next == 41)
    #expect(seen.contains { $0.type == "gap" })
  }

  @Test("lets a member that cannot take a backlog read it from history: it loses nothing, and its queue stays short")
  func backlog() throws {
    let bench = HubBench(historySize: 1000)
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    for client in [ann, bob] { client.join() }
    _ = (ann.take(), bob.take())
    bench.slowDown(bob)
    // The node stands still while others publish; then all of it comes at once.
    bench.broker.isQueuing = true
    let text = String(repeating: "x", count: 20_000)
    for n in 1...50 { try bench.broker.publishElsewhere("r", "\"n\":\(n),\"text\":\"\(text)\"") }
    bench.wait(milliseconds: Limits.backlogMilliseconds + 1000)
    bench.broker.isQueuing = false
    while !bench.broker.hearings.isEmpty {
      bench.broker.hearNext()
      bench.settle()
    }
    #expect(numbers(ann.take()) == Array(1...50))
    #expect(bench.longestQueue < 100_000, "\(bench.longestQueue)")
    #expect(numbers(readSlowly(bench, bob)) == Array(1...50))
    try bench.broker.publishElsewhere("r", #""n":51"#)
    #expect(numbers(bob.take() + readSlowly(bench, bob)) == [51])
  }

  @Test("does so after an outage of the broker, across the epoch that begins with it", arguments: [0, 2])
  func outage(losing: Int) throws {
    let bench = HubBench(historySize: 1000)
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    for client in [ann, bob] { client.join() }
    for n in 1...5 { try bench.broker.publishElsewhere("r", "\"n\":\(n)") }
    _ = (ann.take(), bob.take())
    bench.slowDown(bob)
    bench.broker.goAway()
    let text = String(repeating: "x", count: 30_000)
    for n in 6...40 { try bench.broker.publishElsewhere("r", "\"n\":\(n),\"text\":\"\(text)\"") }
    bench.broker.comeBack()
    #expect(numbers(ann.take()) == Array(6...40))
    var seen = bob.take()
    // Still on its way, the next master takes over.
    bench.broker.failOver(losing: losing)
    try bench.broker.publishElsewhere("r", #""n":41"#)
    seen += readSlowly(bench, bob)
    let epochs = seen.filter { $0.type == "joined" }
    #expect(epochs.map { $0.json["recovered"]?.asBool } == [losing == 0])
    #expect(epochs.map { $0.int("offset") } == [40 - losing])
    #expect(numbers(seen) == Array(6...(40 - losing)) + [41])
    #expect(bench.closes.isEmpty)
  }

  @Test("bounds what all rooms keep for clients that resume, and lets them read history instead")
  func cachedBytes() throws {
    let bench = HubBench()
    let text = String(repeating: "x", count: 200_000)
    var epochs: [String] = []
    for room in 0..<12 {
      epochs.append(try fill(bench, 1, room: "r\(room)"))
      let keeper = bench.open("keeper\(room)")
      _ = keeper.join("r\(room)", since: since(epochs[room]))
      for n in 2...40 { try bench.broker.publishElsewhere("r\(room)", "\"n\":\(n),\"text\":\"\(text)\"") }
      _ = keeper.take()
      #expect(bench.hub.recoveryCacheBytes <= Limits.recoveryCacheNodeBytesMax)
    }
    #expect(bench.hub.recoveryCacheBytes > Limits.recoveryCacheNodeBytesMax / 2)
    for room in [0, 11] {
      let texts = bench.open("late\(room)").join("r\(room)", since: since(epochs[room]))
      #expect(numbers(texts) == Array(1...40))
    }
    bench.wait(milliseconds: Limits.recoveryCacheMilliseconds + 1000)
    bench.hub.expire()
    #expect(bench.hub.recoveryCacheBytes == 0)
  }
}

@Suite("Hub, large answers")
struct LargeAnswerTests {
  @Test("answers as much history as 1 MiB holds and says more; asking on from there brings the rest")
  func historyPages() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    ann.join()
    let text = String(repeating: "x", count: 65_000)
    for n in 1...40 { try bench.broker.publishElsewhere("r", "\"n\":\(n),\"text\":\"\(text)\"") }
    _ = ann.take()
    var seen: [Int] = []
    var members = ""
    for _ in 0..<10 {
      let answer = try #require(ann.send(#"{"type":"history","room":"r"\#(members)}"#).first { $0.type == "history" })
      #expect(answer.description.utf8.count < Limits.historyAnswerBytesMax + 1000)
      let messages = answer.json["messages"]?.asArray ?? []
      seen += messages.compactMap { $0["n"]?.asInt }
      guard answer.json["more"]?.asBool == true else { break }
      let (epoch, last) = (answer.string("epoch") ?? "", messages.last?["offset"]?.asInt ?? 0)
      members = #","since":{"epoch":"\#(epoch)","offset":\#(last)}"#
    }
    #expect(seen == Array(1...40))
  }

  @Test("answers presence by name in pages; count is the whole room's; a limit too high is the highest")
  func presencePages() {
    let bench = HubBench()
    let ann = bench.open("ann")
    ann.join()
    for n in 0..<25 { bench.open("user\(10 + n)").join() }
    _ = ann.take()
    func ask(_ members: String) -> Text? {
      ann.send(#"{"type":"presence","room":"r"\#(members)}"#).first { $0.type == "presence" || $0.type == "error" }
    }
    func users(_ answer: Text?) -> [String] {
      answer?.json["members"]?.asArray?.compactMap { $0["user"]?.asString } ?? []
    }
    let whole = ask("")
    #expect(users(whole) == ["ann"] + (10..<35).map { "user\($0)" })
    #expect(whole?.int("count") == 26 && whole?.json["more"] == nil)
    let first = ask(#","limit":10"#)
    #expect(users(first).count == 10 && first?.int("count") == 26 && first?.json["more"]?.asBool == true)
    let last = ask(#","limit":99999999,"after":"\#(users(first).last ?? "")""#)
    #expect(users(first) + users(last) == users(whole))
    #expect(last?.json["more"] == nil && last?.int("count") == 26)
    #expect(users(ask(#","after":"zoe""#)).isEmpty)
    for wrong in [#","after":1"#, #","limit":0"#] { #expect(ask(wrong)?.string("code") == "bad_request") }
  }

  @Test("begins one large read of a connection at a time, when its queue has room; drops them when it closes")
  func oneAtATime() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    ann.join()
    let text = String(repeating: "x", count: 10_000)
    for n in 1...5 { try bench.broker.publishElsewhere("r", "\"n\":\(n),\"text\":\"\(text)\"") }
    _ = ann.take()
    bench.slowDown(ann)
    for n in 0..<250 { ann.post(#"{"type":"history","room":"r","id":"h\#(n)"}"#) }
    #expect(bench.broker.historyReads == 1)
    #expect(ann.take().filter { $0.type == "history" }.count == 1)
    for n in 1..<5 {
      bench.drainQueue(ann)
      #expect(ann.take().compactMap { $0.string("id") } == ["h\(n)"])
    }
    #expect(bench.broker.historyReads == 5)
    bench.hub.close(ann.session)
    bench.settle()
    #expect(bench.broker.historyReads == 5)
    #expect(bench.hub.backPressure.bytesInFlight == 0)
  }

  @Test("charges answers to rate-bytes: a debt delays the next large read, and neither publishing nor the answer")
  func debt() throws {
    let bench = HubBench { $0.bytesPerSecond = 100_000 }
    let ann = bench.open("ann")
    ann.join()
    let text = String(repeating: "x", count: 60_000)
    for n in 1...5 { try bench.broker.publishElsewhere("r", "\"n\":\(n),\"text\":\"\(text)\"") }
    _ = ann.take()
    let ask = #"{"type":"history","room":"r"}"#
    #expect(ann.send(ask).contains { $0.type == "history" })
    ann.post(ask)
    #expect(ann.take().isEmpty)
    #expect(ann.send(#"{"type":"message","room":"r","id":"m"}"#).contains { $0.type == "ack" })
    bench.wait(milliseconds: 1000)
    #expect(ann.take().isEmpty)
    bench.wait(milliseconds: 1500)
    #expect(ann.take().contains { $0.type == "history" })
    #expect(bench.closes.isEmpty && bench.hub.counters.refusals[.bytes] == 0)
  }

  @Test("does not keep back the resumptions of a client that comes back, whatever the first of them brought")
  func resumptionsAreNotDelayed() throws {
    let bench = HubBench { $0.bytesPerSecond = 10_000 }
    var epochs: [String] = []
    let ann = bench.open("ann")
    let text = String(repeating: "x", count: 5000)
    for room in 0..<20 {
      epochs.append(ann.join("r\(room)").first { $0.type == "joined" }?.string("epoch") ?? "")
      for n in 1...3 { try bench.broker.publishElsewhere("r\(room)", "\"n\":\(n),\"text\":\"\(text)\"") }
    }
    let bob = bench.open("bob")
    for room in 0..<20 {
      bob.post(#"{"type":"join","room":"r\#(room)","since":{"epoch":"\#(epochs[room])","offset":0}}"#)
    }
    let seen = bob.take()
    #expect(seen.filter { $0.type == "joined" && $0.json["recovered"]?.asBool == true }.count == 20)
    #expect(seen.filter { $0.type == "message" }.count == 60)
  }

  @Test("reads equal histories that are asked for at once a single time")
  func shared() throws {
    let bench = HubBench()
    let clients = (0..<50).map { bench.open("user\($0)") }
    try bench.broker.publishElsewhere("r", #""n":1"#)
    bench.broker.isQueuing = true
    for client in clients { client.post(#"{"type":"history","room":"r"}"#) }
    #expect(bench.broker.historyReads == 1)
    bench.exchangeAll()
    for client in clients { #expect(client.take().contains { $0.type == "history" }) }
  }
}
