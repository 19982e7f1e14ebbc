import Glibc
import LoopCore
import Settings

/// A node as the whole of a process: signals stop and reload it, and the end of a supervisor stops its workers. Confined to
/// the thread that created it.
final class NodeProcess {
  private let loop: EventLoop
  private let node: Node
  private let worker: Worker?
  private var signals: Signals?
  private var parentWatch: ParentWatch?
  private var stopRequests: StopRequests
  /// Why the node has ended, when it was not asked to.
  private var failure: Node.Failure?
  /// The process of the bridges; nil: there are none, or a supervisor has it.
  private var bridges: BridgeChild?
  /// How long the bridges' process may take to confirm what it has.
  private static let bridgesEndMilliseconds = 9000

  /// - Parameters:
  ///   - worker: which of several processes on the port this is, or nil for a single one.
  ///   - notes: warnings about the start for the log.
  init(_ settings: ServerSettings, worker: Worker?, notes: [String]) throws(Node.Failure) {
    do throws(SystemError) { loop = try EventLoop() } catch { throw .system(error) }
    node = try Node(settings, on: loop, log: LineLog(settings), worker: worker, notes: notes)
    self.worker = worker
    stopRequests = StopRequests(hasSupervisor: worker != nil)
  }

  /// Starts the bridges of the settings beside the node, when it runs.
  func addBridges(
    _ settings: ServerSettings, arguments: [String], environment: [String: String]
  ) throws(Node.Failure) {
    do throws(SystemError) {
      bridges = try BridgeChild(settings, arguments: arguments, environment: environment, on: loop, node.log)
    } catch {
      throw .system(error)
    }
    node.bridgePage = bridges?.page
  }

  /// Shows the counters of bridges that a supervisor has started.
  func showBridges(_ settings: ServerSettings, _ environment: [String: String]) {
    guard let descriptor = environment[BridgeChild.Variable.page].flatMap(Int32.init) else { return }
    node.bridgePage = BridgePage(bridges: settings.bridges.count, descriptor: descriptor)
  }

  /// Reads what a start reads, and serves nobody.
  func check() throws(Node.Failure) { try node.check() }

  /// Serves until a signal ends it.
  func run() throws(Node.Failure) {
    do throws(SystemError) {
      signals = try Signals(loop, [SIGTERM, SIGINT, SIGHUP] + (bridges == nil ? [] : [SIGCHLD])) { [weak self] in
        self?.receive($0)
      }
      if let worker {
        parentWatch = try ParentWatch(loop, descriptor: worker.parent) { [weak self] in self?.supervisorEnded() }
      }
    } catch {
      throw .system(error)
    }
    node.ended = { [weak self] failure in
      self?.failure = failure
      self?.loop.stop()
    }
    try node.start()
    bridges?.start()
    loop.run()
    // It was asked to end with the node, and is left alone by nobody who ends the node's whole group.
    bridges?.forward(SIGTERM)
    bridges?.awaitEnd(within: NodeProcess.bridgesEndMilliseconds)
    if let failure { throw failure }
  }

  /// Whether the node has ended because an operator ordered its drain by the admin API.
  var wasOrderedToDrain: Bool { node.wasOrderedToDrain }

  private func receive(_ signal: Int32) {
    if signal == SIGCHLD { return reap() }
    bridges?.forward(signal)
    guard signal != SIGHUP else { return node.reload() }
    switch stopRequests.take(signal, at: loop.instant) {
    case .drain: node.stop()
    case .endNow: loop.stop()
    case .nothing: break
    }
  }

  private func reap() {
    var status: Int32 = 0
    while case let process = waitpid(-1, &status, WNOHANG), process > 0 { _ = bridges?.reap(process, status) }
  }

  /// Ends without the supervisor: it was killed, and its successor needs the port. Clients are closed as in any drain.
  private func supervisorEnded() {
    node.log.warn("the supervisor has ended without this worker: draining")
    node.closeListeners()
    node.stop()
  }
}
