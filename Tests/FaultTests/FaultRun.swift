import Glibc
import JSONCore
import Randomness
import TestSupport

/// One run: a cluster, its clients, a schedule of faults drawn from a seed, and what came of it.
final class FaultRun {
  let seed: UInt64
  let schedule: Schedule
  let bed: Testbed
  let chronicle = Chronicle()
  private(set) var participants: [Participant] = []
  /// Promises that show only in the cluster itself.
  private(set) var violations: [Violation] = []
  /// Milliseconds from the end of the last fault until presence was right everywhere; nil: it never was.
  private(set) var presenceConvergedAfter: Int?
  private let startedAt = Deadline.now()

  static let rooms = ["r0", "r1", "r2"]
  /// How long after the last fault everything must be whole again. The promise is 10 s; the rest is for a machine that
  /// does other things too.
  private static let convergenceMilliseconds = 25_000

  init(seed: UInt64, milliseconds: Int) throws {
    self.seed = seed
    let topology = Fault.Topology.allCases[Int(seed % UInt64(Fault.Topology.allCases.count))]
    var random = SeededGenerator(seed: seed)
    let nodes = Int.random(in: 2...3, using: &random)
    let isDurable = Bool.random(using: &random)
    // With a short history messages are lost, and must be said to be.
    let historySize = Int.random(in: 0..<4, using: &random) == 0 ? 20 : 5000
    schedule = Schedule(topology, nodes: nodes, milliseconds: milliseconds, using: &random)
    bed = try Testbed(
      topology, nodes: nodes, isDurable: isDurable && topology.isProxied, historySize: historySize, chronicle)
    addParticipants(&random)
    bed.cutClients = { [unowned self] count in
      for participant in participants.shuffled(using: &random).prefix(count) { participant.cut(why: "fault") }
    }
  }

  private func addParticipants(_ random: inout SeededGenerator) {
    func add(_ name: String, user: String? = nil, _ habits: Participant.Habits) {
      let participant = Participant(name, user: user ?? name, habits, chronicle, seed: random.next())
      participants.append(participant)
    }
    let rooms = FaultRun.rooms
    for index in 0..<4 {
      // One of them does not get its own messages back.
      add(
        "pub\(index)",
        .init(rooms: [rooms[index % 3], rooms[(index + 1) % 3]], publishEvery: 60, echo: index != 3))
    }
    for index in 0..<6 { add("stay\(index)", .init(rooms: [rooms[index % 3], rooms[(index + 1) % 3]])) }
    // A user with two connections is there until the last one is gone.
    for index in 0..<2 { add("twin\(index)", user: "twin", .init(rooms: ["r0"], wanderEvery: 2500)) }
    for index in 0..<4 { add("guest\(index)", .init(rooms: [rooms[index % 3]], wanderEvery: 2000)) }
  }

  // MARK: Course

  /// Runs to the end and judges. Returns what was broken.
  func perform() throws -> [Violation] {
    defer { for participant in participants { participant.cut(why: "the run ends") } }
    try settle("everyone is in before the first fault")
    let begin = chronicle.now
    var left = schedule.entries[...]
    while let next = left.first {
      try turn()
      guard chronicle.now - begin >= next.at else { continue }
      left.removeFirst()
      try bed.begin(next.fault)
    }
    while !bed.isPeaceful { try turn() }
    for participant in participants { participant.isCalm = true }
    try converge()
    // What is right with a master that was replaced may be wrong with its successor.
    if bed.topology == .sentinel {
      try turns(milliseconds: StreamCheck.splitMilliseconds)
      try converge()
    }
    try turns(milliseconds: 500)
    let streams = StreamCheck(
      chronicle.records, historySize: bed.historySize, isCluster: bed.topology == .cluster
    ).violations
    let presence = PresenceCheck(chronicle.records, users: users).violations
    let leaks = violations.isEmpty ? try findLeaks() : []
    return violations + streams + presence + leaks
  }

  /// The user of every client.
  private var users: [String: String] {
    Dictionary(uniqueKeysWithValues: participants.map { ($0.name, $0.user) })
  }

  /// Lets everybody do what is due and take what has come.
  private func turn() throws {
    chronicle.now = Int((Deadline.now() - startedAt) / 1_000_000)
    var entries = participants.map { pollfd(fd: $0.peer?.descriptor ?? -1, events: Int16(POLLIN), revents: 0) }
    _ = poll(&entries, nfds_t(entries.count), 3)
    chronicle.now = Int((Deadline.now() - startedAt) / 1_000_000)
    for (entry, participant) in zip(entries, participants) where entry.revents != 0 { participant.receive() }
    let ports = bed.nodes.map(\.port)
    for participant in participants { participant.step(ports) }
    try bed.step()
  }

  private func turns(milliseconds: Int) throws {
    let end = chronicle.now + milliseconds
    while chronicle.now < end { try turn() }
  }

  private func settle(_ what: String) throws {
    let end = chronicle.now + 20_000
    while !participants.allSatisfy({ $0.rooms.values.allSatisfy { $0 == .present } }) {
      try turn()
      guard chronicle.now < end else { throw TestFailure("not within 20 s: \(what)") }
    }
  }

  /// Waits until everything is whole: acks, places, presence, and what clients believe of each other.
  private func converge() throws {
    let end = bed.lastHealedAt + FaultRun.convergenceMilliseconds
    var open: [Violation] = []
    repeat {
      try turns(milliseconds: 200)
      open = unsettled() + wrongPlaces()
      let presence = wrongPresence()
      if presence.isEmpty, presenceConvergedAfter == nil {
        presenceConvergedAfter = chronicle.now - bed.lastHealedAt
      }
      open += presence
      // Read only when the rest is right: it goes through everything that happened.
      if open.isEmpty { open = PresenceCheck(chronicle.records, users: users).beliefs }
    } while !open.isEmpty && chronicle.now < end
    violations += open
  }

  private func broken(_ promise: String, _ who: String = "-", _ room: String? = nil) -> Violation {
    Violation(promise: promise, who: who, room: room, index: nil)
  }

  private func unsettled() -> [Violation] {
    participants.filter { !$0.isSettled }.map {
      broken("not in its rooms, or \($0.outstanding.count) messages never acked: \($0.rooms)", $0.name)
    }
  }

  /// Members that do not stand where the room stands.
  private func wrongPlaces() -> [Violation] {
    var wrong: [Violation] = []
    for room in FaultRun.rooms {
      guard let node = bed.nodes.first, let history = try? node.inspect("history/\(room)?limit=1"),
        let epoch = history["epoch"]?.asString, let offset = history["offset"]?.asInt
      else {
        wrong.append(broken("no history", "-", room))
        continue
      }
      let end = Place(epoch: epoch, offset: offset)
      for participant in participants where participant.habits.rooms.contains(room) {
        let place = participant.places[room]
        if place == end { continue }
        // Its own last messages did not come back to it, on purpose.
        if !participant.habits.echo, place?.epoch == epoch { continue }
        wrong.append(
          broken("stands at \(place.map(\.description) ?? "nowhere"), the room at \(end)", participant.name, room))
      }
    }
    return wrong
  }

  /// Rooms whose members a node does not tell as they are.
  private func wrongPresence() -> [Violation] {
    var wrong: [Violation] = []
    for room in FaultRun.rooms {
      var truth: [String: Int] = [:]
      for participant in participants where participant.rooms[room] == .present {
        truth[participant.user, default: 0] += 1
      }
      for (index, node) in bed.nodes.enumerated() {
        var told: [String: Int] = [:]
        var names: [String] = []
        for member in (try? node.inspect("presence/\(room)"))?["members"]?.asArray ?? [] {
          let connections = member["connections"]?.asArray ?? []
          told[member["user"]?.asString ?? "?"] = connections.count
          names += connections.compactMap { $0["id"]?.asString }.map { "\(member["user"]?.asString ?? "?") by \($0)" }
        }
        guard told != truth else { continue }
        let wrongUsers = Set(told.keys).union(truth.keys).filter { told[$0] != truth[$0] }.sorted()
        let entries = names.filter { name in wrongUsers.contains { name.hasPrefix($0 + " ") } }
        wrong.append(broken("node \(index) is wrong about \(wrongUsers): \(entries)", "-", room))
      }
    }
    return wrong
  }

  // MARK: Leaks

  private func findLeaks() throws -> [Violation] {
    for participant in participants { participant.cut(why: "the run ends") }
    let check = LeakCheck(bed)
    do {
      try eventually("nothing is left behind", within: 15) { check.findings().isEmpty }
      return []
    } catch {
      return check.findings().map { broken($0) }
    }
  }
}
