import ClientProtocol
import JSONCore
import Randomness
import Testing

@testable import Realtime

/// A client that polls a room, and checks that every offset comes once and in order.
private final class Poller {
  let bench: HubBench
  let identity: Identity?
  private(set) var position: Position?
  private(set) var numbers: [Int] = []
  private(set) var complaints: [String] = []
  private(set) var answers: [PollAnswer] = []
  private(set) var refusals: [ErrorCode] = []
  private(set) var waiter: PollWaiter?

  init(_ bench: HubBench, _ identity: Identity? = nil) {
    self.bench = bench
    self.identity = identity
  }

  var isWaiting: Bool { waiter.map { !$0.isDone } ?? false }

  func poll(waits: Bool = true) {
    guard !isWaiting else { return }
    let caller = RequestCaller(
      user: Array("eve".utf8), identity: identity, address: Array("127.0.0.1".utf8)
    ) { _, _ in }
    let since = position
    let waiter = PollWaiter(room: Array("r".utf8), since: since, waits: waits, by: caller) { [weak self] outcome in
      self?.take(outcome, since)
    }
    self.waiter = waiter
    bench.hub.poll(waiter)
  }

  /// Goes on after an answer that the client has lost.
  func leave() {
    if let waiter { bench.hub.cancel(waiter) }
    waiter = nil
  }

  func endWait() { if let waiter { bench.hub.endWait(waiter) } }

  private func take(_ outcome: PollWaiter.Outcome, _ since: Position?) {
    switch outcome {
    case .refused(let code, _): refusals.append(code)
    case .answer(let answer):
      answers.append(answer)
      let text = Text(answer.json)
      let messages = text.json["messages"]?.asArray ?? []
      let offsets = messages.map { UInt64($0["offset"]?.asInt ?? 0) }
      if let since, answer.isRecovered {
        let expected = since.offset < answer.position.offset ? Array((since.offset + 1)...answer.position.offset) : []
        if offsets != expected || answer.position.offset < since.offset { complaints.append("\(since): \(text)") }
      } else if !offsets.isEmpty {
        complaints.append("messages without recovery: \(text)")
      }
      numbers += messages.compactMap { $0["n"]?.asInt }
      position = answer.position
    }
  }
}

@Suite("Polls without a session")
struct PollTests {
  @Test("one answer serves all that wait at one place, and the wait ends with an empty one")
  func shared() {
    let bench = HubBench()
    let (ann, pollers) = (bench.open("ann"), (0..<5).map { _ in Poller(bench) })
    for poller in pollers { poller.poll() }
    ann.join()
    for poller in pollers { poller.poll() }
    #expect(bench.hub.polls.waitingCount == 5)
    pollers[4].endWait()
    #expect(pollers[4].answers.count == 2 && pollers[4].numbers == [])
    ann.publish("\"n\":1")
    #expect(pollers.map(\.numbers) == [[1], [1], [1], [1], []])
    #expect(pollers[1...3].allSatisfy { $0.answers.last === pollers[0].answers.last })
    pollers[4].poll()
    #expect(pollers[4].answers.last === pollers[0].answers.last)
    #expect(bench.hub.polls.waitingCount == 0 && pollers.allSatisfy { $0.complaints.isEmpty })
  }

  @Test("a room that only polls ask for is kept while they do, and let go some time after")
  func lifetime() {
    let bench = HubBench()
    let poller = Poller(bench)
    poller.poll()
    poller.poll()
    #expect(bench.hub.context.rooms.count == 1)
    for _ in 0..<60 {
      bench.wait(milliseconds: 1000)
      bench.hub.expire()
    }
    #expect(bench.hub.context.rooms.count == 1 && poller.isWaiting)
    poller.leave()
    for _ in 0..<20 {
      bench.wait(milliseconds: 1000)
      bench.hub.expire()
    }
    #expect(bench.hub.context.rooms.count == 0 && bench.hub.polls.waitingCount == 0)
    // A short poll leaves nothing: history has all that it asks for.
    poller.poll(waits: false)
    #expect(bench.hub.context.rooms.count == 0 && poller.answers.count == 2)
  }

  @Test("a message that came while an answer was on its way comes with the next poll, from memory")
  func between() throws {
    let bench = HubBench()
    let (ann, poller) = (bench.open("ann"), Poller(bench))
    poller.poll()
    ann.join()
    for n in 1...3 { ann.publish("\"n\":\(n)") }
    poller.poll()
    #expect(poller.numbers == [1, 2, 3])
    ann.publish("\"n\":4")
    bench.broker.goAway()
    poller.poll()
    #expect(poller.numbers == [1, 2, 3, 4])
    poller.poll()
    #expect(poller.isWaiting)
    bench.broker.comeBack()
    bench.settle()
    ann.publish("\"n\":5")
    #expect(poller.numbers == [1, 2, 3, 4, 5] && poller.complaints.isEmpty)
  }

  @Test("what the broker cannot answer is refused, and no poll is left waiting for it")
  func refused() {
    let bench = HubBench()
    bench.broker.goAway()
    let poller = Poller(bench)
    for _ in 0..<2 { poller.poll() }
    #expect(poller.refusals == [.unavailable, .unavailable] && bench.hub.polls.waitingCount == 0)
    bench.broker.comeBack()
    poller.poll()
    #expect(poller.position != nil)
  }

  @Test("rates of reading hold for polls as for sessions, and are the user's")
  func rates() {
    let bench = HubBench { $0.operationsPerSecond = 3 }
    let poller = Poller(bench)
    for _ in 0..<5 { poller.poll(waits: false) }
    #expect(poller.refusals == [.rateLimited, .rateLimited])
    let slow = HubBench {
      $0.bytesPerSecond = 1000
      $0.messageBytesMax = 1000
    }
    let (ann, reader) = (slow.open("ann"), Poller(slow))
    reader.poll()
    ann.join()
    for n in 1...8 {
      ann.publish("\"n\":\(n),\"text\":\"\(String(repeating: "x", count: 300))\"")
      slow.wait(milliseconds: 1000)
    }
    reader.poll(waits: false)
    reader.poll(waits: false)
    #expect(reader.numbers.count == 8 && reader.refusals == [.rateLimited])
    slow.wait(milliseconds: 5000)
    reader.poll(waits: false)
    #expect(reader.refusals.count == 1)
  }

  @Test("a room that was known by way of a wildcard stays when the wildcard ends")
  func wildcardEnds() {
    let bench = HubBench()
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    bob.join("r*")
    _ = try? bench.broker.publishElsewhere("r", #""n":1"#)
    bench.settle()
    let poller = Poller(bench)
    poller.poll()
    poller.poll()
    bench.hub.close(bob.session)
    for _ in 0..<5 {
      bench.wait(milliseconds: 1000)
      bench.hub.expire()
    }
    ann.join("other")
    _ = try? bench.broker.publishElsewhere("r", #""n":2"#)
    bench.settle()
    #expect(poller.numbers == [2] && poller.complaints.isEmpty)
  }

  @Test("a token that has expired meanwhile gets nothing")
  func expired() {
    let bench = HubBench()
    let (ann, now) = (bench.open("ann"), bench.clock.wall)
    let poller = Poller(bench, Identity(user: Array("eve".utf8), expiresAt: now + 5000))
    poller.poll()
    ann.join()
    poller.poll()
    bench.wait(milliseconds: 6000)
    ann.publish("\"n\":1")
    #expect(poller.refusals == [.unauthenticated] && poller.numbers == [])
  }

  @Test("through outages, failovers and lost rooms a poller gets each offset once, in order, or is not recovered")
  func simulation() throws {
    for seed in seeds(150) {
      var generator = SeededGenerator(seed: seed)
      let bench = HubBench(historySize: 8)
      let ann = bench.open("ann")
      let pollers = (0..<4).map { _ in Poller(bench) }
      bench.broker.isQueuing = true
      ann.post(#"{"type":"join","room":"r"}"#)
      var number = 0
      for _ in 0..<200 {
        step(bench, ann, pollers, &number, &generator)
        if Bool.random(using: &generator) { bench.settle() }
      }
      // Peace: the broker says that it is whole, as it does after every outage.
      bench.broker.comeBack()
      for _ in 0..<20 {
        bench.exchangeAll { bench.settle() }
        bench.settle()
        bench.wait(milliseconds: 1000)
        bench.hub.expire()
        for poller in pollers { poller.poll() }
      }
      bench.exchangeAll { bench.settle() }
      for poller in pollers {
        #expect(poller.complaints.isEmpty, "seed \(seed): \(poller.complaints)")
        // In peace everybody waits where the room is.
        let isThere = poller.position?.offset == bench.broker.position(of: "r")?.offset
        #expect(poller.isWaiting && isThere, "seed \(seed)")
        poller.leave()
      }
      #expect(bench.hub.polls.waitingCount == 0, "seed \(seed)")
    }
  }

  private func step(
    _ bench: HubBench, _ ann: Client, _ pollers: [Poller], _ number: inout Int, _ generator: inout SeededGenerator
  ) {
    let poller = pollers[Int.random(in: 0..<pollers.count, using: &generator)]
    switch Int.random(in: 0..<40, using: &generator) {
    case 0..<10:
      number += 1
      if Bool.random(using: &generator) {
        ann.post(#"{"type":"message","room":"r","n":\#(number)}"#)
      } else {
        _ = try? bench.broker.publishElsewhere("r", #""n":\#(number)"#)
      }
    case 10..<18: poller.poll(waits: Bool.random(using: &generator))
    case 18..<20: poller.endWait()
    case 20: poller.leave()
    case 21..<30: bench.broker.answerNext()
    case 30..<37: bench.broker.hearNext()
    case 37: if bench.broker.isAvailable { bench.broker.goAway() } else { bench.broker.comeBack() }
    case 38: if bench.broker.isAvailable { bench.broker.failOver(losing: Int.random(in: 0...2, using: &generator)) }
    default:
      bench.wait(milliseconds: 1000)
      bench.hub.expire()
    }
  }
}
