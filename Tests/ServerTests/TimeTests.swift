import LoopCore
import Testing
import TimeCore

@Suite("Instants and intervals")
struct TimeTests {
  @Test("add, subtract and compare, whatever unit they were made of")
  func arithmetic() {
    #expect(Interval.seconds(2) == .milliseconds(2000) && Interval.seconds(1) > .milliseconds(999))
    #expect(Interval.milliseconds(1999).seconds == 1 && Interval(nanoseconds: 1_999_999).milliseconds == 1)
    #expect(Interval.seconds(1) - .milliseconds(1) == .milliseconds(999))
    #expect(Interval.milliseconds(250) * 4 == .seconds(1) && Interval.seconds(1) / 4 == .milliseconds(250))
    #expect(Interval.seconds(10) / Interval.milliseconds(250) as Int == 40)
    #expect(Interval.milliseconds(500) / Interval.seconds(1) as Double == 0.5)
    let (early, late) = (Instant(nanoseconds: 5), Instant(nanoseconds: 5) + .seconds(3))
    #expect(early < late && late - early == .seconds(3) && early - late == .zero - .seconds(3))
    #expect(late + (early - late) == early && late.milliseconds == 3000)
  }

  @Test("are those of the loop: a timer runs after its interval")
  func timers() throws {
    let loop = try EventLoop()
    let start = Clock.instant()
    loop.after(.milliseconds(30)) { loop.stop() }
    loop.run()
    #expect(Clock.instant() - start >= .milliseconds(30) && loop.instant >= start)
    loop.close()
  }
}
