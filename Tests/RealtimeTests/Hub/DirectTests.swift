import Testing

@testable import Realtime

@Suite("Hub, messages outside of rooms")
struct DirectTests {
  private func identity(_ user: String, mayDirect: Bool) -> Identity {
    Identity(user: Array(user.utf8), mayDirect: mayDirect)
  }

  private func direct(_ client: Client, _ user: String = "bob") -> Text? {
    client.send(#"{"type":"direct","to":"\#(user)","id":"d"}"#).first
  }

  @Test("lets every client send them, none, or those whose token says so")
  func policy() {
    for (policy, allowed) in [
      (DirectPolicy.everyone, [true, true, true]), (.nobody, [false, false, false]), (.permitted, [true, false, true]),
    ] {
      let bench = HubBench { $0.clientDirects = policy }
      let bob = bench.open("bob")
      // Where no tokens are asked for, nobody can be without a permission.
      let senders = [
        bench.open(identity("ann", mayDirect: true)), bench.open(identity("eve", mayDirect: false)),
        bench.open("guest"),
      ]
      for (sender, isAllowed) in zip(senders, allowed) {
        let answer = direct(sender)
        #expect(answer?.type == (isAllowed ? "ack" : "error"))
        #expect(isAllowed || answer?.string("code") == "forbidden")
        #expect(bob.take().map(\.type) == (isAllowed ? ["direct"] : []))
      }
    }
  }

  @Test("limits what a user is sent by all clients together, and tells the sender; other users get as many again")
  func rate() {
    let bench = HubBench { $0.directsPerSecond = 3 }
    let (ann, eve, bob) = (bench.open("ann"), bench.open("eve"), bench.open("bob"))
    #expect([ann, eve, ann, eve].map { direct($0)?.string("code") } == [nil, nil, nil, "rate_limited"])
    #expect(bob.take().count == 3)
    #expect(direct(eve, "dan")?.type == "ack")
    bench.clock.milliseconds += 1000
    #expect(direct(eve)?.type == "ack")
    #expect(bench.hub.counters.refusals[.directs] == 1)
  }

  @Test("lets nobody's messages be refused for messages to invented names, and forgets all that is full again")
  func receivers() {
    var rates = ReceiverRateLimiters()
    for number in 0..<20_000 { _ = rates.take(for: Array("invented\(number)".utf8), perSecond: 100, at: 5000) }
    let bob = Array("bob".utf8)
    #expect((0..<50).allSatisfy { _ in rates.take(for: bob, perSecond: 100, at: 5000) })
    #expect(!(0..<51).allSatisfy { _ in rates.take(for: bob, perSecond: 100, at: 5000) })
    rates.shrink(at: 6001)
    #expect((0..<100).allSatisfy { _ in rates.take(for: bob, perSecond: 100, at: 6001) })
  }

  @Test("refuses a receiver whose name no user can have")
  func impossible() {
    let bench = HubBench()
    let ann = bench.open("ann")
    #expect(direct(ann, String(repeating: "x", count: 200))?.type == "ack")
    let refusal = direct(ann, String(repeating: "x", count: 201))
    #expect(refusal?.string("code") == "bad_request")
    #expect(refusal?.string("message")?.contains("1 to 200 bytes") == true)
  }

  @Test("drops what a connection cannot take, never closes it, and tells it once how many when it takes more again")
  func dropped() {
    let bench = HubBench()
    let (ann, bob, other) = (bench.open("ann"), bench.open("bob"), bench.open("bob"))
    bench.full = [bob.connection]
    for _ in 0..<5 { _ = direct(ann) }
    ann.send(#"{"type":"broadcast"}"#)
    #expect(bob.take().isEmpty)
    #expect(other.take().count == 6)
    #expect(bench.closes.isEmpty && bench.hub.counters.slowDropped == 6)
    bench.full = []
    bench.hub.canTakeMore(bob.session)
    bench.hub.canTakeMore(bob.session)
    let told = bob.take()
    #expect(told.map(\.type) == ["direct_dropped"])
    #expect(told.first?.int("count") == 6)
    _ = direct(ann)
    #expect(bob.take().map(\.type) == ["direct"])
  }

  @Test("forgets what a connection missed when it closes")
  func closed() {
    let bench = HubBench()
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    bench.full = [bob.connection]
    _ = direct(ann)
    #expect(!bench.hub.personalMessages.isComplete)
    bench.hub.close(bob.session)
    #expect(bench.hub.personalMessages.isComplete)
  }
}
