import Glibc

/// Says what a run came to: one line when all is well, the whole story when not.
struct Report {
  let run: FaultRun
  let violations: [Violation]

  private var records: [Record] { run.chronicle.records }

  private func count(_ fits: (Fact) -> Bool) -> Int { records.count { fits($0.fact) } }

  /// What was done and seen.
  var tally: Tally {
    Tally(
      seeds: 1, faults: run.bed.faultCounts.values.reduce(0, +),
      acked: count { if case .acked = $0 { true } else { false } },
      delivered: count { if case .message = $0 { true } else { false } },
      told: count { if case .gap = $0 { true } else { false } },
      notices: count { if case .notice = $0 { true } else { false } }, milliseconds: run.chronicle.now,
      worstPresence: run.presenceConvergedAfter ?? 0, topologies: [run.bed.topology: 1], kinds: run.bed.faultCounts,
      failedSeeds: violations.isEmpty ? [] : [run.seed])
  }

  /// One line.
  var summary: String {
    let bed =
      "\(run.bed.topology), \(run.bed.seats.count) nodes, history \(run.bed.historySize)\(run.bed.isDurable ? ", durable" : "")"
    let presence = run.presenceConvergedAfter.map { "presence right after \($0) ms" } ?? "presence never right"
    return "seed \(run.seed) (\(bed)): \(tally), \(presence), \(violations.isEmpty ? "all kept" : "BROKEN")"
  }

  /// Seed, schedule, and what happened around each broken promise.
  var story: String {
    let kinds = Dictionary(grouping: violations, by: { $0.promise.filter { !$0.isNumber } })
    var text = "\(summary)\n--- to run it again: make faults SEED=\(run.seed)\n--- schedule:\n\(run.schedule)\n"
    text += "--- \(violations.count) broken promises of \(kinds.count) kinds; one of each:\n"
    for (_, same) in kinds.sorted(by: { $0.key < $1.key }).prefix(8) {
      text += "* \(same[0]) [\(same.count) times]\n\(history(of: same[0]))\n"
    }
    if let path = keep() { text += "--- the whole history: \(path)\n" }
    return text
  }

  /// What concerned the offender, and all faults, before and shortly after.
  private func history(of violation: Violation) -> String {
    let end = violation.index.map { min($0 + 400, records.count) } ?? records.count
    let start = max(0, (violation.index ?? records.count) - 6000)
    let relevant = records.indices[start..<end].filter { index in
      let record = records[index]
      if record.who == "-" { return true }
      return record.who == violation.who
        && (record.room == nil || violation.room == nil || record.room == violation.room)
    }
    let place = relevant.lastIndex { $0 <= violation.index ?? .max } ?? 0
    return relevant[max(0, place - 20)..<min(relevant.count, place + 5)]
      .map { ($0 == violation.index ? "  > " : "    ") + records[$0].description }.joined(separator: "\n")
  }

  /// Writes all records to a file. Returns its path.
  private func keep() -> String? {
    let path = "/tmp/roost-faults-\(run.seed).log"
    guard let file = fopen(path, "w") else { return nil }
    defer { fclose(file) }
    for violation in violations { fputs("\(violation)\n", file) }
    for record in records { fputs("\(record)\n", file) }
    for seat in run.bed.seats { fputs("--- \(seat.id):\n\(seat.process?.process.output ?? "")\n", file) }
    return path
  }
}

/// Counts of one run or of many.
struct Tally: CustomStringConvertible {
  var seeds = 0
  var faults = 0
  var acked = 0
  var delivered = 0
  /// Gaps that clients were told of.
  var told = 0
  var notices = 0
  var milliseconds = 0
  /// The longest time from the end of the last fault until presence was right everywhere, in milliseconds.
  var worstPresence = 0
  var topologies: [Fault.Topology: Int] = [:]
  var kinds: [Fault.Kind: Int] = [:]
  var failedSeeds: [UInt64] = []

  var description: String {
    "\(faults) faults, \(acked) messages acked, \(delivered) delivered, \(told) gaps told, \(notices) notices, "
      + "\(milliseconds / 1000) s"
  }

  static func += (sum: inout Tally, one: Tally) {
    sum.seeds += one.seeds
    sum.faults += one.faults
    sum.acked += one.acked
    sum.delivered += one.delivered
    sum.told += one.told
    sum.notices += one.notices
    sum.milliseconds += one.milliseconds
    sum.worstPresence = max(sum.worstPresence, one.worstPresence)
    sum.topologies.merge(one.topologies, uniquingKeysWith: +)
    sum.kinds.merge(one.kinds, uniquingKeysWith: +)
    sum.failedSeeds += one.failedSeeds
  }

  /// What `make faults` prints at its end.
  var table: String {
    func counts(_ pairs: [(String, Int)]) -> String { pairs.map { "\($0.0) \($0.1)" }.joined(separator: ", ") }
    return """
      seeds by topology: \(counts(Fault.Topology.allCases.map { ($0.rawValue, topologies[$0] ?? 0) }))
      faults by kind: \(counts(Fault.Kind.allCases.map { ($0.rawValue, kinds[$0] ?? 0) }))
      messages acked: \(acked); deliveries: \(delivered); gaps told: \(told)
      presence right everywhere after \(worstPresence) ms at most
      broken: \(failedSeeds.isEmpty ? "none" : failedSeeds.map { "seed \($0)" }.joined(separator: ", "))
      """
  }
}
