import JSONCore
import Testing

@testable import Realtime

@Suite("Hub, messages that are kept nowhere")
struct EphemeralTests {
  private let typing = #"{"type":"message","room":"r","ephemeral":true,"typing":true,"id":"t"}"#

  @Test("reach the members that are there, without an offset, and are acknowledged without one")
  func delivered() throws {
    let bench = HubBench()
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    for client in [ann, bob] { client.join() }
    _ = [ann.take(), bob.take()]
    let ack = ann.send(typing)
    #expect(ack.map(\.description) == [#"{"type":"ack","id":"t","room":"r"}"#])
    let text = try #require(bob.take().first)
    #expect(text.type == "message" && text.string("user") == "ann" && text.json["typing"]?.asBool == true)
    #expect(text.json["offset"] == nil && text.json["ephemeral"] == nil && text.int("ts") != nil)
    #expect(bench.broker.position(of: "r")?.offset == 0)
    ann.publish(#""n":1"#)
    #expect(bob.take().map { $0.int("offset") } == [1])
    #expect(ann.send(#"{"type":"history","room":"r"}"#).first?.json["messages"]?.asArray?.count == 1)
  }

  @Test("come in order with the others, and to the sender with echo")
  func ordered() {
    let bench = HubBench()
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    for client in [ann, bob] { client.join() }
    _ = [ann.take(), bob.take()]
    ann.post(#"{"type":"message","room":"r","n":1}"#)
    ann.post(#"{"type":"message","room":"r","ephemeral":true,"echo":true,"n":2}"#)
    ann.post(#"{"type":"message","room":"r","n":3}"#)
    #expect(bob.take().map { $0.int("n") } == [1, 2, 3])
    #expect(ann.take().map { $0.int("n") } == [2])
  }

  @Test("are nothing that a reader who falls behind is kept, or told that it missed")
  func lost() {
    let rule = RoomRule(slow: .dropOldest)
    let bench = HubBench { $0.rules = RoomRules([(match: RoomGlob(Array("r".utf8)), rule: rule)]) }
    let (ann, slow) = (bench.open("ann"), bench.open("slow"))
    for client in [ann, slow] { client.join() }
    bench.stop(slow)
    ann.publish(#""n":1"#)
    ann.send(typing)
    ann.publish(#""n":2"#)
    _ = slow.take()
    bench.drain(slow)
    #expect(slow.take().map { $0.int("n") } == [2])
  }

  @Test(
    "are refused where the sender may not publish, while the broker is away, and with another value than true or false")
  func refused() {
    let bench = HubBench()
    let ann = bench.open("ann")
    #expect(ann.send(typing).first?.string("code") == "not_joined")
    ann.join()
    let wrong = ann.send(#"{"type":"message","room":"r","ephemeral":1}"#).first
    #expect(wrong?.string("code") == "bad_request" && wrong?.string("message") == "ephemeral must be true or false")
    bench.broker.goAway()
    _ = ann.take()
    #expect(ann.send(typing).first?.string("code") == "unavailable")
  }
}
