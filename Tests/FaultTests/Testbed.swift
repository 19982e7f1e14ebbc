import Glibc
import JSONCore
import TestSupport

/// A cluster that is treated badly: what keeps its state, and some nodes.
final class Testbed {
  /// A node's place in the cluster: processes come and go in it.
  struct Seat {
    /// What stands between the node and Redis, or nil.
    let proxy: TCPProxy?
    let clock: ProcessClock?
    var id: String
    var process: RoostProcess?
    /// Resident bytes and open descriptors before the first client came.
    var memoryAtStart = 0.0
    var descriptorsAtStart = 0.0
  }

  let topology: Fault.Topology
  let store: any Store
  let isDurable: Bool
  let historySize: Int
  private(set) var seats: [Seat] = []
  private let chronicle: Chronicle
  /// Called when a fault shall cut clients.
  var cutClients: (Int) -> Void = { _ in }
  /// What ends a fault that has begun, and when.
  private var endings: [(at: Int, fault: Fault, heal: () throws -> Void)] = []
  /// Connections on which Redis was told something, kept until the run ends.
  private var orders: [TCPConnection] = []
  private var lives = 0
  /// The end of the last CLIENT PAUSE.
  private var paused: Deadline?
  /// How often each kind of fault was done, and when the last was over.
  private(set) var faultCounts: [Fault.Kind: Int] = [:]
  private(set) var lastHealedAt = 0

  /// - Parameter isDurable: whether a single Redis keeps its data when it is killed.
  init(_ topology: Fault.Topology, nodes: Int, isDurable: Bool, historySize: Int, _ chronicle: Chronicle) throws {
    self.topology = topology
    self.isDurable = isDurable
    self.historySize = historySize
    self.chronicle = chronicle
    var port: UInt16?
    switch topology {
    case .single, .clocks:
      let single = try SingleStore(isDurable: isDurable, hasOwnClock: topology == .clocks)
      (store, port) = (single, single.redis.port)
    case .sentinel: store = try SentinelStore()
    case .cluster: store = try ClusterStore(rooms: FaultRun.rooms)
    }
    for index in 0..<nodes {
      seats.append(
        Seat(
          proxy: try port.map { try TCPProxy(to: $0) }, clock: topology == .clocks ? try ProcessClock() : nil,
          id: "n\(index)", process: nil))
      try startNode(index)
    }
    for index in 0..<nodes {
      try seats[index].process?.awaitReady(within: 20)
      seats[index].memoryAtStart = try seats[index].process?.metric("process_resident_memory_bytes") ?? 0
      seats[index].descriptorsAtStart = try seats[index].process?.metric("process_open_fds") ?? 0
    }
  }

  /// The nodes that run.
  var nodes: [RoostProcess] { seats.compactMap(\.process) }

  private func startNode(_ index: Int) throws {
    let seat = seats[index]
    let url = seat.proxy.map { "redis://127.0.0.1:\($0.port)" } ?? store.url
    seats[index].process = try RoostProcess(
      ["--node-id", seat.id, "--redis", url, "--workers", "1", "--history-size", "\(historySize)"],
      environment: seat.clock?.environment() ?? [:])
  }

  // MARK: Faults

  /// Ends what is due.
  func step() throws {
    while let index = endings.firstIndex(where: { $0.at <= chronicle.now }) {
      let ending = endings.remove(at: index)
      try ending.heal()
      chronicle.note("-", .healed("\(ending.fault)"))
      lastHealedAt = chronicle.now
    }
  }

  /// Whether no fault is under way.
  var isPeaceful: Bool { endings.isEmpty }

  /// Begins a fault, if it is possible now.
  func begin(_ fault: Fault) throws {
    // Told before it is done: clients see nothing of it earlier.
    chronicle.note("-", .fault("\(fault)", loses: fault.loss(durable: isDurable)))
    guard let heal = try act(fault) else { return chronicle.note("-", .healed("\(fault): not possible")) }
    faultCounts[fault.kind, default: 0] += 1
    lastHealedAt = chronicle.now
    if fault.milliseconds > 0 { endings.append((chronicle.now + fault.milliseconds, fault, heal)) }
  }

  /// Does it, and returns what undoes it.
  private func act(_ fault: Fault) throws -> (() throws -> Void)? {
    switch fault {
    case .killNode(let index, _, let sameID):
      seats[index].process?.process.kill()
      seats[index].process = nil
      return { [unowned self] in
        lives += 1
        if !sameID { seats[index].id = "n\(index)x\(lives)" }
        try startNode(index)
      }
    case .stopNode(let index, _):
      seats[index].process?.process.signal(SIGSTOP)
      return { [unowned self] in seats[index].process?.process.signal(SIGCONT) }
    case .setNodeClock(let index, let seconds): try seats[index].clock?.jump(milliseconds: Int64(seconds) * 1000)
    case .delay(let index, _, _), .cut(let index, _), .halve(let index, _, _), .cutWithin(let index, _):
      return seats[index].proxy.map { treat($0, fault) }
    case .cutClients(let count): cutClients(count)
    // Of two pauses Redis makes one, of all commands and as long as the longer one: what ends it would wait for its end.
    case .pauseClients where endings.contains { $0.fault.pausesWrites }: return nil
    case .pauseClients(let milliseconds):
      order("CLIENT PAUSE \(milliseconds) ALL")
      paused = Deadline(within: Double(milliseconds) / 1000)
    case .killSubscriptions: order("CLIENT KILL TYPE pubsub USER default")
    case .killCommands: order("CLIENT KILL TYPE normal USER default SKIPME yes")
    case .flushAll: order("FLUSHALL")
    case .flushScripts: order("SCRIPT FLUSH")
    // Redis ends a pause by its wall clock: it would last for an hour more.
    case .setRedisClock(let seconds) where seconds < 0 && (paused?.millisecondsLeft ?? 0) > 0: return nil
    case .stopRedis, .killRedis, .setRedisClock, .failOver, .killMaster, .stopMaster, .moveSlot:
      return try store.act(fault)
    }
    return {}
  }

  /// Does to a node's way to Redis what a fault says, and returns what undoes it.
  private func treat(_ proxy: TCPProxy, _ fault: Fault) -> () -> Void {
    switch fault {
    case .delay(_, let milliseconds, _):
      for way in TCPProxy.Direction.allCases { proxy.treat(way, .delay(milliseconds: milliseconds / 2)) }
    case .cut:
      proxy.refuse(true)
      proxy.cut()
      return { proxy.refuse(false) }
    case .halve(_, let toRedis, _):
      proxy.treat(toRedis ? .toServer : .toClient, .swallow)
      return {
        // What was swallowed is gone: no connection goes on as if nothing had happened.
        proxy.cut()
        proxy.heal()
      }
    case .cutWithin(_, let bytes): proxy.treat(.toClient, .cut(afterBytes: bytes))
    default: break
    }
    return { proxy.heal() }
  }

  /// Tells all masters something without waiting for their answers, which may be long in coming.
  private func order(_ command: String) {
    for master in store.masters {
      // Nobody listens while Redis is down: then there is nothing to be done to it either.
      guard let connection = try? TCPConnection(port: master.port) else { continue }
      try? connection.send(command + "\r\n")
      orders.append(connection)
    }
  }
}
