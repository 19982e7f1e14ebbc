import ClientProtocol
import Testing

@testable import Realtime

/// Operations that somebody else decides on, in his own time.
@Suite("Questions about operations")
struct QuestionTests {
  /// A decider that answers when the test says so.
  final class Decider {
    private(set) var open: [(text: String, connection: String, reply: (Decision) -> Void)] = []
    private(set) var asked: [String] = []

    func take(_ question: Question, _ reply: @escaping (Decision) -> Void) {
      func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
      let subject =
        switch question.subject {
        case .join(let room): "join \(text(room))"
        case .message(let room, let members, let isEphemeral):
          "message \(text(room)) \(text(members))\(isEphemeral ? " ephemeral" : "")"
        case .binary(let room, let payload): "binary \(text(room)) \(payload.count)"
        }
      asked.append("\(text(question.client.user)) \(subject)")
      open.append((subject, text(question.client.connection ?? []), reply))
    }

    func answer(_ decision: Decision = .allowed()) { open.removeFirst().reply(decision) }
    func answerAll() { while !open.isEmpty { answer() } }
  }

  private func bench(
    joins: Bool = true, messages: Bool = true, _ change: (inout HubConfiguration) -> Void = { _ in }
  ) -> (HubBench, Decider) {
    let (bench, decider) = (HubBench(change), Decider())
    if joins { bench.hub.deciders.join = decider.take }
    if messages { bench.hub.deciders.message = decider.take }
    return (bench, decider)
  }

  private func types(_ texts: [Text]) -> [String] { texts.map { $0.string("code") ?? $0.type ?? "" } }

  @Test("a join waits for its decision; what is refused or undecided did not happen")
  func joins() {
    let (bench, decider) = bench()
    let ann = bench.open("ann")
    #expect(ann.join("a").isEmpty)
    decider.answer()
    #expect(types(ann.take()) == ["joined"])
    // What is joined is not asked about again, nor is what cannot be.
    #expect(types(ann.join("a")) == ["joined"])
    ann.post(#"{"id":"1","type":"join","room":"b"}"#)
    decider.answer(.refused(reason: "not you"))
    let refusal = ann.take()
    #expect(types(refusal) == ["forbidden"])
    #expect(refusal.first?.string("message") == "not you" && refusal.first?.string("id") == "1")
    ann.join("b")
    decider.answer(.unavailable(reason: "nobody there"))
    #expect(types(ann.take()) == ["unavailable"])
    #expect(types(ann.publish("\"n\":1", in: "b")) == ["not_joined"])
    #expect(decider.asked == ["ann join a", "ann join b", "ann join b"])
  }

  @Test("whatever a client reads of a room that it has not joined is asked about as a join, and wildcards are")
  func reads() {
    let (bench, decider) = bench()
    let ann = bench.open("ann")
    for operation in [#""history","room":"a""#, #""presence","room":"a""#, #""join","room":"chat:*""#] {
      #expect(ann.send(#"{"type":\#(operation)}"#).isEmpty)
      decider.answer(.refused(reason: "no"))
      #expect(types(ann.take()) == ["forbidden"])
    }
    #expect(decider.asked == ["ann join a", "ann join a", "ann join chat:*"])
    ann.send(#"{"type":"join","room":"a","since":{"epoch":"e","offset":3}}"#)
    decider.answer()
    #expect(ann.take().last?.json["recovered"]?.asBool == false)
    #expect(types(ann.send(#"{"type":"history","room":"a"}"#)) == ["history"])
    #expect(decider.open.isEmpty)
  }

  @Test("messages keep their order while they are asked about one by one, and nobody else waits for them")
  func order() {
    let (bench, decider) = bench(joins: false)
    let (ann, bob, eve) = (bench.open("ann"), bench.open("bob"), bench.open("eve"))
    for client in [ann, bob, eve] {
      client.join()
      _ = client.take()
    }
    _ = ann.take()
    _ = bob.take()
    for number in 1...3 { ann.post(#"{"id":"\#(number)","type":"message","room":"r","n":\#(number)}"#) }
    ann.post(#"{"type":"leave","room":"r"}"#)
    ann.post(#"{"type":"ping"}"#)
    #expect(decider.open.map(\.text) == [#"message r {"n":1}"#])
    #expect(types(ann.take()) == ["pong"])
    // Another connection is asked about at once, and may be answered first.
    bob.post(#"{"type":"message","room":"r","n":9}"#)
    #expect(decider.open.count == 2)
    decider.open[1].reply(.allowed())
    #expect(eve.take().compactMap { $0.int("n") } == [9])
    decider.answer()
    decider.answer()
    decider.answer(.refused(reason: "spam"))
    decider.answer()
    #expect(types(ann.take()) == ["message", "ack", "forbidden", "ack", "left"])
    #expect(eve.take().compactMap { $0.int("n") } == [1, 3])
    #expect(bench.hub.questions.waitingCount == 0 && bench.hub.questions.waitingBytes == 0)
  }

  @Test("what waits for a join comes before what was sent after it, whatever is asked meanwhile")
  func postponed() {
    let (bench, decider) = bench()
    let (ann, eve) = (bench.open("ann"), bench.open("eve"))
    for room in ["q", "r"] {
      eve.join(room)
      decider.answerAll()
    }
    ann.join("q")
    decider.answerAll()
    _ = (ann.take(), eve.take())
    bench.broker.isQueuing = true
    ann.post(#"{"type":"join","room":"r"}"#)
    decider.answer()
    ann.post(#"{"type":"message","room":"r","n":1}"#)
    ann.post(#"{"type":"message","room":"q","n":2}"#)
    ann.post(#"{"type":"message","room":"r","n":3}"#)
    #expect(decider.open.map(\.text) == [#"message q {"n":2}"#])
    bench.broker.isQueuing = false
    bench.exchangeAll()
    bench.settle()
    while !decider.open.isEmpty {
      decider.answer()
      bench.exchangeAll()
      bench.settle()
    }
    #expect(decider.asked.suffix(2) == [#"ann message r {"n":1}"#, #"ann message r {"n":3}"#])
    #expect(eve.take().filter { $0.string("room") == "r" }.compactMap { $0.int("n") } == [1, 3])
  }

  @Test("a decision may replace the members of a message, with what may stand in one")
  func replaced() {
    let (bench, decider) = bench(joins: false)
    let (ann, eve) = (bench.open("ann"), bench.open("eve"))
    ann.join()
    eve.join()
    _ = (ann.take(), eve.take())
    ann.publish(#""text":"damn","id":"1""#)
    decider.answer(.allowed(data: Array(#"{"text":"d***", "mod":true}"#.utf8)))
    #expect(eve.take().first?.description.hasSuffix(#""text":"d***", "mod":true}"#) == true)
    _ = ann.take()
    for data in [#"{"user":"root"}"#, "7", #"{"a":"#] {
      ann.publish(#""text":"damn""#)
      decider.answer(.allowed(data: Array(data.utf8)))
      #expect(types(ann.take()) == ["unavailable"])
    }
    let binary: [UInt8] = [1, 1, UInt8(ascii: "r"), 7, 8]
    for decision in [Decision.allowed(data: Array("{}".utf8)), .refused(reason: "no"), .allowed()] {
      bench.hub.receive(binary: binary.span, from: ann.session)
      decider.answer(decision)
    }
    #expect(types(ann.take()) == ["unavailable", "forbidden"])
    #expect(eve.take().isEmpty && bench.binaries[eve.connection]?.count == 1)
    #expect(decider.asked.last == "ann binary r 2")
  }

  @Test("what ends while it is asked about drops the answer, and a second answer is none")
  func ended() {
    let (bench, decider) = bench(joins: false)
    let (ann, eve) = (bench.open("ann"), bench.open("eve"))
    ann.join()
    eve.join()
    _ = (ann.take(), eve.take())
    for number in 1...3 { ann.post(#"{"type":"message","room":"r","n":\#(number)}"#) }
    decider.open[0].reply(.allowed())
    decider.answer()
    #expect(eve.take().compactMap { $0.int("n") } == [1])
    bench.hub.close(ann.session)
    #expect(bench.hub.questions.waitingCount == 0 && bench.hub.questions.waitingBytes == 0)
    decider.answerAll()
    #expect(types(eve.take()) == ["user_left"])
  }

  @Test("a decider may answer at once, however much waits")
  func atOnce() {
    let bench = HubBench()
    bench.hub.deciders.join = { $1(.allowed()) }
    bench.hub.deciders.message = { question, reply in
      if case .message(_, let members, _) = question.subject, members.contains(UInt8(ascii: "3")) {
        return reply(.refused(reason: "3"))
      }
      reply(.allowed())
    }
    let (ann, eve) = (bench.open("ann"), bench.open("eve"))
    eve.join()
    ann.post(#"{"type":"join","room":"r"}"#)
    for number in 1...4 { ann.post(#"{"type":"message","room":"r","n":\#(number)}"#) }
    bench.settle()
    #expect(eve.take().compactMap { $0.int("n") } == [1, 2, 4])
    #expect(!bench.hub.questions.mustWait(ann.session))
  }

  @Test("messages of requests are asked about, those of backends are not, and rates count once")
  func others() throws {
    let (bench, decider) = bench { $0.operationsPerSecond = 5 }
    let eve = bench.open("eve")
    eve.join()
    decider.answer()
    _ = eve.take()
    var answers: [(String, ErrorCode?)] = []
    let caller = RequestCaller(user: Array("bob".utf8), identity: nil, address: Array("127.0.0.1".utf8)) {
      answers.append((String(decoding: $0, as: UTF8.self), $1))
    }
    let text = Array(#"{"type":"message","room":"r","n":1}"#.utf8)
    bench.hub.perform(text.span, by: caller)
    #expect(answers.isEmpty)
    decider.answer(.refused(reason: "no"))
    #expect(answers.first?.1 == .forbidden)
    let data = Array(#"{"n":2}"#.utf8)
    try bench.hub.publish(room: Array("r".utf8), data: data.span, idempotencyKey: nil) { _ in }
    #expect(decider.open.isEmpty && eve.take().compactMap { $0.int("n") } == [2])
    #expect(bench.hub.questions.waitingCount == 0)
  }

  @Test("what one connection has others decide on stops its own reading, and counts for nobody else")
  func pressure() {
    let (bench, decider) = bench(joins: false)
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    ann.join()
    bob.join()
    _ = (ann.take(), bob.take())
    let text = String(repeating: "x", count: 1000)
    for _ in 0..<Limits.inFlightMax { ann.post(#"{"type":"message","room":"r","text":"\#(text)"}"#) }
    #expect(bench.paused == [ann.connection] && bench.hub.backPressure.bytesInFlight == 0)
    // What was read already, and more than that.
    for _ in 0..<1000 { ann.post(#"{"type":"message","room":"r","text":"\#(text)"}"#) }
    let refused = types(ann.take())
    #expect(!refused.isEmpty && refused.allSatisfy { $0 == "rate_limited" })
    #expect(bench.hub.counters.refusals[.questions] == UInt64(refused.count))
    bob.post(#"{"type":"message","room":"r","n":1}"#)
    decider.open.last?.reply(.allowed())
    #expect(ann.take().compactMap { $0.int("n") } == [1])
    decider.answerAll()
    #expect(bench.paused.isEmpty && bench.hub.questions.waitingBytes == 0)
  }

  @Test(
    "a transport that must know first asks about rooms, those aside that are refused anyway, and joins without a question"
  )
  func decided() {
    let (bench, decider) = bench()
    var problems: [ProtocolError?] = []
    let rooms = ["a", "b", "c"].map { Array($0.utf8) }
    let identity = Identity(user: Array("ann".utf8), rooms: RoomGrants([Array("a".utf8), Array("b".utf8)]))
    for decisions in [[Decision.allowed(), .refused(reason: "no")], [.allowed(), .allowed()]] {
      bench.hub.decideJoins(of: rooms, user: identity.user, by: identity) { problems.append($0) }
      #expect(decider.open.map(\.text) == ["join a", "join b"])
      for decision in decisions { decider.answer(decision) }
    }
    #expect(problems == [ProtocolError(.forbidden, "no"), nil])
    let ann = bench.open(identity)
    bench.hub.join(ann.session, room: rooms[0], since: nil)
    #expect(types(ann.take()) == ["joined"] && decider.open.isEmpty)
  }

  @Test("a request that writes into a room is asked about as a join, where nobody is asked about messages")
  func requestWrites() {
    let (bench, decider) = bench(messages: false)
    let eve = bench.open("eve")
    eve.join()
    decider.answer()
    _ = eve.take()
    var answers: [ErrorCode?] = []
    for decision in [Decision.refused(reason: "no"), nil] {
      let caller = RequestCaller(user: Array("bob".utf8), identity: nil, address: Array("127.0.0.1".utf8)) {
        answers.append($1)
      }
      let text = Array(#"{"id":"\#(answers.count)","type":"message","room":"r","n":\#(answers.count)}"#.utf8)
      bench.hub.perform(text.span, by: caller)
      #expect(decider.asked.last == "bob join r")
      if let decision { decider.answer(decision) } else { decider.answer() }
      bench.settle()
    }
    #expect(answers == [.forbidden, nil] && eve.take().compactMap { $0.int("n") } == [1])
  }

  @Test("a request that reads a room is asked about as a join")
  func requestReads() {
    let (bench, decider) = bench(messages: false)
    var answers: [ErrorCode?] = []
    for kind in ["history", "presence", "ping"] {
      let caller = RequestCaller(user: Array("bob".utf8), identity: nil, address: Array("127.0.0.1".utf8)) {
        answers.append($1)
      }
      let text = Array(#"{"type":"\#(kind)","room":"r"}"#.utf8)
      bench.hub.perform(text.span, by: caller)
    }
    #expect(decider.asked == ["bob join r", "bob join r"] && answers == [nil])
    decider.answer(.refused(reason: "no"))
    decider.answer()
    bench.settle()
    #expect(answers == [nil, .forbidden, nil])
  }
}
