import JSONCore
import Realtime

// Whether the subscribed connection brings what is published. A connection may stand, and even answer, and bring nothing;
// nobody but the end can tell. So a node publishes a number to itself on one connection and waits for it on the other.

extension RedisBroker {
  /// Looks at the subscription from now on.
  func watchSubscription() {
    loop.after(milliseconds: RedisLimits.watchMilliseconds) { [weak self] in
      guard let self, !isStopping else { return }
      lookAtSubscription()
      watchSubscription()
    }
  }

  /// Sends the next probe when it is due, and replaces the subscribed connection when the last one did not arrive.
  func lookAtSubscription() {
    guard isAvailable, isConfirmed else { return }
    switch probe.look() {
    case .none: break
    case .publish(let number): publishProbe(number)
    case .replace:
      replaceSubscriber("what is published does not arrive within \(RedisLimits.silenceMilliseconds) ms")
    }
  }

  private func publishProbe(_ number: UInt64) {
    let answer: PendingReplies.Handler = { [weak self] answer in
      guard let self else { return }
      // Not sent, or its connection died: the next look begins anew.
      guard let answer else { return probe.reset() }
      if answer.isError { return commands.fail("PUBLISH was refused: \(answer.text)") }
      probe.published(number)
    }
    commands.request(answer) { writer in
      writer.command(parts: 3)
      writer.bulk("PUBLISH")
      writer.bulk(probeChannel)
      writer.bulk(Int(number))
    }
  }

  /// Takes what was published on the probe's channel.
  func heardProbe(_ payload: Span<UInt8>) {
    guard let number = JSONNumber.unsigned(payload), probe.heard(number) else { return }
    subscriptionProved()
    guard probe.arrived % RedisLimits.probesPerAudit == 0 else { return }
    guard audit.isIdle else { return replaceSubscriber("it confirms no subscription any more") }
    sendAudit()
  }

  /// Subscribes to a channel that is subscribed already: nothing changes, and the confirmation carries the number of
  /// channels behind all that was asked before.
  private func sendAudit() {
    audit.begin()
    subscriber.tell { writer in
      writer.command(parts: 2)
      writer.bulk("SUBSCRIBE")
      writer.bulk(keys.everyone)
    }
  }

  /// Takes a confirmation. Returns false, and replaces the connection, when Redis does not hold what it was asked for.
  func isAsAsked(_ channel: [UInt8], subscribed: Bool, count: Int) -> Bool {
    if audit.confirm(subscribed: subscribed, isAudited: channel == keys.everyone, count: count) { return true }
    replaceUnsound(count)
    return false
  }

  /// Replaces a connection for which Redis holds something else than it was asked for.
  func replaceUnsound(_ count: Int) {
    replaceSubscriber("it holds \(count) subscriptions, which is not what it was asked for")
  }

  func replaceSubscriber(_ reason: String) {
    deafSubscriptionsTotal += 1
    subscriber.fail(reason)
  }
}
