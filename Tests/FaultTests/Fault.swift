import Randomness

/// What is done to a cluster while clients use it.
enum Fault: Equatable, CustomStringConvertible {
  /// What the nodes keep their state in.
  enum Topology: CaseIterable { case single }

  /// kill -9, and a new process after a while: with the id of the old one, or with another.
  case killNode(Int, back: Int, sameID: Bool)
  /// SIGSTOP, and SIGCONT after a while.
  case stopNode(Int, milliseconds: Int)
  case stopRedis(milliseconds: Int)
  /// kill -9, and a new process after a while. What it knew is there again only if it keeps an append-only file.
  case killRedis(back: Int)
  /// CLIENT KILL TYPE pubsub.
  case killSubscriptions
  /// CLIENT KILL TYPE normal.
  case killCommands
  /// CLIENT PAUSE: Redis takes commands and answers none.
  case pauseClients(milliseconds: Int)
  case flushAll
  case flushScripts
  /// Everything between a node and Redis arrives later.
  case delay(node: Int, milliseconds: Int, for: Int)
  /// The connections of a node to Redis are reset, and new ones refused for a while.
  case cut(node: Int, for: Int)
  /// Nothing of one direction arrives between a node and Redis; the other direction works.
  case halve(node: Int, toRedis: Bool, for: Int)
  /// Connections break off in the middle of what Redis says.
  case cutWithin(node: Int, afterBytes: Int)
  /// Clients lose their connections without a word and come back with their positions.
  case cutClients(count: Int)

  /// What stands in the chronicle and in a failure.
  var description: String {
    switch self {
    case .killNode(let node, let back, let sameID):
      "kill -9 node \(node), back after \(back) ms with \(sameID ? "the same" : "a new") id"
    case .stopNode(let node, let milliseconds): "SIGSTOP node \(node) for \(milliseconds) ms"
    case .stopRedis(let milliseconds): "SIGSTOP Redis for \(milliseconds) ms"
    case .killRedis(let back): "kill -9 Redis, back after \(back) ms"
    case .killSubscriptions: "CLIENT KILL TYPE pubsub"
    case .killCommands: "CLIENT KILL TYPE normal"
    case .pauseClients(let milliseconds): "CLIENT PAUSE \(milliseconds)"
    case .flushAll: "FLUSHALL"
    case .flushScripts: "SCRIPT FLUSH"
    case .delay(let node, let milliseconds, let time): "node \(node) to Redis \(milliseconds) ms late for \(time) ms"
    case .cut(let node, let time): "node \(node) cut from Redis for \(time) ms"
    case .halve(let node, let toRedis, let time):
      "nothing \(toRedis ? "to Redis from" : "from Redis to") node \(node) for \(time) ms"
    case .cutWithin(let node, let bytes): "node \(node) cut from Redis after \(bytes) bytes of replies"
    case .cutClients(let count): "\(count) clients cut"
    }
  }

  /// Milliseconds until it is over by itself; 0: at once.
  var milliseconds: Int {
    switch self {
    case .killNode(_, let back, _), .killRedis(let back): back
    case .stopNode(_, let time), .stopRedis(let time), .pauseClients(let time): time
    case .delay(_, _, let time), .cut(_, let time), .halve(_, _, let time): time
    case .cutWithin: 1000
    case .killSubscriptions, .killCommands, .flushAll, .flushScripts, .cutClients: 0
    }
  }

  /// What it acts on: two faults on one thing do not overlap.
  var subject: String {
    switch self {
    case .killNode(let node, _, _), .stopNode(let node, _): "node \(node)"
    case .delay(let node, _, _), .cut(let node, _), .halve(let node, _, _), .cutWithin(let node, _): "link \(node)"
    case .stopRedis, .killRedis, .pauseClients: "Redis"
    case .killSubscriptions, .killCommands, .flushAll, .flushScripts, .cutClients: "nothing"
    }
  }

  /// Whether what Redis knew is lost.
  func losesData(durable: Bool) -> Bool {
    switch self {
    case .flushAll: true
    case .killRedis: !durable
    default: false
    }
  }
}

extension Fault {
  /// The kinds of faults that a topology can have, drawn with equal chances.
  private enum Kind: CaseIterable {
    case killNode, stopNode, stopRedis, killRedis, killSubscriptions, killCommands, pauseClients, flushAll
    case flushScripts, delay, cut, halve, cutWithin, cutClients

    func isPossible(in topology: Topology) -> Bool {
      switch topology {
      case .single: true
      }
    }
  }

  /// Draws a fault for a cluster of so many nodes.
  static func draw(_ topology: Topology, nodes: Int, using random: inout SeededGenerator) -> Fault {
    let kinds = Kind.allCases.filter { $0.isPossible(in: topology) }
    let node = Int.random(in: 0..<nodes, using: &random)
    func time(_ range: ClosedRange<Int>, _ random: inout SeededGenerator) -> Int { .random(in: range, using: &random) }
    switch kinds[Int.random(in: 0..<kinds.count, using: &random)] {
    case .killNode:
      return .killNode(node, back: time(100...4000, &random), sameID: Bool.random(using: &random))
    // Beyond the lease the node is taken for dead and comes back all the same.
    case .stopNode: return .stopNode(node, milliseconds: time(100...9000, &random))
    case .stopRedis: return .stopRedis(milliseconds: time(100...5000, &random))
    case .killRedis: return .killRedis(back: time(50...4000, &random))
    case .killSubscriptions: return .killSubscriptions
    case .killCommands: return .killCommands
    case .pauseClients: return .pauseClients(milliseconds: time(100...4000, &random))
    case .flushAll: return .flushAll
    case .flushScripts: return .flushScripts
    case .delay: return .delay(node: node, milliseconds: time(5...600, &random), for: time(500...5000, &random))
    case .cut: return .cut(node: node, for: time(0...8000, &random))
    case .halve:
      return .halve(node: node, toRedis: Bool.random(using: &random), for: time(200...8000, &random))
    case .cutWithin: return .cutWithin(node: node, afterBytes: time(1...4000, &random))
    case .cutClients: return .cutClients(count: time(1...6, &random))
    }
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
        if fault.subject != "nothing" { busyUntil[fault.subject] = at + fault.milliseconds + 200 }
        break
      }
      at += Int.random(in: 100...1500, using: &random)
    }
    self.entries = entries
  }

  var description: String { entries.map { "\($0.at) ms  \($0.fault)" }.joined(separator: "\n") }
}
