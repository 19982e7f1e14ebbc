import Realtime
import TimeCore

// Status and metrics.

extension RedisBroker {
  /// Whether every connection does its work, and every slot is served.
  public var isUp: Bool { context.isUp }

  /// Why clients may not be sent here, as a sentence; nil: they may.
  public var unreadyReason: String? {
    if let conflict = membership.conflict { return conflict }
    guard !isReady else { return nil }
    return refusal.map { "\($0.what): \($0.advice)" } ?? "Redis is out of reach"
  }

  /// Whether clients may be sent here. With a cluster: more than half of the slots are served, so that the death of one
  /// master does not make every node refuse clients.
  public var isReady: Bool {
    let shards = context.shards
    return shards.isSharded ? context.isAvailable && shards.servedSlotCount * 2 > HashSlot.count : isUp
  }

  /// Milliseconds since anything came from Redis; nil: nothing ever did.
  public var silenceMilliseconds: Int? {
    let last = context.shards.all.map { max($0.commands.receivedAt, $0.subscriber.receivedAt) }.max() ?? 0
    return last > 0 ? Int((context.loop.now &- last) / 1_000_000) : nil
  }

  /// Commands sent since the start, subscriptions included.
  public var commandsTotal: UInt64 {
    context.shards.all.reduce(0) { $0 + $1.commands.commandsTotal + $1.subscriber.commandsTotal }
  }

  /// From a command to its reply, of the masters' connections for commands.
  public var roundTrips: DurationHistogram {
    var sum = DurationHistogram(bounds: DurationHistogram.answerBounds)
    for shard in context.shards.all { sum.add(shard.commands.roundTrips) }
    return sum
  }

  /// How often a connection was made again after it had been lost.
  public var reconnectsTotal: UInt64 {
    context.shards.all.reduce(0) { $0 + $1.commands.reconnectsTotal + $1.subscriber.reconnectsTotal }
  }

  /// How often a subscribed connection was replaced because it brought nothing, or not all that it should.
  public var deafSubscriptionsTotal: UInt64 { context.shards.all.reduce(0) { $0 + $1.subscriptionStallsTotal } }

  /// Ids of messages that Redis forgot before their time, because more came than `dedupe-memory` holds; about, and those
  /// that this node noticed only.
  public var dedupeForgottenTotal: UInt64 { ids.forgottenTotal }
}
