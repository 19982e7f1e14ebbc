import LoopCore
import Realtime

/// The queue of events of the cluster, which one process delivers: the one that has the lease.
final class RoomEventQueue: RoomEventSource {
  let isShared = true
  private let context: BrokerContext
  private let policy: RoomEventPolicy
  /// Names this process in the lease: the node's id and 64 random bits.
  private let process: [UInt8]
  private var isReleased = false

  /// Nil where no events are recorded.
  init?(_ context: BrokerContext) {
    guard let policy = context.configuration.roomEvents else { return nil }
    self.context = context
    self.policy = policy
    process = context.node + Array("-\(UInt64.random(in: 0 ... .max))".utf8)
  }

  func take(delivered: [[UInt8]], limit: Int, _ reply: @escaping (RoomEventAnswer) -> Void) {
    guard !isReleased else { return reply(.elsewhere) }
    run(delivered: delivered, leaseMilliseconds: RedisLimits.eventsLeaseMilliseconds, limit: limit, reply)
  }

  func release() {
    isReleased = true
    run(delivered: [], leaseMilliseconds: 0, limit: 0) { _ in }
  }

  private func run(
    delivered: [[UInt8]], leaseMilliseconds: Int, limit: Int, _ reply: @escaping (RoomEventAnswer) -> Void
  ) {
    guard context.isAvailable else { return reply(.unavailable) }
    let answer: ScriptRunner.Handler = { answer in
      guard let answer, !answer.isError else { return reply(.unavailable) }
      guard answer.count == 4 else { return reply(.elsewhere) }
      let events = answer[3]
      reply(
        .page(
          RoomEventPage(
            events: (0..<events.count).map { events[$0].copy }, waiting: answer[1].integer,
            ageMilliseconds: answer[2].integer, dropped: answer[0].integer)))
    }
    let age = policy.ageMillisecondsMax
    context.scripts.run(.eventsTake, keys: 2, parts: 6 + delivered.count, answer) {
      [keys = context.keys, process] writer in
      writer.bulk(keys.events)
      writer.bulk(keys.eventsLease)
      writer.bulk(process)
      writer.bulk(leaseMilliseconds)
      writer.bulk(age)
      writer.bulk(limit)
      for event in delivered { writer.bulk(event) }
    }
  }
}

@available(*, unavailable)
extension RoomEventQueue: Sendable {}
