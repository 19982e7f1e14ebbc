import Testing

@testable import RedisBackend

@Suite("Liveness of a link, simulated")
struct LivenessTests {
  private static let looksToDeath = RedisLimits.silenceMilliseconds / RedisLimits.watchMilliseconds

  @Test("takes a link for dead after the silence that is allowed and not before, whatever came earlier (2,000 seeds)")
  func manySeeds() {
    let start = UInt64.random(in: 0..<1_000_000)
    for seed in start..<(start + 2000) {
      var random = SeededGenerator(seed: seed)
      var liveness = Liveness()
      /// Looks in a row at which an answer was owed at the look before too, and nothing was heard in between.
      var unanswered = 0
      var wasOwing = false
      for _ in 0..<100 {
        let isHeard = Int.random(in: 0..<4, using: &random) == 0
        let owes = Int.random(in: 0..<3, using: &random) > 0
        if isHeard { liveness.heard() }
        unanswered = isHeard || !owes || !wasOwing ? 0 : unanswered + 1
        wasOwing = owes
        let isDead = liveness.look(owes: owes) == .dead
        #expect(isDead == (unanswered >= LivenessTests.looksToDeath), "seed \(seed)")
        if isDead {
          liveness = Liveness()
          (unanswered, wasOwing) = (0, false)
        }
      }
    }
  }

  @Test("asks a link that was quiet and owes nothing, and takes nobody for dead who owes nothing")
  func quiet() {
    var liveness = Liveness()
    let verdicts = (0..<20).map { _ in liveness.look(owes: false) }
    #expect(verdicts.contains(.quiet) && !verdicts.contains(.dead))
  }
}

@Suite("Rooms whose keys are due to be refreshed")
struct RefreshLedgerTests {
  @Test("says each room once in a period, and every room again in the next")
  func periods() {
    var ledger = RefreshLedger(milliseconds: 1000)
    let rooms = (0..<50).map { bytes("r\($0)") }
    for period in 1...5 {
      let now = UInt64(period) * 2_000_000_000
      #expect(rooms.allSatisfy { room in ledger.isDue(room, now: now) })
      #expect(!rooms.contains { room in ledger.isDue(room, now: now + 999_000_000) })
    }
  }

  @Test("forgets all rooms beyond its limit, so that one more refresh is the worst that happens")
  func overflow() {
    var ledger = RefreshLedger(milliseconds: 60_000)
    for number in 0..<RedisLimits.refreshedRoomsMax { _ = ledger.isDue(bytes("r\(number)"), now: 1) }
    let isDueAgain = ledger.isDue(bytes("r0"), now: 2)
    let isDueTwice = ledger.isDue(bytes("r0"), now: 3)
    #expect(isDueAgain && !isDueTwice)
  }
}
