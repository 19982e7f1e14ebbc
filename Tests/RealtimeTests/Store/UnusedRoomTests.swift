import Testing

@testable import Realtime

@Suite("Rooms of the embedded broker that nobody spoke in")
struct UnusedRoomTests {
  private final class Clock { var now: UInt64 = 1_000_000 }

  @Test("reading makes no room, and one that was left without a message goes after a minute")
  func lives() throws {
    let clock = Clock()
    let broker = EmbeddedBroker(
      nodeID: Array("n1".utf8), historySize: 10, historyMilliseconds: 300_000, clock: { clock.now })
    let room = Array("r".utf8)
    for _ in 0..<100 {
      broker.position(room: room) { _ in }
      broker.history(room: room, .newest(limit: 5)) { _ in }
      broker.members(room: room, after: nil, limit: 10) { _ in }
    }
    #expect(broker.roomCount == 0)
    let member = Member(
      name: Array("n1-1".utf8), node: Array("n1".utf8), user: Array("ann".utf8), transport: .websocket, address: [],
      since: 1, info: nil)
    // Names that are joined and left again and again are looked at once.
    for _ in 0..<100 {
      broker.subscribe(room: room) { _ in }
      broker.enter(room: room, member) { _ in }
      broker.leave(room: room, member, graceMilliseconds: 0)
      broker.unsubscribe(room: room)
    }
    #expect(broker.roomCount == 1)
    clock.now += 59_000
    broker.expire()
    #expect(broker.roomCount == 1)
    clock.now += 1_001
    broker.expire()
    #expect(broker.roomCount == 0)
    // Whoever is in it, or has spoken in it, keeps it.
    broker.subscribe(room: room) { _ in }
    broker.enter(room: room, member) { _ in }
    clock.now += 200_000
    broker.expire()
    #expect(broker.roomCount == 1)
    broker.leave(room: room, member, graceMilliseconds: 0)
    broker.publish(RoomMessage(room: room, envelope: [1], dedupe: nil)) { _ in }
    broker.unsubscribe(room: room)
    clock.now += 200_000
    broker.expire()
    #expect(broker.roomCount == 1)
  }
}
