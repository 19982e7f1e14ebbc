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
      bench.broker.members(room: Array("r".utf8), after: nil, limit: 100) { result in
        names = ((try? result.get())?.members ?? []).map { String(decoding: $0.user, as: UTF8.self) }.sorted()
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

  @Test("keeps the rooms in which a drain has left members, so that the broker finds them there")
  func lingering() {
    let bench = HubBench()
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    ann.join("stays")
    bob.join("goes")
    bench.hub.close(bob.session)
    bench.wait(milliseconds: Limits.roomLingerMilliseconds + 1)
    bench.hub.expire()
    #expect(bench.broker.subscribed == [Array("stays".utf8)])
    bench.hub.isHandingOver = true
    bench.hub.close(ann.session)
    bench.wait(milliseconds: 10 * Limits.roomLingerMilliseconds)
    bench.hub.expire()
    #expect(bench.broker.subscribed == [Array("stays".utf8)])
  }

  @Test("knows who is here and in which room, but counts whoever was handed over as present")
  func isHere() throws {
    let bench = HubBench { $0.rules = RoomRules([(RoomGlob(Array("quiet".utf8)), RoomRule(hasPresence: false))]) }
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    for client in [ann, bob] { client.join() }
    ann.join("quiet")
    let names = [ann, bob].map { bench.hub.name(of: $0.session) }
    func isHere(_ name: [UInt8], in room: String?) -> Bool {
      bench.hub.isHere(name.span, in: room.map { Array($0.utf8) })
    }
    #expect(isHere(names[0], in: nil) && isHere(names[0], in: "r"))
    #expect(!isHere(names[0], in: "elsewhere") && !isHere(names[0], in: "quiet"))
    #expect(!isHere(Array("n1-zz".utf8), in: nil) && !isHere(Array("n2-1".utf8), in: nil))
    ann.send(#"{"type":"leave","room":"r"}"#)
    bench.hub.close(bob.session)
    #expect(isHere(names[0], in: nil) && !isHere(names[0], in: "r"))
    #expect(!isHere(names[1], in: nil) && !isHere(names[1], in: "r"))
    // The place of one that has gone is another's now, under another name.
    let cid = bench.open("cid")
    cid.join()
    #expect(!isHere(names[1], in: "r"))
    bench.hub.isHandingOver = true
    bench.hub.close(cid.session)
    #expect(isHere(bench.hub.name(of: cid.session), in: "r"))
  }
}
