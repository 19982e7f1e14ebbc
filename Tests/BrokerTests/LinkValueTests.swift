import ClientProtocol
import Realtime
import Testing

@testable import RedisBackend

/// The pure parts that watch over the connections: what is remembered, tried again, probed and counted.
@Suite struct LinkValueTests {
  /// Lets expectations call what mutates.
  private final class Box<Value> {
    var value: Value
    init(_ value: Value) { self.value = value }
    func callAsFunction<Result>(_ body: (inout Value) -> Result) -> Result { body(&value) }
  }

  // MARK: Rooms

  @Test("lets the lives of a room's keys be refreshed once in their periods, and the log's with the counter's")
  func dues() {
    let cache = Box(RoomCache(metaMilliseconds: 10, logMilliseconds: 1))
    func due(_ room: String, _ milliseconds: Double) -> [Bool] {
      let dues = cache({ $0.publish(in: bytes(room), now: UInt64(milliseconds * 1e6)) })
      return [dues.isMetaDue, dues.isLogDue]
    }
    #expect(due("a", 0) == [true, true])
    #expect(due("a", 0.5) == [false, false])
    #expect(due("b", 0.5) == [true, true])
    #expect(due("a", 1) == [false, true])
    #expect(due("a", 10) == [true, true])
    #expect(cache({ $0.isMetaDue(bytes("a"), now: 11_000_000) }) == false)
    #expect(cache({ $0.isMetaDue(bytes("c"), now: 11_000_000) }) == true)
  }

  @Test("has a room's log cut with every sixteenth publish, and whenever its life is refreshed")
  func trims() {
    let cache = Box(RoomCache(metaMilliseconds: 10, logMilliseconds: 1))
    func isTrimmed(_ milliseconds: UInt64) -> Bool {
      cache({ $0.publish(in: bytes("a"), now: milliseconds * 1_000_000) }).isTrimDue
    }
    #expect(isTrimmed(0))
    for cut in 1...32 { #expect(isTrimmed(0) == (cut % RedisLimits.publishesPerTrim == 0)) }
    #expect(!isTrimmed(0))
    #expect(isTrimmed(1))
    #expect(!isTrimmed(1))
  }

  @Test("remembers a room's epoch while the room is used, and forgets what nobody uses")
  func epochs() throws {
    let cache = Box(RoomCache(metaMilliseconds: 10, logMilliseconds: 1))
    let epoch = try #require(Epoch(0xAB))
    #expect(cache({ $0.publish(in: bytes("a"), now: 0) }).epoch.isEmpty)
    let isOther = cache.value.learn(epoch, of: bytes("a"), isCounting: true)
    let isOtherOfNone = cache.value.learn(epoch, of: bytes("never used"), isCounting: true)
    #expect(!isOther && !isOtherOfNone)
    #expect(cache({ $0.publish(in: bytes("a"), now: 1) }).epoch == bytes("ab"))
    #expect(cache.value.count == 1)
    for n in 0..<100 { _ = cache({ $0.publish(in: bytes("r\(n)"), now: 2) }) }
    for time in [12, 24, 36] as [UInt64] { _ = cache({ $0.publish(in: bytes("a"), now: time * 1_000_000) }) }
    #expect(cache.value.count == 1)
    #expect(cache({ $0.publish(in: bytes("a"), now: 37_000_000) }).epoch == bytes("ab"))
  }

  // MARK: Retries

  @Test("keeps what may be tried again within a time and a number of bytes, and gives it back in order")
  func retries() {
    let queue = Box(RetryQueue())
    var done: [String] = []
    func keep(_ name: String, until deadline: UInt64, _ byteCount: Int = 1, now: UInt64 = 0) -> Bool {
      let entry = RetryQueue.Entry(
        deadline: deadline, byteCount: byteCount, resend: { done.append(name) }, giveUp: { done.append("no " + name) })
      return queue.value.append(entry, now: now)
    }
    #expect(keep("a", until: 10))
    #expect(keep("b", until: 5))
    #expect(!keep("late", until: 5, now: 5))
    #expect(!keep("large", until: 10, RedisLimits.retryBytesMax - 1))
    #expect(keep("c", until: 20, RedisLimits.retryBytesMax - 2))
    #expect(!keep("one too many", until: 10))
    #expect(queue.value.earliestDeadline == 5)
    #expect(queue({ $0.takeExpired(now: 4) }).isEmpty)
    for entry in queue({ $0.takeExpired(now: 5) }) { entry.giveUp() }
    #expect(queue.value.count == 2 && queue.value.byteCount == RedisLimits.retryBytesMax - 1)
    for entry in queue({ $0.takeAll() }) { entry.resend() }
    #expect(done == ["no b", "a", "c"])
    #expect(queue.value.count == 0 && queue.value.byteCount == 0 && queue.value.earliestDeadline == nil)
  }

  // MARK: Probe

  @Test("probes every 2 s, and takes a connection for deaf that brings nothing within 2 s of the publication")
  func probe() {
    let probe = Box(SubscriptionProbe(first: 0))
    #expect(probe({ $0.look() }) == .publish(1))
    // Redis has not answered: the silence is not the subscriber's.
    for _ in 0..<20 { #expect(probe({ $0.look() }) == .none) }
    probe.value.published(1)
    #expect(probe({ $0.received(1) }))
    #expect((0..<4).map { _ in probe({ $0.look() }) } == [.none, .none, .none, .publish(2)])
    probe.value.published(2)
    #expect((0..<5).map { _ in probe({ $0.look() }) } == [.none, .none, .none, .none, .replace])
    #expect(probe({ $0.look() }) == .publish(3))
  }

  @Test("takes a probe that arrives before Redis' answer, and none that is not the last")
  func probeOrder() {
    let probe = Box(SubscriptionProbe(first: 6))
    #expect(!probe({ $0.received(6) }))
    #expect(probe({ $0.look() }) == .publish(7))
    #expect(!probe({ $0.received(6) }))
    #expect(probe({ $0.received(7) }))
    probe.value.published(7)
    #expect(!probe({ $0.received(7) }))
    #expect(probe.value.arrived == 1)
    probe.value.reset()
    #expect(probe.value.arrived == 0)
    #expect(probe({ $0.look() }) == .publish(8))
    probe.value.published(7)
    for _ in 0..<20 { #expect(probe({ $0.look() }) == .none) }
  }

  // MARK: Audit

  @Test("finds a subscription that Redis does not hold, by the number that confirmations carry")
  func audit() {
    let audit = Box(SubscriptionAudit())
    #expect(!audit.value.isIdle)
    audit.value.ask(channels: 2)
    #expect(audit({ $0.confirm(subscribed: true, isAudited: true, count: 1) }))
    #expect(audit({ $0.confirm(subscribed: true, isAudited: false, count: 2) }))
    #expect(audit.value.isIdle)
    audit.value.begin()
    #expect(!audit.value.isIdle)
    #expect(audit({ $0.confirm(subscribed: true, isAudited: true, count: 2) }))
    #expect(audit.value.isIdle)
    // Asked for behind the audit: not yet confirmed when it is answered.
    audit.value.begin()
    audit.value.ask(channels: 1)
    #expect(audit({ $0.confirm(subscribed: true, isAudited: true, count: 2) }))
    #expect(audit({ $0.confirm(subscribed: true, isAudited: false, count: 3) }))
    audit.value.ask(channels: 1)
    #expect(audit({ $0.confirm(subscribed: false, isAudited: false, count: 2) }))
    // A command that never arrived.
    audit.value.ask(channels: 1)
    audit.value.begin()
    #expect(!audit({ $0.confirm(subscribed: true, isAudited: true, count: 2) }))
  }

  @Test("counts a fresh connection as open when everything asked for before the PING is confirmed")
  func opening() {
    let audit = Box(SubscriptionAudit())
    audit.value.ask(channels: 2)
    audit.value.begin()
    audit.value.ask(channels: 1)
    #expect(audit({ $0.confirm(subscribed: true, isAudited: true, count: 1) }))
    #expect(audit({ $0.confirm(subscribed: true, isAudited: false, count: 2) }))
    #expect(audit({ $0.opened() }))
    #expect(audit.value.isIdle)

    let lossy = Box(SubscriptionAudit())
    lossy.value.ask(channels: 2)
    lossy.value.begin()
    #expect(lossy({ $0.confirm(subscribed: true, isAudited: true, count: 1) }))
    #expect(!lossy({ $0.opened() }))
    #expect(!Box(SubscriptionAudit())({ $0.opened() }))
  }

  @Test("notices a channel that Redis has dropped by itself, with the next confirmation of any other")
  func droppedChannel() {
    let audit = Box(SubscriptionAudit())
    audit.value.ask(channels: 3)
    #expect(audit({ $0.confirm(subscribed: true, isAudited: true, count: 1) }))
    #expect(audit({ $0.confirm(subscribed: true, isAudited: false, count: 2) }))
    #expect(!audit({ $0.confirm(subscribed: true, isAudited: false, count: 2) }))
  }
}
