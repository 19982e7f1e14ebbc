import Randomness
import Testing

@testable import RedisBackend

@Suite("Liveness of a link, simulated")
struct LivenessTests {
  private static let looksToDeath = RedisLimits.silenceMilliseconds / RedisLimits.watchMilliseconds

  @Test("takes a link for dead after the silence that is allowed and not before, whatever came earlier (2,000 seeds)")
  func manySeeds() {
    for seed in seeds(2000) {
      var random = SeededGenerator(seed: seed)
      var liveness = Liveness()
      /// Looks in a row at which an answer was owed at the look before too, and nothing was heard in between.
      var unanswered = 0
      var wasOwing = false
      for _ in 0..<100 {
        let isHeard = Int.random(in: 0..<4, using: &random) == 0
        let owes = Int.random(in: 0..<3, using: &random) > 0
        if isHeard { liveness.received() }
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

  @Test("takes nobody for dead who owes nothing, however long nothing is said")
  func quiet() {
    var liveness = Liveness()
    let verdicts = (0..<20).map { _ in liveness.look(owes: false) }
    #expect(verdicts.allSatisfy { $0 == .alive })
  }
}
