import Realtime

// How the broker is doing.

extension RedisBroker {
  /// Commands sent since the start, subscriptions included.
  public var commandsTotal: UInt64 {
    masters.all.reduce(0) { $0 + $1.commands.commandsTotal + $1.subscriber.commandsTotal }
  }
  /// How often a connection was made again after it had been lost.
  public var reconnectsTotal: UInt64 {
    masters.all.reduce(0) { $0 + $1.commands.reconnectsTotal + $1.subscriber.reconnectsTotal }
  }
  /// Whether every connection does its work, and every slot is served.
  public var isUp: Bool { isAvailable && isLeaseHeld && masters.areUp }
  public var isWhole: Bool { isUp }
  /// Why clients may not be sent here, as a sentence; nil: they may.
  public var unreadyReason: String? {
    if claim.isTaken { return claim.problem }
    guard !isReady else { return nil }
    return refusal.map { "\($0.what): \($0.advice)" } ?? "Redis is out of reach"
  }
  /// What a Redis that is there refused a moment ago.
  public var refusal: BrokerRefusal? {
    let links = masters.shards.map(\.commands) + masters.shards.map(\.subscriber)
    return links.lazy.compactMap(\.refusal).first?.refusal
  }
  /// Whether clients may be sent here. With a cluster: more than half of the slots are served, so that the death of one
  /// master does not make every node refuse clients.
  public var isReady: Bool {
    masters.isSharded ? isAvailable && masters.servedSlotCount * 2 > HashSlot.count : isUp
  }
}
