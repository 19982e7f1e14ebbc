import Glibc
import LoopCore
import Realtime
import TestSupport
import Testing
import TimeCore

@testable import Webhooks

/// A queue of several processes that a test watches.
private final class SharedQueue: RoomEventSource {
  let isShared = true
  var events: [String]
  var answer: RoomEventAnswer?
  var calls: [String] = []

  init(_ events: [String]) { self.events = events }

  func take(delivered: [[UInt8]], limit: Int, _ reply: @escaping (RoomEventAnswer) -> Void) {
    let texts = delivered.map { String(decoding: $0, as: UTF8.self) }
    if !texts.isEmpty { calls.append("delivered \(texts.joined(separator: " "))") }
    if let answer { return reply(answer) }
    events.removeAll { texts.contains($0) }
    let page = events.prefix(limit).map { Array($0.utf8) }
    reply(.page(RoomEventPage(events: page, waiting: events.count, ageMilliseconds: 0, dropped: 0)))
  }

  func release() { calls.append("released") }
}

@Suite("The deliverer of events, a real receiver", .serialized)
struct WebhookDelivererTests {
  private let loop: EventLoop
  private let receiver: WebhookReceiver
  private let client: WebhookClient

  init() throws {
    loop = try EventLoop()
    receiver = try WebhookReceiver()
    client = WebhookClient(loop, url: receiver.url, secrets: [Array("s".utf8)], timeout: .seconds(20))
  }

  private func drive(until isSo: () -> Bool) throws {
    let deadline = Deadline(within: 20)
    while !isSo() {
      guard deadline.millisecondsLeft > 0 else { throw TestFailure("the loop did not come that far within 20 s") }
      loop.tick(waitMillisecondsMax: 20)
    }
  }

  private func bodies() -> [String] { receiver.requests().map { String(decoding: $0.body, as: UTF8.self) } }

  @Test("ends after the post that is under way, and reports what that has delivered before it gives the events up")
  func stop() throws {
    defer { loop.close() }
    try receiver.folder.write("stall", [])
    let queue = SharedQueue(["1", "2"])
    let deliverer = WebhookDeliverer(loop, client: client, source: queue, batchMax: 1)
    deliverer.start()
    try drive { receiver.requests().count == 1 }
    var isDone = false
    deliverer.stop { isDone = true }
    for _ in 0..<5 { loop.tick(waitMillisecondsMax: 20) }
    #expect(!isDone && queue.calls.isEmpty)
    unlink(receiver.folder.path("stall"))
    try drive { isDone }
    #expect(queue.calls == ["delivered 1", "released"] && queue.events == ["2"])
    #expect(bodies() == ["1"])
  }

  @Test("posts nothing while another process delivers, and goes on where that one ended")
  func elsewhere() throws {
    defer { loop.close() }
    let queue = SharedQueue(["1", "2", "3"])
    queue.answer = .elsewhere
    let deliverer = WebhookDeliverer(loop, client: client, source: queue, batchMax: 2)
    deliverer.start()
    for _ in 0..<5 { loop.tick(waitMillisecondsMax: 20) }
    #expect(bodies().isEmpty)
    queue.answer = nil
    try drive { queue.events.isEmpty }
    #expect(bodies() == ["[1,2]", "[3]"])
    #expect(deliverer.counters.delivered == 3 && deliverer.counters.failed == 0)
  }

  @Test("keeps what it has delivered in mind while the queue is out of reach")
  func unavailable() throws {
    defer { loop.close() }
    let queue = SharedQueue(["1"])
    let deliverer = WebhookDeliverer(loop, client: client, source: queue, batchMax: 1)
    try receiver.folder.write("stall", [])
    deliverer.start()
    try drive { receiver.requests().count == 1 }
    queue.answer = .unavailable
    unlink(receiver.folder.path("stall"))
    try drive { deliverer.counters.delivered == 1 }
    for _ in 0..<5 { loop.tick(waitMillisecondsMax: 20) }
    queue.answer = nil
    try drive { queue.events.isEmpty }
    #expect(bodies() == ["1"])
  }

  @Test("puts no more than 1 MiB into one post, and an event that is longer alone")
  func longBatches() throws {
    defer { loop.close() }
    let long = String(repeating: "1", count: WebhookLimits.batchBytesMax / 2)
    let queue = SharedQueue([long + "0", long + "1", long + long + "2", "3"])
    let deliverer = WebhookDeliverer(loop, client: client, source: queue, batchMax: 10)
    deliverer.start()
    try drive { queue.events.isEmpty }
    #expect(bodies().map { $0.split(separator: ",").count } == [1, 1, 1, 1])
    #expect(bodies().allSatisfy { $0.hasPrefix("[") && $0.hasSuffix("]") })
  }
}
