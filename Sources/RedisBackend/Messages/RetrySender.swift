import LoopCore
import Realtime

/// Sends commands that have an id, and sends them again when the connection dies before the answer: the id makes them happen
/// once. Without an id nobody can tell whether a command was carried out.
final class RetrySender {
  private var queue = RetryQueue()
  private var isTimerSet = false
  private let context: BrokerContext

  init(_ context: BrokerContext) { self.context = context }

  /// Sends a command that has an id.
  ///
  /// - Parameters:
  ///   - byteCount: what it counts as while it waits.
  ///   - send: sends it once; its reply is nil when there was no answer.
  func send<Value>(
    byteCount: Int, _ reply: @escaping BrokerReply<Value>,
    _ send: @escaping (@escaping (Result<Value, BrokerError>?) -> Void) -> Void
  ) {
    self.send(
      byteCount + RedisLimits.retryOverheadBytes,
      until: context.loop.now + UInt64(RedisLimits.retryMilliseconds) * 1_000_000, reply, send)
  }

  private func send<Value>(
    _ byteCount: Int, until deadline: UInt64, _ reply: @escaping BrokerReply<Value>,
    _ send: @escaping (@escaping (Result<Value, BrokerError>?) -> Void) -> Void
  ) {
    send { [weak self] answer in
      if let answer { return reply(answer) }
      guard let self, context.isAnswerLost else { return reply(.failure(.unavailable)) }
      let entry = RetryQueue.Entry(
        deadline: deadline, byteCount: byteCount,
        resend: { [weak self] in self?.send(byteCount, until: deadline, reply, send) },
        giveUp: { reply(.failure(.uncertain)) })
      guard queue.append(entry, now: context.loop.now) else { return reply(.failure(.uncertain)) }
      expire(at: deadline)
    }
  }

  /// Sends again what got no answer, oldest first. Called when Redis is back, before anything new is sent, and when the last
  /// publish freeze has ended.
  func resend() {
    guard !context.shards.current.contains(where: \.isPublishFrozen) else { return }
    for entry in queue.takeAll() { entry.resend() }
  }

  /// Answers everything that waits to be sent again: the broker stops.
  func abandon() {
    for entry in queue.takeAll() { entry.giveUp() }
  }

  private func expire(at deadline: UInt64) {
    guard !isTimerSet else { return }
    isTimerSet = true
    let now = context.loop.now
    let wait = deadline > now ? Int((deadline - now) / 1_000_000) + 1 : 1
    context.loop.after(milliseconds: wait) { [weak self] in
      guard let self else { return }
      isTimerSet = false
      for entry in queue.takeExpired(now: context.loop.now) { entry.giveUp() }
      if let next = queue.earliestDeadline { expire(at: next) }
    }
  }
}

@available(*, unavailable)
extension RetrySender: Sendable {}
