import ClientProtocol
import Testing

@testable import Realtime

/// Operations that requests bring for sessions.
@Suite("Operations of a session by request")
struct RequestAnswerTests {
  private final class Answers {
    var all: [(text: Text, code: ErrorCode?)] = []
    var types: [String?] { all.map(\.text.type) }
  }

  private func perform(_ text: String, of client: Client, by user: String? = nil, _ answers: Answers) {
    let bytes = Array(text.utf8)
    let hub = client.bench.hub
    hub.perform(
      bytes.span, forConnection: hub.name(of: client.session), by: user.map { Array($0.utf8) }
    ) { answers.all.append((Text($0), $1)) }
  }

  @Test("answers the request once, and has joined and left go down the connection before what follows from them")
  func order() throws {
    let bench = HubBench()
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    bob.join()
    let answers = Answers()
    perform(#"{"type":"join","room":"r","id":"j"}"#, of: ann, answers)
    // It waits for the join, in its place.
    perform(#"{"type":"message","room":"r","id":"m","n":1}"#, of: ann, answers)
    bob.publish(#""n":2"#)
    let seen = ann.take()
    #expect(answers.types == ["joined", "ack"])
    #expect(answers.all.map { $0.text.string("id") } == ["j", "m"] && answers.all.allSatisfy { $0.code == nil })
    let own = seen.filter { $0.type == "joined" || $0.type == "message" }
    #expect(own.first?.type == "joined" && own.first?.string("id") == nil)
    #expect(own.dropFirst().allSatisfy { $0.int("n") == 2 })
    perform(#"{"type":"leave","room":"r"}"#, of: ann, answers)
    #expect(ann.take().map(\.type) == ["left"] && answers.types.last == "left")
    #expect(bench.hub.context.requestAnswers.count == 0)
  }

  @Test("answers errors to the request, and nothing to the connection")
  func errors() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    let answers = Answers()
    for text in [
      "nonsense", #"{"type":"x","id":"1"}"#, #"{"type":"join","room":""}"#, #"{"type":"state","room":"q","state":1}"#,
    ] {
      perform(text, of: ann, answers)
    }
    perform(#"{"type":"ping"}"#, of: ann, by: "another", answers)
    #expect(ann.take().isEmpty)
    #expect(answers.all.map(\.code) == [.badRequest, .unknownType, .badRoom, .notJoined, .forbidden])
    bench.hub.close(ann.session)
    perform(#"{"type":"ping"}"#, of: ann, answers)
    #expect(answers.all.last?.code == .notFound && bench.hub.context.requestAnswers.count == 0)
  }

  @Test("answers what a session which ends has not been answered")
  func ended() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    bench.broker.isQueuing = true
    let answers = Answers()
    perform(#"{"type":"join","room":"r","id":"j"}"#, of: ann, answers)
    perform(#"{"type":"history","room":"r"}"#, of: ann, answers)
    #expect(answers.all.isEmpty)
    bench.hub.close(ann.session)
    #expect(answers.all.map(\.code) == [.notFound, .notFound])
    bench.exchangeAll()
    #expect(answers.all.count == 2 && bench.hub.context.requestAnswers.count == 0)
  }

  @Test("needs no join for a message, and keeps to the token's grants")
  func grants() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    let answers = Answers()
    perform(#"{"type":"message","room":"elsewhere","n":1}"#, of: ann, answers)
    perform(#"{"type":"message","room":"else*","n":1}"#, of: ann, answers)
    #expect(ann.take().isEmpty && answers.all.map(\.code) == [nil, .badRoom])
  }
}
