import Randomness

extension Fault {
  /// The kinds of faults that a topology can have, drawn with equal chances.
  enum Kind: String, CaseIterable {
    case killNode, stopNode, stopRedis, killRedis, killSubscriptions, killCommands, pauseClients, flushAll
    case flushScripts, delay, cut, halve, cutWithin, cutClients
    case setRedisClock, setNodeClock, failOver, killMaster, stopMaster, moveSlot

    func isPossible(in topology: Topology) -> Bool {
      switch self {
      case .killNode, .stopNode, .killSubscriptions, .killCommands, .pauseClients, .flushAll, .flushScripts,
        .cutClients:
        true
      case .stopRedis, .killRedis, .delay, .cut, .halve, .cutWithin: topology.isProxied
      case .setRedisClock, .setNodeClock: topology == .clocks
      case .failOver, .killMaster, .stopMaster: topology.isReplicated
      case .moveSlot: topology == .cluster
      }
    }
  }

  var kind: Kind {
    switch self {
    case .killNode: .killNode
    case .stopNode: .stopNode
    case .stopRedis: .stopRedis
    case .killRedis: .killRedis
    case .killSubscriptions: .killSubscriptions
    case .killCommands: .killCommands
    case .pauseClients: .pauseClients
    case .flushAll: .flushAll
    case .flushScripts: .flushScripts
    case .delay: .delay
    case .cut: .cut
    case .halve: .halve
    case .cutWithin: .cutWithin
    case .cutClients: .cutClients
    case .setRedisClock: .setRedisClock
    case .setNodeClock: .setNodeClock
    case .failOver: .failOver
    case .killMaster: .killMaster
    case .stopMaster: .stopMaster
    case .moveSlot: .moveSlot
    }
  }

  /// What belongs to a topology, half of the time; else any of its faults.
  private static func drawKind(_ topology: Topology, using random: inout SeededGenerator) -> Kind {
    let kinds = Kind.allCases.filter { $0.isPossible(in: topology) }
    let own = kinds.filter { !$0.isPossible(in: .single) }
    let drawn = own.isEmpty || Bool.random(using: &random) ? kinds : own
    return drawn[Int.random(in: 0..<drawn.count, using: &random)]
  }

  /// Draws a fault for a cluster of so many nodes.
  static func draw(_ topology: Topology, nodes: Int, using random: inout SeededGenerator) -> Fault {
    let node = Int.random(in: 0..<nodes, using: &random)
    func time(_ range: ClosedRange<Int>, _ random: inout SeededGenerator) -> Int { .random(in: range, using: &random) }
    let shard = topology == .cluster ? Int.random(in: 0..<3, using: &random) : 0
    switch drawKind(topology, using: &random) {
    case .killNode:
      return .killNode(node, back: time(100...4000, &random), sameID: Bool.random(using: &random))
    // Beyond the lease the node is taken for dead and comes back all the same.
    case .stopNode: return .stopNode(node, milliseconds: time(100...9000, &random))
    case .stopRedis: return .stopRedis(milliseconds: time(100...5000, &random))
    case .killRedis: return .killRedis(back: time(50...4000, &random))
    case .killSubscriptions: return .killSubscriptions
    case .killCommands: return .killCommands
    // Where a longer silence would be taken for death, a master that lives is enough for this.
    case .pauseClients:
      return .pauseClients(milliseconds: time(topology.isReplicated ? 100...600 : 100...4000, &random))
    case .flushAll: return .flushAll
    case .flushScripts: return .flushScripts
    case .delay: return .delay(node: node, milliseconds: time(5...600, &random), for: time(500...5000, &random))
    case .cut: return .cut(node: node, for: time(0...8000, &random))
    case .halve:
      return .halve(node: node, toRedis: Bool.random(using: &random), for: time(200...8000, &random))
    case .cutWithin: return .cutWithin(node: node, afterBytes: time(1...4000, &random))
    case .cutClients: return .cutClients(count: time(1...6, &random))
    case .setRedisClock: return .setRedisClock(seconds: jump(using: &random))
    case .setNodeClock: return .setNodeClock(node, seconds: jump(using: &random))
    case .failOver:
      // A cluster fails over in step by itself.
      return .failOver(shard: shard, isSettled: topology == .cluster || Bool.random(using: &random))
    case .killMaster: return .killMaster(shard: shard, back: time(4000...6000, &random))
    case .stopMaster: return .stopMaster(shard: shard, milliseconds: time(200...6000, &random))
    case .moveSlot: return .moveSlot(room: time(0...2, &random), by: time(1...2, &random))
    }
  }

  /// Seconds by which a clock is set: up to a minute, which ends leases, or an hour, which ends what lives for minutes.
  private static func jump(using random: inout SeededGenerator) -> Int {
    let seconds = Bool.random(using: &random) ? 3600 : Int.random(in: 3...60, using: &random)
    return Bool.random(using: &random) ? seconds : -seconds
  }
}

/// When which fault begins: the same for the same seed.
struct Schedule: CustomStringConvertible {
  struct Entry {
    /// Milliseconds since the run began.
    let at: Int
    let fault: Fault
  }

  let entries: [Entry]

  /// Draws faults for `milliseconds`, the first after a moment of peace. Every fault is over by the end.
  init(_ topology: Fault.Topology, nodes: Int, milliseconds: Int, using random: inout SeededGenerator) {
    var entries: [Entry] = []
    var busyUntil: [String: Int] = [:]
    var at = 1000
    while at < milliseconds {
      // A few draws, so that a long fault that does not fit any more gives way to a shorter one.
      for _ in 0..<8 {
        let fault = Fault.draw(topology, nodes: nodes, using: &random)
        guard busyUntil[fault.subject, default: 0] <= at, at + fault.milliseconds <= milliseconds else { continue }
        entries.append(Entry(at: at, fault: fault))
        if fault.subject != "nothing" { busyUntil[fault.subject] = at + fault.milliseconds + fault.rest(topology) }
        break
      }
      at += Int.random(in: 100...1500, using: &random)
    }
    self.entries = entries
  }

  var description: String { entries.map { "\($0.at) ms  \($0.fault)" }.joined(separator: "\n") }
}
