import Realtime

// Rooms heard by the beginning of their names. Redis compares every PUBLISH with every pattern of every node, so a node
// has few of them; one serves all of its members.

extension RedisBroker {
  /// A cluster's sharded channels know no patterns.
  public func subscribe(prefix: [UInt8], _ reply: @escaping BrokerReply<Void>) {
    guard !masters.isSharded else { return reply(.failure(.unsupported)) }
    guard let shard = masters.shards.first, shard.isSubscribed else { return reply(.failure(.unavailable)) }
    if shard.want(pattern: keys.roomPattern(prefix), reply) { reply(.success(())) }
  }

  public func unsubscribe(prefix: [UInt8]) {
    guard !masters.isSharded, let shard = masters.shards.first else { return }
    for waiter in shard.giveUp(pattern: keys.roomPattern(prefix)) { waiter(.failure(.unavailable)) }
  }

  /// Says once that wildcards cannot be joined.
  func patternsRefused(_ error: Reply) {
    if !hasToldRefusal {
      log(
        .warning, "Redis refused PSUBSCRIBE, so wildcards cannot be joined: give its user allchannels (\(error.text))")
    }
    hasToldRefusal = true
  }

  /// Gives what came through a pattern to the listener. Notices come only to those who subscribe a room by its name: so
  /// nobody has them twice.
  func deliverMatched(_ channelPart: Reply, _ payloadPart: Reply) {
    let channel = channelPart.bytes
    guard let shard = masters.shards.first, case .room(let name) = keys.target(of: channel),
      !payloadPart.begins(with: "- ")
    else { return }
    deliver(room: channel.extracting(name), payloadPart.bytes, by: shard)
  }
}
