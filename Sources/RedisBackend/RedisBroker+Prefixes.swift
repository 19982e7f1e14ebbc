import Realtime

// Rooms heard by the beginning of their names. Redis compares every PUBLISH with every pattern of every node, so a node
// has few of them; one serves all of its members.

extension RedisBroker {
  public func subscribe(prefix: [UInt8], _ reply: @escaping BrokerReply<Void>) {
    guard isSubscribed else { return reply(.failure(.unavailable)) }
    if patterns.want(keys.roomPattern(prefix), reply) { return reply(.success(())) }
    subscriber.wake()
  }

  public func unsubscribe(prefix: [UInt8]) {
    for waiter in patterns.giveUp(keys.roomPattern(prefix)) { waiter(.failure(.unavailable)) }
    subscriber.wake()
  }

  /// A refused subscription makes the link useless, except for patterns that were never heard: an ACL user who may
  /// subscribe every channel of the prefix may still lack the right to patterns, which Redis compares letter by letter.
  func refused(_ error: Reply) {
    guard error.begins(with: "NOPERM"), let waiters = patterns.refused() else {
      return subscriber.fail(RedisLink.refusal(of: "SUBSCRIBE", error))
    }
    if !hasToldRefusal {
      log(
        .warning, "Redis refused PSUBSCRIBE, so wildcards cannot be joined: give its user allchannels (\(error.text))")
    }
    hasToldRefusal = true
    for waiter in waiters { waiter(.failure(.unsupported)) }
  }

  /// Gives what came through a pattern to the listener. Notices come only to those who subscribe a room by its name: so
  /// nobody has them twice.
  func deliverMatched(_ channelPart: Reply, _ payloadPart: Reply) {
    let channel = channelPart.bytes
    guard case .room(let name) = keys.target(of: channel), !payloadPart.begins(with: "- ") else { return }
    deliver(room: channel.extracting(name), payloadPart.bytes)
  }
}
