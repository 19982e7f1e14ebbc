import Randomness
import Testing

@testable import Realtime

/// A client in wildcards, and sometimes in rooms that they match, which checks what it is told of each room.
private final class WildcardWitness {
  let client: Client
  let wildcards: [String]
  private(set) var isJoined = false
  private(set) var isJoining = false
  private(set) var complaints: [String] = []
  /// Where each room was when it was last heard of since the join.
  private(set) var heard: [String: (epoch: String?, offset: Int)] = [:]
  /// Whether it was told that rooms it has not heard of may have been missed.
  private(set) var isWarned = false
  private(set) var rooms: Set<String> = []

  init(_ client: Client, _ wildcards: [String]) {
    self.client = client
    self.wildcards = wildcards
  }

  func join() {
    isJoining = true
    for name in wildcards { client.post(#"{"type":"join","room":"\#(name)","id":"\#(name)"}"#) }
  }

  func leave() {
    // What came before belongs to the stay that ends.
    look()
    (isJoined, isWarned, heard) = (false, false, [:])
    for name in wildcards { client.post(#"{"type":"leave","room":"\#(name)"}"#) }
  }

  func toggle(_ room: String) {
    if rooms.remove(room) != nil {
      client.post(#"{"type":"leave","room":"\#(room)"}"#)
    } else {
      rooms.insert(room)
      client.post(#"{"type":"join","room":"\#(room)","id":"\#(room)"}"#)
    }
  }

  func look() { for text in client.take() { look(at: text) } }

  private func look(at text: Text) {
    let room = text.string("room") ?? ""
    switch text.type {
    case "joined":
      if wildcards.contains(room) {
        if room == wildcards.last { (isJoining, isJoined) = (false, true) }
      } else if text.string("id") == nil {
        heard[room] = (text.string("epoch"), text.int("offset") ?? 0)
      } else if heard[room] == nil {
        heard[room] = (text.string("epoch"), text.int("offset") ?? 0)
      }
    case "message":
      let offset = text.int("offset") ?? 0
      if let last = heard[room]?.offset, offset != last + 1 { complaints.append("\(text) after \(last)") }
      heard[room] = (heard[room]?.epoch, offset)
    case "gap":
      guard let last = text.int("to") else { return isWarned = true }
      if let known = heard[room]?.offset, text.int("from") != known + 1 { complaints.append("\(text) after \(known)") }
      heard[room] = (heard[room]?.epoch, last)
    case "error":
      if wildcards.contains(text.string("id") ?? "") { isJoining = false }
      rooms.remove(text.string("id") ?? "")
    case "left":
      // One wildcard of several may have been joined late, and brought something before it was left in its turn.
      if wildcards.contains(room) { heard = [:] }
      // Outside of wildcards a room's messages end with its own leave.
      if !isJoined { heard[room] = nil }
    case "user_joined", "user_left", "degraded", "restored": break
    default: complaints.append("unexpected: \(text)")
    }
  }
}

@Suite("Hub, simulated broker, wildcards")
struct WildcardSimulationTests {
  private let rooms = ["wa", "wab", "wb", "x"]

  private func simulate(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let bench = HubBench(historySize: 8)
    let sets = [["w*"], ["w*"], ["wa*", "w*"], ["wa*"]]
    let witnesses = sets.enumerated().map { WildcardWitness(bench.open("user\($0)"), $1) }
    bench.broker.isQueuing = true
    for _ in 0..<300 {
      let witness = witnesses[Int.random(in: 0..<witnesses.count, using: &random)]
      switch Int.random(in: 0..<100, using: &random) {
      case 0..<25: try bench.broker.publishElsewhere(rooms.randomElement(using: &random)!, "\"n\":1")
      case 25..<45: bench.broker.hearNext()
      case 45..<65: bench.broker.answerNext()
      case 65..<75: if !witness.isJoined, !witness.isJoining { witness.join() }
      case 75..<78: if witness.isJoined { witness.leave() }
      case 78..<81: if witness.isJoined { witness.toggle(["wa", "wab"].randomElement(using: &random)!) }
      case 81..<83: bench.broker.isLosing.toggle()
      case 83: bench.broker.goAway()
      case 84..<87: if !bench.broker.isAvailable { bench.broker.comeBack() }
      case 87: bench.broker.forget()
      case 88..<91:
        bench.clock.milliseconds += 700
        bench.hub.expire()
      default: for witness in witnesses { witness.look() }
      }
    }
    bench.broker.isLosing = false
    bench.broker.comeBack()
    for _ in 0..<20 {
      var steps = 0
      try bench.rest(seed: seed, &steps) { for witness in witnesses { witness.look() } }
    }
    // A message after the peace: whoever is in a wildcard hears it, where the room stands then.
    for room in rooms.dropLast() { try bench.broker.publishElsewhere(room, "\"n\":2") }
    while !bench.broker.hearings.isEmpty { bench.broker.hearNext() }
    while !bench.broker.answers.isEmpty { bench.broker.answerNext() }
    for witness in witnesses { witness.look() }
    judge(witnesses, bench, seed)
  }

  private func judge(_ witnesses: [WildcardWitness], _ bench: HubBench, _ seed: UInt64) {
    for witness in witnesses {
      #expect(witness.complaints.isEmpty, "seed \(seed)")
      #expect(!witness.isJoining, "seed \(seed): a join was never answered")
      #expect(witness.heard["x"] == nil, "seed \(seed): heard what no wildcard matches")
      guard witness.isJoined else { continue }
      for room in rooms where witness.wildcards.contains(where: { room.hasPrefix($0.dropLast()) }) {
        let position = bench.broker.position(of: room)
        #expect(witness.heard[room]?.offset == position.map { Int($0.offset) }, "seed \(seed): \(room) is behind")
      }
    }
  }

  @Test("loses nothing unsaid, repeats nothing and keeps every room's order through wildcards (300 seeds)")
  func manySeeds() throws {
    for seed in seeds(300) { try simulate(seed: seed) }
  }
}
