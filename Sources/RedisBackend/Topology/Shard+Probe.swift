import JSONCore
import Realtime

// The health check of subscriptions. A subscribed connection may be open, and even answer, and bring nothing; only the receiver
// can tell. So a node publishes a number to itself on one connection and waits for it on the other.

extension Shard {
  /// Publishes to itself on a channel that this master holds; nil: it holds no such channel.
  func listen(toProbe channel: [UInt8]?) {
    guard channel != probeChannel else { return }
    if let probeChannel { _ = giveUp(probeChannel) }
    probeChannel = channel
    isMarked = false
    probe.reset()
    audit.changeChannel()
    if let channel { _ = want(channel, nil) }
  }

  /// Sends the next probe when it is due, and replaces the subscribed connection when the last one did not arrive.
  func look() {
    guard isServing, isConfirmed else { return }
    guard let probeChannel else { return subscriptionProved() }
    switch probe.look() {
    case .none: break
    case .publish(let number):
      publish(probe: number, on: probeChannel)
      if isSharded { leaveMark(probeChannel) }
    case .replace:
      replaceSubscriber("what is published does not arrive within \(RedisLimits.silenceMilliseconds) ms")
    }
  }

  private func publish(probe number: UInt64, on channel: [UInt8]) {
    let answer: PendingReplies.Handler = { [weak self] answer in
      guard let self else { return }
      // Not sent, or its connection died: the next look begins anew.
      guard let answer else { return probe.reset() }
      guard answer.isError else { return probe.published(number) }
      // The probe's own slot is on its way to another master.
      guard Redirect(answer, askedOf: commands.endpoint) == nil else { return probe.reset() }
      commands.fail(RedisLink.refusal(of: isSharded ? "SPUBLISH" : "PUBLISH", answer))
    }
    commands.request(answer) { writer in
      writer.command(parts: 3)
      if isSharded { writer.bulk("SPUBLISH") } else { writer.bulk("PUBLISH") }
      writer.bulk(channel)
      writer.bulk(Int(number))
    }
  }

  /// Writes the node's mark, and reads whether it was still there: FLUSHALL on one master of a cluster closes no connection,
  /// and the leases may be on another.
  private func leaveMark(_ probeChannel: [UInt8]) {
    let answer: PendingReplies.Handler = { [weak self] previous in
      guard let self, let previous, !previous.isError, probeChannel == self.probeChannel else { return }
      if isMarked, previous.kind == .null { coordinator?.flushed(self) }
      isMarked = true
    }
    commands.request(answer) { writer in
      writer.command(parts: 6)
      writer.bulk("SET")
      writer.bulk(keys.mark(of: probeChannel))
      writer.bulk("")
      writer.bulk("PX")
      writer.bulk(RedisLimits.markMilliseconds)
      // Redis 6.2, which every Redis with sharded channels is.
      writer.bulk("GET")
    }
  }

  /// Takes what was published on the probe's channel.
  func probeArrived(_ payload: Span<UInt8>) {
    guard let number = JSONNumber.unsigned(payload), probe.received(number) else { return }
    subscriptionProved()
    guard probe.arrived % RedisLimits.probesPerAudit == 0 else { return }
    guard audit.isIdle else { return replaceSubscriber("it confirms no subscription any more") }
    sendAudit()
  }

  /// Subscribes to a channel that is subscribed already: nothing changes, and the confirmation carries the number of
  /// channels after all commands before.
  private func sendAudit() {
    guard let probeChannel else { return }
    audit.begin()
    sendSubscriber(.subscribe, [probeChannel])
  }

  /// Takes a confirmation. Returns false, and replaces the connection, when Redis does not hold what it was asked for.
  func isAsAsked(_ channel: [UInt8], subscribed: Bool, count: Int) -> Bool {
    if audit.confirm(subscribed: subscribed, isAudited: channel == probeChannel, count: count) { return true }
    replaceUnsound(count)
    return false
  }

  /// Replaces a connection for which Redis holds something else than it was asked for.
  func replaceUnsound(_ count: Int) {
    replaceSubscriber("it holds \(count) subscriptions, which is not what it was asked for")
  }

  func replaceSubscriber(_ reason: String) {
    subscriptionStallsTotal += 1
    subscriber.fail(reason)
  }
}
