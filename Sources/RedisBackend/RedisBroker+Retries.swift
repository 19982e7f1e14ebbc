import Realtime

// Commands of which the answer was lost with the connection. Under an id they are sent again when Redis is back, and
// done once; without one nobody can tell whether they were done.

extension RedisBroker {
  /// Sends something that has an id, and again when the connection dies before the answer.
  ///
  /// - Parameters:
  ///   - byteCount: what it counts as while it waits.
  ///   - send: sends it once; its reply is nil when there was no answer.
  func sendSurely<Value>(
    byteCount: Int, _ reply: @escaping BrokerReply<Value>,
    _ send: @escaping (@escaping (Result<Value, BrokerError>?) -> Void) -> Void
  ) {
    sendSurely(
      byteCount + RedisLimits.retryOverheadBytes, until: loop.now + UInt64(RedisLimits.retryMilliseconds) * 1_000_000,
      reply, send)
  }

  private func sendSurely<Value>(
    _ byteCount: Int, until deadline: UInt64, _ reply: @escaping BrokerReply<Value>,
    _ send: @escaping (@escaping (Result<Value, BrokerError>?) -> Void) -> Void
  ) {
    send { [weak self] answer in
      if let answer { return reply(answer) }
      guard let self, isAnswerLost else { return reply(.failure(.unavailable)) }
      let entry = RetryQueue.Entry(
        deadline: deadline, byteCount: byteCount,
        resend: { [weak self] in self?.sendSurely(byteCount, until: deadline, reply, send) },
        giveUp: { reply(.failure(.uncertain)) })
      guard retries.append(entry, now: loop.now) else { return reply(.failure(.uncertain)) }
      expireRetries(at: deadline)
    }
  }

  /// Whether a command that got no answer just now may have been carried out. A refusal leaves the broker available; the
  /// death of the connection is told before the pending commands fail.
  var isAnswerLost: Bool { !isAvailable || !masters.areServing }

  /// Why something without an id failed just now.
  var failure: BrokerError { isAnswerLost ? .uncertain : .unavailable }

  /// Sends again what got no answer, oldest first. Called when Redis is back, before anything new is sent, and again when the
  /// last master has ended a hold.
  func resendUncertain() {
    guard !masters.shards.contains(where: \.isPublishFrozen) else { return }
    for entry in retries.takeAll() { entry.resend() }
  }

  /// Answers everything that waits to be sent again: the broker ends.
  func abandonRetries() {
    for entry in retries.takeAll() { entry.giveUp() }
  }

  private func expireRetries(at deadline: UInt64) {
    guard !isRetryTimerSet else { return }
    isRetryTimerSet = true
    let wait = deadline > loop.now ? Int((deadline - loop.now) / 1_000_000) + 1 : 1
    loop.after(milliseconds: wait) { [weak self] in
      guard let self else { return }
      isRetryTimerSet = false
      for entry in retries.takeExpired(now: loop.now) { entry.giveUp() }
      if let next = retries.earliestDeadline { expireRetries(at: next) }
    }
  }
}
