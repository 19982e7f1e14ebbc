import JSONCore
import Realtime
import Testing
import TimeCore

@testable import Webhooks

/// A clock that a test sets.
private final class Moment { var now = Instant.zero + .seconds(1) }

@Suite("A node's queue of events")
struct EventQueueTests {
  private let moment = Moment()

  private func queue(count: Int = 3, bytes: Int = 1000) -> MemoryEventQueue {
    MemoryEventQueue(countMax: count, bytesMax: bytes, ageMax: .seconds(10)) { [moment] in moment.now }
  }

  private func take(_ queue: MemoryEventQueue, _ delivered: [String] = [], limit: Int = 10) -> RoomEventPage {
    var page: RoomEventPage?
    queue.take(delivered: delivered.map { Array($0.utf8) }, limit: limit) {
      if case .page(let taken) = $0 { page = taken }
    }
    return page!  // Safe because a queue in memory answers at once.
  }

  private func texts(_ page: RoomEventPage) -> [String] { page.events.map { String(decoding: $0, as: UTF8.self) } }

  @Test("gives events in their order until they were delivered")
  func order() {
    let queue = queue()
    for text in ["a", "b", "c"] { queue.append(Array(text.utf8)) }
    #expect(texts(take(queue, limit: 2)) == ["a", "b"])
    #expect(texts(take(queue, limit: 2)) == ["a", "b"])
    #expect(texts(take(queue, ["a", "b"])) == ["c"])
    #expect(take(queue, ["c"]).waiting == 0)
  }

  @Test("drops the oldest events beyond its count and its bytes, but none that is on its way, and counts them")
  func bounds() {
    let queue = queue()
    for text in ["a", "b", "c", "d"] { queue.append(Array(text.utf8)) }
    let page = take(queue, limit: 1)
    #expect(texts(page) == ["b"] && page.waiting == 3 && page.dropped == 1)
    queue.append(Array("e".utf8))
    let next = take(queue, ["b"])
    #expect(texts(next) == ["d", "e"] && next.dropped == 1)
    // All are on their way: the new one goes.
    queue.append(Array("f".utf8))
    _ = take(queue)
    queue.append(Array("g".utf8))
    #expect(take(queue).dropped == 1)
    let small = self.queue(count: 100, bytes: 5)
    for text in ["aa", "bb", "cc"] { small.append(Array(text.utf8)) }
    #expect(texts(take(small)) == ["bb", "cc"])
    small.append(Array("too long".utf8))
    #expect(texts(take(small)).isEmpty == false)
  }

  @Test("keeps the order of everything else, however much is dropped behind what is on its way")
  func manyDrops() {
    let queue = queue(count: 5)
    for n in 1...5 { queue.append(Array("\(n)".utf8)) }
    #expect(texts(take(queue, limit: 2)) == ["1", "2"])
    for n in 6...1000 { queue.append(Array("\(n)".utf8)) }
    #expect(queue.dropped == 995 && queue.count == 5)
    #expect(texts(take(queue, ["1", "2"])) == ["998", "999", "1000"])
    #expect(take(queue, ["998", "999", "1000"]).waiting == 0)
  }

  @Test("drops events that have waited too long")
  func age() {
    let queue = queue()
    queue.append(Array("a".utf8))
    moment.now = moment.now + .seconds(6)
    queue.append(Array("b".utf8))
    let first = take(queue)
    #expect(first.ageMilliseconds == 6000 && first.dropped == 0)
    moment.now = moment.now + .seconds(5)
    let second = take(queue)
    #expect(texts(second) == ["b"] && second.dropped == 1)
  }

  @Test("doubles the pauses up to 30 s, at random between half and all of each")
  func backoff() {
    for random in [0.0, 1.0] {
      var backoff = DeliveryBackoff()
      let pauses = (0..<10).map { _ in backoff.next(random: random).milliseconds }
      let whole = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000, 30_000]
      #expect(pauses == whole.map { random == 0 ? $0 / 2 : $0 })
      backoff.reset()
      #expect(backoff.next(random: 1).milliseconds == 500)
    }
  }
}
