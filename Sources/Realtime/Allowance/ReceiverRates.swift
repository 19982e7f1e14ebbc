/// How many direct messages each user may still be sent by way of this node; pure, time comes in.
///
/// Bounded: a user who was sent nothing for a second is forgotten, and beyond the bound all others share one rate.
struct ReceiverRates {
  private var buckets: [[UInt8]: TokenBucket] = [:]
  private var others: TokenBucket?
  private var sweptAt: UInt64 = 0

  /// Users that are counted for themselves.
  var count: Int { buckets.count }

  /// Charges one message to its receiver at `now` milliseconds. Returns false when it has had as many as it may.
  mutating func take(for receiver: [UInt8], perSecond: UInt32, at now: UInt64) -> Bool {
    if var bucket = buckets[receiver], bucket.rate == perSecond {
      let isAllowed = bucket.take(at: now)
      buckets[receiver] = bucket
      return isAllowed
    }
    if buckets.count >= Limits.countedReceiversMax { sweep(at: now) }
    guard buckets.count < Limits.countedReceiversMax else { return takeForOthers(perSecond, at: now) }
    var bucket = TokenBucket(rate: perSecond, now: now)
    let isAllowed = bucket.take(at: now)
    buckets[receiver] = bucket
    return isAllowed
  }

  /// Gives memory back after a crowd has left.
  mutating func shrink(at now: UInt64) {
    buckets = buckets.filter { !$0.value.isFull(at: now) }
  }

  private mutating func takeForOthers(_ perSecond: UInt32, at now: UInt64) -> Bool {
    var bucket = others ?? TokenBucket(rate: perSecond, now: now)
    let isAllowed = bucket.take(at: now)
    others = bucket
    return isAllowed
  }

  /// A bucket fills within a second, so a look at all of them once a second finds all that say nothing.
  private mutating func sweep(at now: UInt64) {
    guard now >= sweptAt + 1000 || now < sweptAt else { return }
    sweptAt = now
    buckets = buckets.filter { !$0.value.isFull(at: now) }
  }
}
