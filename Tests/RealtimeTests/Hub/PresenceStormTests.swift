import Testing

@testable import Realtime

@Suite("Users who come and go as fast as they can")
struct PresenceStormTests {
  private let bench = HubBench()

  /// Joins and leaves so often.
  private func flap(_ client: Client, _ times: Int) {
    for _ in 0..<times {
      client.send(#"{"type":"join","room":"r"}"#)
      client.send(#"{"type":"leave","room":"r"}"#)
    }
  }

  private func notices(_ texts: [Text]) -> [Text] {
    texts.filter { $0.type == "user_joined" || $0.type == "user_left" }
  }

  @Test("one of them costs the members a bounded number of notices, then one update in each interval")
  func oneUser() {
    let (observer, hostile, other) = (bench.open("observer"), bench.open("hostile"), bench.open("other"))
    observer.send(#"{"type":"join","room":"r"}"#)
    bench.wait(milliseconds: 1000)
    flap(hostile, 500)
    let texts = observer.take()
    #expect(notices(texts).count == 2 * Limits.presenceUserNoticesMax)
    #expect(texts.count { $0.type == "presence_update" } == 1)

    // Another one's coming waits for the interval too, with what has changed meanwhile.
    other.send(#"{"type":"join","room":"r"}"#)
    #expect(observer.take().isEmpty)
    bench.wait(milliseconds: 1000)
    let update = observer.take()
    #expect(update.map(\.type) == ["presence_update"])
    #expect(update.first?.json["joined"]?.asArray?.compactMap(\.asString) == ["other"])
    #expect(update.first?.json["left"]?.asArray?.compactMap(\.asString) == ["hostile"])
    #expect(update.first?.int("count") == 2)

    hostile.send(#"{"type":"join","room":"r"}"#)
    #expect(observer.take().map(\.type) == ["user_joined"])
    hostile.send(#"{"type":"leave","room":"r"}"#)
    #expect(observer.take().map(\.type) == ["user_left"])
  }

  @Test("many of them cost no more than a room of the largest size that is told one by one")
  func manyUsers() {
    let observer = bench.open("observer")
    observer.send(#"{"type":"join","room":"r"}"#)
    bench.wait(milliseconds: 1000)
    let hostile = (0..<60).map { bench.open("hostile\($0)") }
    for _ in 0..<20 { for client in hostile { flap(client, 1) } }
    #expect(notices(observer.take()).count == Limits.presenceNoticesMax)
    bench.wait(milliseconds: 1000)
    let update = observer.take()
    #expect(update.map(\.type) == ["presence_update"])
    #expect(update.first?.int("count") == 1)
  }
}
