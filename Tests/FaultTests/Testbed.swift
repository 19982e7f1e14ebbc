import Glibc
import JSONCore
import TestSupport

/// A cluster that is treated badly: one Redis and some nodes, each behind a proxy of its own on its way to Redis.
final class Testbed {
  /// A node's place in the cluster: processes come and go in it.
  struct Seat {
    let proxy: TCPProxy
    var id: String
    var process: RoostProcess?
    /// Resident bytes and open descriptors before the first client came.
    var memoryAtStart = 0.0
    var descriptorsAtStart = 0.0
  }

  let redis: RedisProcess
  /// Where Redis keeps its append-only file, or nil.
  private let folder: String?
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
  /// How often each fault was done, and when the last was over.
  private(set) var faultCount = 0
  private(set) var lastHealedAt = 0

  init(nodes: Int, isDurable: Bool, historySize: Int, _ chronicle: Chronicle) throws {
    var template = Array("/tmp/roost-redis-XXXXXX".utf8CString)
    folder = isDurable ? mkdtemp(&template).map { String(cString: $0) } : nil
    // Without fsync nothing delays the write before a reply, and what the kernel has outlives a killed process.
    redis = try RedisProcess(folder.map { ["--appendonly", "yes", "--appendfsync", "no", "--dir", $0] } ?? [])
    self.isDurable = isDurable
    self.historySize = historySize
    self.chronicle = chronicle
    for index in 0..<nodes {
      seats.append(Seat(proxy: try TCPProxy(to: redis.port), id: "n\(index)", process: nil))
      try startNode(index)
    }
    for index in 0..<nodes {
      try seats[index].process?.awaitReady(within: 20)
      seats[index].memoryAtStart = try seats[index].process?.metric("process_resident_memory_bytes") ?? 0
      seats[index].descriptorsAtStart = try seats[index].process?.metric("process_open_fds") ?? 0
    }
  }

  deinit {
    redis.kill()
    if let folder, let remover = try? ChildProcess(["rm", "-rf", folder]) { _ = try? remover.waitForEnd() }
  }

  /// The nodes that run.
  var nodes: [RoostProcess] { seats.compactMap(\.process) }

  private func startNode(_ index: Int) throws {
    let seat = seats[index]
    seats[index].process = try RoostProcess([
      "--node-id", seat.id, "--redis", "redis://127.0.0.1:\(seat.proxy.port)", "--workers", "1",
      "--history-size", "\(historySize)",
    ])
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

  /// Begins a fault.
  func begin(_ fault: Fault) throws {
    faultCount += 1
    chronicle.note("-", .fault("\(fault)", losesData: fault.losesData(durable: isDurable)))
    lastHealedAt = chronicle.now
    let heal = try act(fault)
    if fault.milliseconds > 0 { endings.append((chronicle.now + fault.milliseconds, fault, heal)) }
  }

  /// Does it, and returns what undoes it.
  private func act(_ fault: Fault) throws -> () throws -> Void {
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
    case .stopRedis:
      redis.pause()
      return { [unowned self] in redis.resume() }
    case .killRedis:
      redis.kill()
      return { [unowned self] in try redis.restart() }
    case .delay(let index, let milliseconds, _):
      for way in TCPProxy.Direction.allCases {
        seats[index].proxy.treat(way, .delay(milliseconds: milliseconds / 2))
      }
    case .cut(let index, _):
      seats[index].proxy.refuse(true)
      seats[index].proxy.cut()
      return { [unowned self] in seats[index].proxy.refuse(false) }
    case .halve(let index, let toRedis, _): seats[index].proxy.treat(toRedis ? .toServer : .toClient, .swallow)
    case .cutWithin(let index, let bytes): seats[index].proxy.treat(.toClient, .cut(afterBytes: bytes))
    case .cutClients(let count): cutClients(count)
    case .pauseClients, .killSubscriptions, .killCommands, .flushAll, .flushScripts: order(fault)
    }
    return { [unowned self] in heal(fault) }
  }

  private func heal(_ fault: Fault) {
    switch fault {
    // What was swallowed is gone: no connection goes on as if nothing had happened.
    case .halve(let index, _, _):
      seats[index].proxy.cut()
      seats[index].proxy.heal()
    case .delay(let index, _, _), .cutWithin(let index, _): seats[index].proxy.heal()
    default: break
    }
  }

  /// Tells Redis something without waiting for its answer, which may be long in coming.
  private func order(_ fault: Fault) {
    let command: String
    switch fault {
    case .pauseClients(let milliseconds): command = "CLIENT PAUSE \(milliseconds) ALL"
    case .killSubscriptions: command = "CLIENT KILL TYPE pubsub"
    case .killCommands: command = "CLIENT KILL TYPE normal SKIPME yes"
    case .flushAll: command = "FLUSHALL"
    case .flushScripts: command = "SCRIPT FLUSH"
    default: return
    }
    // Nobody listens while Redis is down: then there is nothing to be done to it either.
    guard let connection = try? TCPConnection(port: redis.port) else { return }
    try? connection.send(command + "\r\n")
    orders.append(connection)
  }
}
