import Testing

@testable import Realtime

@Suite("Hub, handing members over")
struct HubHandOverTests {
  @Test("leaves members in presence whose sessions end while it hands over, but not who leaves a room")
  func handOver() throws {
    let bench = HubBench()
    let clients = ["ann", "bob", "cid", "dan"].map { bench.open($0) }
    for client in clients { client.join() }
    func present() -> [String] {
      var names: [String] = []
      bench.broker.members(room: Array("r".utf8)) { result in
        names = ((try? result.get()) ?? []).map { String(decoding: $0.user, as: UTF8.self) }.sorted()
      }
      return names
    }
    bench.hub.close(clients[0].session)
    #expect(present() == ["bob", "cid", "dan"])
    #expect(bench.hub.handedOver == 0)
    bench.hub.isHandingOver = true
    clients[1].send(#"{"type":"leave","room":"r"}"#)
    #expect(present() == ["cid", "dan"])
    for client in clients { _ = client.take() }
    bench.hub.close(clients[2].session)
    bench.hub.close(clients[2].session)
    #expect(present() == ["cid", "dan"])
    #expect(bench.hub.handedOver == 1)
    #expect(!clients[3].take().contains { $0.type == "user_left" })
    // A session that has ended hears nothing more.
    clients[3].publish(#""echo":true,"n":1"#)
    #expect(clients[2].take().isEmpty)
  }
}
