import Glibc
import TestSupport
import Testing

/// Real nodes and a real Redis under seeded faults, judged by what every client saw.
///
/// `make faults` runs it for FAULT_SECONDS, one seed after the other from SEED on; in a run of all tests a short life of each
/// topology must do. The seed chooses the topology, so that seeds in a row have all of them.
@Suite("Faults, a cluster treated badly", .serialized)
struct FaultTests {
  private static func number(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }
  private static let isLong = number("FAULT_SECONDS") != nil

  /// Milliseconds of faults in one life of a cluster.
  private static let shortMilliseconds = 7_000
  private static let longMilliseconds = 30_000

  private func live(seed: UInt64, milliseconds: Int) throws -> Tally {
    let run = try FaultRun(seed: seed, milliseconds: milliseconds)
    let report = Report(run: run, violations: try run.perform())
    print(report.summary)
    if !report.violations.isEmpty { Issue.record(Comment(rawValue: report.story)) }
    return report.tally
  }

  @Test(
    "loses nothing unsaid, repeats nothing, keeps one order and exact presence", .disabled(if: isLong),
    arguments: [4, 5, 6, 7])
  func short(seed: UInt64) throws {
    let tally = try live(seed: seed, milliseconds: FaultTests.shortMilliseconds)
    #expect(tally.acked > 50 && tally.delivered > tally.acked)
  }

  @Test("keeps its promises for FAULT_SECONDS", .enabled(if: isLong))
  func long() throws {
    let deadline = Deadline(within: Double(FaultTests.number("FAULT_SECONDS") ?? 0))
    var seed = FaultTests.number("SEED") ?? UInt64.random(in: 1...1_000_000)
    var sum = Tally()
    repeat {
      do {
        sum += try live(seed: seed, milliseconds: FaultTests.longMilliseconds)
      } catch {
        Issue.record("seed \(seed): \(error)")
        sum.failedSeeds.append(seed)
      }
      seed += 1
    } while deadline.millisecondsLeft > 0
    print("\(sum.seeds) seeds: \(sum)\n\(sum.table)")
    #expect(sum.acked > 0)
  }
}
