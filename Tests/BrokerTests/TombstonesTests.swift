import Realtime
import Testing

@testable import RedisBackend

@Suite("Tombstones")
struct RecentDeparturesTests {
  private let window = UInt64(RedisLimits.tombstoneMilliseconds) * 1_000_000

  private func departure(_ number: Int) -> OfflineQueue.Entry {
    let member = Member(
      name: bytes("n1-\(number)"), node: bytes("n1"), user: bytes("u\(number)"), transport: .websocket, address: [],
      since: 0, info: nil)
    return number % 2 == 0 ? .leave(room: bytes("r"), member) : .disconnect(member)
  }

  private func users(_ entries: [OfflineQueue.Entry]) -> [String] {
    entries.compactMap { entry in
      switch entry {
      case .leave(_, let member), .disconnect(let member): String(decoding: member.user, as: UTF8.self)
      case .connect, .delist: nil
      }
    }
  }

  @Test("gives those that fit, in their order, and keeps the others")
  func take() {
    var departures = Tombstones()
    for number in 0..<6 { departures.append(departure(number), now: 0) }
    let left = departures.take(now: 1) { if case .leave = $0 { true } else { false } }
    #expect(users(left) == ["u0", "u2", "u4"])
    #expect(users(departures.take(now: 2) { _ in true }) == ["u1", "u3", "u5"])
    #expect(departures.count == 0)
  }

  @Test("forgets after its time, and the oldest when there are too many")
  func bounds() {
    var departures = Tombstones()
    for number in 0..<10 { departures.append(departure(number), now: UInt64(number)) }
    departures.expire(window + 5)
    #expect(departures.count == 5)
    #expect(users(departures.take(now: window + 6) { _ in true }) == ["u6", "u7", "u8", "u9"])
    let most = RedisLimits.tombstonesMax
    for number in 0..<(most + 3) { departures.append(departure(number), now: window) }
    #expect(departures.count == most)
    #expect(users(departures.take(now: window) { _ in true }).first == "u3")
  }
}
