import CSystem
import Glibc
import LoopCore
import Settings
import TimeCore

/// Runs several workers on one port, each a node of its own in a process of its own, and starts a crashed one again.
/// Confined to the thread that created it.
public final class Supervisor {
  /// A worker that lives shorter than this is started again with a growing delay.
  private static let healthyInterval = Interval.seconds(10)
  private static let restartDelayMax = Interval.seconds(10)

  private struct Child {
    var process: pid_t
    var startedAt: Instant
    var failures = 0
    /// Whether an operator drained it: it is not started again.
    var isDrained = false
  }

  private let settings: ServerSettings
  private let arguments: [String]
  private var environment: [String: String]
  private let loop: EventLoop
  private let log: Log
  private let sockets: WorkerSockets
  private let page: WorkerPage
  /// The pipe by whose end a worker knows that this process has ended.
  private let lifetime: (parent: Int32, child: Int32)
  private var workers: [Child] = []
  private var signals: Signals?
  private var isStopping = false
  private var exitStatus: Int32 = 0
  /// The process of the bridges; nil: there are none.
  private let bridges: BridgeChild?

  /// - Parameters:
  ///   - arguments: the command line as the process got it; workers get the same.
  ///   - serveArguments: those after `serve`; the process of the bridges gets them.
  ///   - environment: as the process got it; workers get it with their number.
  ///   - notes: warnings about the start for the log.
  public init(
    _ settings: ServerSettings, arguments: [String], serveArguments: [String] = [], environment: [String: String],
    notes: [String] = []
  ) throws(Node.Failure) {
    self.settings = settings
    self.arguments = arguments
    self.environment = environment
    let pageDescriptor: Int32
    do throws(SystemError) {
      loop = try EventLoop()
      pageDescriptor = try WorkerPage.makeFile(workers: settings.workers)
      lifetime = try ParentWatch.makePipe()
    } catch {
      throw .system(error)
    }
    guard let page = WorkerPage(workers: settings.workers, descriptor: pageDescriptor) else {
      throw .system(SystemError("mmap"))
    }
    self.page = page
    do throws(ListenFault) {
      sockets = try WorkerSockets(ListenPlan(settings), workers: settings.workers)
    } catch {
      throw .cannotListen(error)
    }
    log = Log(LineLog(settings), node: "supervisor")
    if settings.adminToken == nil {
      let token = NodeSetup.makeToken()
      self.environment["ROOST_ADMIN_TOKEN"] = token
      log.warn("made an admin token for this start; set --admin-token to choose it", ("adminToken", token))
    }
    do throws(SystemError) {
      bridges = try BridgeChild(settings, arguments: serveArguments, environment: environment, on: loop, log)
    } catch {
      throw .system(error)
    }
    for note in notes { log.warn(note) }
    if let bridges { self.environment[BridgeChild.Variable.page] = String(bridges.pageDescriptor) }
    self.environment[Worker.Variable.count] = String(settings.workers)
    self.environment[Worker.Variable.page] = String(pageDescriptor)
    self.environment[Worker.Variable.parent] = String(lifetime.child)
  }

  /// Runs until all workers have ended after a signal. Returns the exit status for the process.
  public func run() throws(SystemError) -> Int32 {
    signals = try Signals(loop, [SIGTERM, SIGINT, SIGHUP, SIGCHLD]) { [weak self] in self?.receive($0) }
    for index in 0..<settings.workers { workers.append(Child(process: try spawn(index), startedAt: loop.instant)) }
    bridges?.start()
    log.info("started workers", ("workers", workers.count), ("port", Int(sockets.port(.main) ?? 0)))
    loop.run()
    return exitStatus
  }

  private func receive(_ signal: Int32) {
    switch signal {
    case SIGCHLD: reap()
    case SIGHUP: forward(SIGHUP)
    default:
      isStopping = true
      forward(signal)
      if haveAllEnded { loop.stop() }
    }
  }

  private func forward(_ signal: Int32) {
    for worker in workers where worker.process > 0 { kill(worker.process, signal) }
    bridges?.forward(signal)
  }

  private func reap() {
    var status: Int32 = 0
    while true {
      let process = waitpid(-1, &status, WNOHANG)
      guard process > 0 else { break }
      if bridges?.reap(process, status) == true { continue }
      guard let index = workers.firstIndex(where: { $0.process == process }) else { continue }
      workers[index].process = 0
      page.clearLevels(of: index)
      if isStopping {
        sockets.end(index)
        if status != 0 { exitStatus = 1 }
      } else if let code = Supervisor.finalExit(status) {
        // A worker that refuses its settings would refuse them again.
        sockets.end(index)
        exitStatus = code
        isStopping = true
        forward(SIGTERM)
      } else if status == ServeCommand.Exit.drained << 8 {
        retire(index)
      } else {
        renewSockets(of: index)
        restart(index, status)
      }
    }
    if isStopping, haveAllEnded { loop.stop() }
  }

  private var haveAllEnded: Bool { workers.allSatisfy { $0.process == 0 } && bridges?.hasEnded != false }

  /// Keeps a worker that an operator drained from coming back. With the last one the supervisor ends.
  private func retire(_ index: Int) {
    workers[index].isDrained = true
    sockets.end(index)
    page.retire(index)
    log.info("worker drained; it stays ended until the next start", ("worker", index))
    guard workers.allSatisfy(\.isDrained) else { return }
    isStopping = true
    bridges?.forward(SIGTERM)
  }

  /// Exit status 64 (EX_USAGE) or 69 (EX_UNAVAILABLE, the port is taken) will not change by trying again.
  private static func finalExit(_ status: Int32) -> Int32? {
    guard status & 0x7F == 0 else { return nil }
    let code = (status >> 8) & 0xFF
    return code == 64 || code == 69 ? code : nil
  }

  /// Without delay: until then connections wait for a worker that is gone.
  private func renewSockets(of index: Int) {
    do throws(SystemError) {
      try sockets.renew(index)
    } catch {
      // The next worker takes those that there are.
      log.error("cannot make new listening sockets for worker \(index): \(error)")
    }
  }

  private func restart(_ index: Int, _ status: Int32) {
    let lived = loop.instant - workers[index].startedAt
    workers[index].failures = lived >= Supervisor.healthyInterval ? 0 : workers[index].failures + 1
    let shift = min(workers[index].failures, 7)
    let delay = workers[index].failures == 0 ? .zero : min(Supervisor.restartDelayMax, .milliseconds(100 << shift))
    log.error(
      "worker ended; starting it again", ("worker", index), ("waitStatus", Int(status)),
      ("delayMilliseconds", delay.milliseconds))
    loop.after(delay) { [weak self] in
      guard let self, !self.isStopping else { return }
      do throws(SystemError) {
        self.workers[index].process = try self.spawn(index)
        self.workers[index].startedAt = self.loop.instant
      } catch {
        self.log.error("cannot start a worker: \(error)")
        self.restart(index, 0)
      }
    }
  }

  private func spawn(_ index: Int) throws(SystemError) -> pid_t {
    let inherited = sockets.inherited(by: index)
    environment[Worker.Variable.index] = String(index)
    environment[Worker.Variable.sockets] = Worker.text(inherited)
    return try ChildProgram.spawn(
      "/proc/self/exe", arguments, environment, keeping: inherited.map(\.socket.descriptor) + [lifetime.child])
  }
}
