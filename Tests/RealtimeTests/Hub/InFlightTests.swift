import Testing

@testable import Realtime

@Suite("Hub, back-pressure on publishers")
struct InFlightTests {
  @Test("reads no further from a connection with too many publishes unanswered, and again when half are answered")
  func count() {
    let bench = HubBench()
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    for client in [ann, bob] { client.join() }
    bench.broker.isQueuing = true
    for n in 1..<Limits.inFlightMax { ann.post(#"{"type":"message","room":"r","n":\#(n)}"#) }
    #expect(bench.paused.isEmpty)
    ann.post(#"{"type":"message","room":"r","n":0}"#)
    #expect(bench.paused == [ann.connection])
    bob.post(#"{"type":"message","room":"r","n":0}"#)
    #expect(bench.paused == [ann.connection], "others go on")
    for _ in 1..<(Limits.inFlightMax / 2) { bench.broker.answerNext() }
    #expect(bench.paused == [ann.connection])
    bench.broker.answerNext()
    #expect(bench.paused.isEmpty)
    bench.exchangeAll()
    #expect(bob.take().filter { $0.type == "message" }.count == Limits.inFlightMax)
    #expect(bench.hub.backPressure.bytesInFlight == 0)
    #expect(bench.hub.counters.readsPaused == 1)
  }

  @Test("counts bytes, and every kind of operation that the broker answers")
  func bytes() {
    let bench = HubBench()
    let ann = bench.open("ann")
    ann.join()
    bench.broker.isQueuing = true
    let text = String(repeating: "x", count: 60_000)
    for _ in 0..<4 { ann.post(#"{"type":"message","room":"r","text":"\#(text)"}"#) }
    #expect(bench.paused.isEmpty)
    ann.post(#"{"type":"direct","to":"ann","text":"\#(text)"}"#)
    #expect(bench.paused == [ann.connection])
    bench.exchangeAll()
    #expect(bench.paused.isEmpty)
    for kind in ["presence", "history", "join"] {
      for _ in 0..<Limits.inFlightMax { ann.post(#"{"type":"\#(kind)","room":"r"}"#) }
      #expect(bench.paused == [ann.connection], "\(kind)")
      // What is read is answered over several ticks.
      for _ in 0..<100 {
        bench.exchangeAll()
        bench.settle()
      }
      #expect(bench.paused.isEmpty, "\(kind)")
    }
    for _ in 0..<Limits.inFlightMax { ann.post(#"{"type":"broadcast","n":1}"#) }
    #expect(bench.paused == [ann.connection])
    bench.exchangeAll()
    #expect(bench.hub.backPressure.bytesInFlight == 0)
  }

  @Test("reads no further from whoever sends while a room is still being joined, too")
  func postponed() {
    let bench = HubBench()
    let ann = bench.open("ann")
    bench.broker.isQueuing = true
    ann.post(#"{"type":"join","room":"r"}"#)
    let text = String(repeating: "x", count: 60_000)
    for _ in 0..<5 { ann.post(#"{"type":"message","room":"r","text":"\#(text)"}"#) }
    #expect(bench.paused == [ann.connection])
    bench.settle()
    for _ in 0..<20 {
      bench.exchangeAll()
      bench.settle()
    }
    #expect(bench.paused.isEmpty)
    #expect(bench.hub.backPressure.bytesInFlight == 0)
    #expect(bench.broker.position(of: "r")?.offset == 5)
  }

  @Test("stops everyone who publishes when all together wait for too much, and lets all go on at half of it")
  func node() {
    let bench = HubBench()
    let text = String(repeating: "x", count: 120_000)
    bench.broker.isQueuing = false
    let clients = (0..<400).map { bench.open("user\($0)") }
    for client in clients { client.join() }
    bench.broker.isQueuing = true
    for client in clients { client.post(#"{"type":"message","room":"r","text":"\#(text)"}"#) }
    let stopped = bench.paused.count
    #expect(stopped > 0 && stopped < 400, "each alone is far below its own limit")
    #expect(bench.hub.backPressure.bytesInFlight > Limits.nodeInFlightBytesMax)
    while bench.hub.backPressure.bytesInFlight > Limits.nodeInFlightBytesMax / 2 {
      #expect(bench.paused.count == stopped)
      bench.broker.answerNext()
    }
    #expect(bench.paused.isEmpty)
  }

  @Test("forgets a connection that is closed while it waits; the answers that come later free what it took")
  func closes() {
    let bench = HubBench()
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    for client in [ann, bob] { client.join() }
    bench.broker.isQueuing = true
    for _ in 0..<Limits.inFlightMax { ann.post(#"{"type":"message","room":"r"}"#) }
    bob.post(#"{"type":"join","room":"other"}"#)
    bob.post(#"{"type":"message","room":"other"}"#)
    bench.hub.close(ann.session)
    bench.hub.close(bob.session)
    #expect(bench.hub.backPressure.isIdle)
    bench.exchangeAll()
    #expect(bench.hub.backPressure.bytesInFlight == 0)
  }

  @Test("answers unavailable to everything that waits when the broker is lost, and goes on reading")
  func lost() {
    let bench = HubBench()
    let ann = bench.open("ann")
    ann.join()
    bench.broker.isQueuing = true
    bench.broker.goAway()
    for _ in 0..<Limits.inFlightMax { ann.post(#"{"type":"message","room":"r"}"#) }
    #expect(bench.paused == [ann.connection])
    bench.exchangeAll()
    #expect(bench.paused.isEmpty)
    #expect(ann.take().filter { $0.string("code") == "unavailable" }.count == Limits.inFlightMax)
  }
}
