import Testing

@testable import LoopCore

@Suite("Timers and the wheel")
struct TimerTests {
  @Test("fires timers in the order of their deadlines, not before, each once")
  func order() {
    var timers = TimerQueue()
    var fired: [Int] = []
    for deadline in [50, 10, 40, 10, 30] { _ = timers.add(at: UInt64(deadline)) { fired.append(deadline) } }
    #expect(timers.popDue(at: 9) == nil)
    for (now, expected) in [(10, [10, 10]), (39, [10, 10, 30]), (100, [10, 10, 30, 40, 50])] {
      while let action = timers.popDue(at: UInt64(now)) { action() }
      #expect(fired == expected)
    }
    #expect(timers.earliest == nil)
  }

  @Test("does not fire what was cancelled, and takes a late cancel for nothing")
  func cancel() {
    var timers = TimerQueue()
    var fired: [Int] = []
    let ids = (0..<10).map { n in timers.add(at: UInt64(n)) { fired.append(n) } }
    for id in ids where id % 2 == 0 { timers.cancel(id) }
    while let action = timers.popDue(at: 100) { action() }
    #expect(fired.count == 5)
    for id in ids { timers.cancel(id) }
    #expect(timers.popDue(at: 100) == nil)
  }

  @Test("keeps a heap of 2,000 random deadlines in order")
  func heap() {
    var timers = TimerQueue()
    var random = SystemRandomNumberGenerator()
    var fired: [UInt64] = []
    for _ in 0..<2000 {
      let deadline = UInt64.random(in: 0..<500, using: &random)
      _ = timers.add(at: deadline) { fired.append(deadline) }
    }
    for now in 0..<500 { while let action = timers.popDue(at: UInt64(now)) { action() } }
    #expect(fired.count == 2000)
    #expect(fired == fired.sorted())
  }

  @Test("visits an id at the tick that it announced")
  func wheel() {
    var wheel = TimerWheel(slotCount: 8)
    #expect(wheel.schedule(1, in: 1) == 1)
    #expect(wheel.schedule(2, in: 7) == 7)
    #expect(wheel.schedule(3, in: 0) == 1)
    // Further away than a turn: an early visit, at which the visitor schedules again.
    #expect(wheel.schedule(4, in: 100) == 7)
    #expect(wheel.count == 4)
    var visits: [UInt32: [UInt32]] = [:]
    for _ in 0..<8 {
      let due = wheel.advance()
      if !due.isEmpty { visits[wheel.tick] = due }
    }
    #expect(visits == [1: [1, 3], 7: [2, 4]])
    #expect(wheel.count == 0)
  }

  @Test("runs a loop's timers after their time and ticks again when it is asked to")
  func loop() throws {
    let loop = try EventLoop()
    let start = Clock.monotonicNanoseconds()
    var order: [Int] = []
    loop.after(milliseconds: 20) { order.append(20) }
    let cancelled = loop.after(milliseconds: 10) { order.append(10) }
    loop.after(milliseconds: 0) { order.append(0) }
    loop.after(milliseconds: 30) {
      order.append(30)
      loop.stop()
    }
    loop.cancel(cancelled)
    loop.run()
    #expect(order == [0, 20, 30])
    #expect(Clock.monotonicNanoseconds() - start >= 30_000_000)
    loop.tickAgain()
    let before = Clock.monotonicNanoseconds()
    loop.tick(waitMillisecondsMax: 10_000)
    #expect(Clock.monotonicNanoseconds() - before < 5_000_000_000)
  }
}
