import ClientProtocol
import Testing

@testable import Realtime

/// Connections that somebody else decides on, in his own time.
@Suite("Questions about connections")
struct ConnectQuestionTests {
  private final class Decider {
    private(set) var open: [(question: ConnectQuestion, reply: (ConnectDecision) -> Void)] = []
    func take(_ question: ConnectQuestion, _ reply: @escaping (ConnectDecision) -> Void) {
      open.append((question, reply))
    }
    func answer(_ decision: ConnectDecision) { open.removeFirst().reply(decision) }
  }

  private func bench(tokens: Bool = false) -> (HubBench, Decider) {
    let (bench, decider) = (HubBench { $0.authTimeoutMilliseconds = 10_000 }, Decider())
    bench.hub.deciders.connect = decider.take
    if tokens {
      bench.hub.judgeToken = { token, conclude in
        let text = String(decoding: token, as: UTF8.self)
        conclude(
          text == "bad"
            ? .refused(reason: "it is bad") : .accepted(Identity(user: token, rooms: RoomGrants([Array("a:*".utf8)]))))
      }
    }
    return (bench, decider)
  }

  private func types(_ texts: [Text]) -> [String] { texts.map { $0.string("code") ?? $0.type ?? "" } }

  private func grant(_ change: (inout ConnectGrant) -> Void = { _ in }) -> ConnectDecision {
    var grant = ConnectGrant()
    change(&grant)
    return .allowed(grant)
  }

  @Test("a connection without a token gets its user from the decision, and what it sent meanwhile is done then")
  func user() {
    let (bench, decider) = bench()
    let ann = bench.arrive(token: "t")
    let welcome = ann.take()
    #expect(types(welcome) == ["welcome"] && welcome.first?.string("user") == nil)
    #expect(ann.join("r").isEmpty)
    #expect(types(ann.send(#"{"type":"auth","token":"t"}"#)) == ["rate_limited"])
    #expect(decider.open.count == 1 && decider.open[0].question.token == Array("t".utf8))
    #expect(decider.open[0].question.identity == nil && decider.open[0].question.connection != nil)
    decider.answer(
      grant {
        $0.user = Array("ann".utf8)
        $0.info = Array("7".utf8)
        $0.rooms = RoomGrants([Array("r".utf8)])
        $0.expiresAt = bench.clock.milliseconds + 30_000
      })
    #expect(types(ann.take()) == ["auth_success", "joined"])
    #expect(types(ann.join("other")) == ["forbidden"])
    #expect(types(ann.send(#"{"type":"broadcast","n":1}"#)) == ["forbidden"])
    bench.clock.milliseconds += 11_000
    bench.hub.expire()
    #expect(types(ann.take()) == ["token_expires"])
    bench.clock.milliseconds += 20_000
    bench.hub.expire()
    #expect(types(ann.take()) == ["auth_failed"] && bench.closes[ann.connection] == 4401)
  }

  @Test("a token that comes later is asked about in its user's name, prolongs what was decided, and is nobody else's")
  func renewal() {
    let (bench, decider) = bench()
    let ann = bench.arrive(token: "t")
    func decide(_ user: String, _ seconds: UInt64) {
      decider.answer(
        grant {
          $0.user = Array(user.utf8)
          $0.expiresAt = bench.clock.milliseconds + seconds * 1000
        })
    }
    decide("ann", 30)
    _ = ann.take()
    #expect(ann.send(#"{"id":"1","type":"auth","token":"t2"}"#).isEmpty)
    #expect(decider.open.first?.question.token == Array("t2".utf8))
    #expect(decider.open.first?.question.identity?.user == Array("ann".utf8))
    decide("ann", 90)
    #expect(types(ann.take()) == ["auth_success"])
    bench.clock.milliseconds += 31_000
    bench.hub.expire()
    #expect(ann.take().isEmpty && bench.closes[ann.connection] == nil)
    _ = ann.send(#"{"id":"2","type":"auth","token":"t3"}"#)
    decide("bob", 90)
    #expect(types(ann.take()) == ["auth_failed"] && bench.closes[ann.connection] == 4401)
  }

  @Test("a refused connection is closed with 4401 and the reason, an undecided one with 1013")
  func refused() {
    let (bench, decider) = bench()
    let cases: [(ConnectDecision, String, UInt16)] = [
      (.refused(reason: "not you"), "auth_failed", 4401), (.unavailable(reason: "away"), "unavailable", 1013),
      // Nobody knows who it is.
      (grant(), "unavailable", 1013),
      (
        grant {
          $0.user = Array("ann".utf8)
          $0.expiresAt = 1
        }, "auth_failed", 4401
      ),
    ]
    for (decision, type, code) in cases {
      let client = bench.arrive()
      decider.answer(decision)
      #expect(types(client.take()) == ["welcome", type] && bench.closes[client.connection] == code)
    }
  }

  @Test("an undecided connection is closed when its time to authenticate is over, and a later decision changes nothing")
  func late() {
    let (bench, decider) = bench()
    let ann = bench.arrive()
    bench.clock.milliseconds += 10_000
    bench.hub.expire()
    #expect(types(ann.take()) == ["welcome", "unavailable"] && bench.closes[ann.connection] == 1013)
    decider.answer(grant { $0.user = Array("ann".utf8) })
    #expect(ann.take().isEmpty)
    let bob = bench.arrive()
    bench.hub.close(bob.session)
    decider.answer(grant { $0.user = Array("bob".utf8) })
    #expect(bench.hub.authentication.isIdle)
  }

  @Test("a believed name is asked about, and keeps all its rights unless the decision says otherwise")
  func believed() {
    let (bench, decider) = bench()
    let ann = bench.open("ann")
    #expect(decider.open.first?.question.identity?.user == Array("ann".utf8))
    #expect(ann.send(#"{"id":"1","type":"broadcast","n":1}"#).isEmpty)
    decider.answer(grant())
    #expect(types(ann.take()) == ["auth_success", "ack"])
    let bob = bench.open("bob")
    decider.answer(grant { $0.permissions = .init(mayBroadcast: false, mayDirect: true) })
    #expect(types(bob.send(#"{"type":"broadcast","n":1}"#)) == ["auth_success", "forbidden"])
  }

  @Test("a token is judged first; later tokens are held to the decision, and not asked about")
  func tokens() {
    let (bench, decider) = bench(tokens: true)
    let bad = bench.arrive(token: "bad")
    #expect(types(bad.take()) == ["welcome", "auth_failed"] && decider.open.isEmpty)
    let ann = bench.arrive()
    #expect(types(ann.take()) == ["welcome"] && decider.open.isEmpty)
    ann.post(#"{"type":"auth","token":"ann"}"#)
    #expect(decider.open.first?.question.identity?.user == Array("ann".utf8))
    #expect(decider.open.first?.question.token == nil)
    decider.answer(grant { $0.rooms = RoomGrants([Array("b".utf8)]) })
    #expect(types(ann.take()) == ["auth_success"])
    #expect(types(ann.join("b")) == ["joined"] && types(ann.join("a:1")) == ["forbidden"])
    #expect(types(ann.send(#"{"type":"auth","token":"ann"}"#)) == ["auth_success"] && decider.open.isEmpty)
    #expect(types(ann.join("a:1")) == ["forbidden"])
  }

  @Test("a later token of a connection that was decided on before it began gives no more than that")
  func heldTo() {
    let (bench, decider) = bench(tokens: true)
    let ann = bench.open(
      Identity(user: Array("ann".utf8), rooms: RoomGrants([Array("b".utf8)]), expiresAt: bench.clock.wall + 60_000))
    ann.post(#"{"type":"auth","token":"ann"}"#)
    #expect(types(ann.take()) == ["auth_success"] && decider.open.isEmpty)
    #expect(types(ann.join("a:1")) == ["forbidden"] && types(ann.join("b")) == ["joined"])
    bench.clock.milliseconds += 60_000
    bench.hub.expire()
    #expect(bench.closes[ann.connection] == 4401)
  }

  @Test("a revoked user is refused, whoever allowed it")
  func revoked() {
    let (bench, decider) = bench()
    bench.hub.revoke(.user(Array("ann".utf8), issuedUntil: bench.clock.milliseconds), forMilliseconds: 60_000) { _ in }
    let ann = bench.arrive()
    decider.answer(grant { $0.user = Array("ann".utf8) })
    #expect(types(ann.take()) == ["welcome", "auth_failed"])
    var verdicts = 0
    bench.hub.decideConnect(
      ConnectQuestion(transport: .sse, address: Array("127.0.0.1".utf8), identity: nil, headers: [])
    ) { if case .refused = $0 { verdicts += 1 } }
    decider.answer(grant { $0.user = Array("ann".utf8) })
    #expect(verdicts == 1)
  }
}
