import CSystem
import Glibc
import LoopCore
import Settings
import TimeCore

/// The process of a host's bridges as a child: started with the nodes, started again when it ends, and ended with them. It
/// is a program of its own, `roost-bridges`, because it needs libraries that a node does not. Confined to the loop.
final class BridgeChild {
  /// The environment variables of the child, and of the nodes that read its counters.
  enum Variable {
    static let page = "ROOST_BRIDGES_PAGE"
    static let parent = "ROOST_BRIDGES_PARENT"
    static let all = [page, parent]
  }

  private static let healthyInterval = Interval.seconds(10)
  private static let restartMillisecondsMax = 10_000

  let pageDescriptor: Int32
  let page: BridgePage
  private let loop: EventLoop
  private let log: Log
  private let arguments: [String]
  private var environment: [String: String]
  private let lifetime: (parent: Int32, child: Int32)
  private var process: pid_t = 0
  private var startedAt = Instant.zero
  private var failures = 0
  private var isStopping = false

  /// Nil where the settings have no bridges.
  ///
  /// - Parameter arguments: those of `serve`.
  init?(
    _ settings: ServerSettings, arguments: [String], environment: [String: String], on loop: EventLoop, _ log: Log
  ) throws(SystemError) {
    guard !settings.bridges.isEmpty else { return nil }
    (self.loop, self.log, self.environment) = (loop, log, environment)
    pageDescriptor = try BridgePage.makeFile(bridges: settings.bridges.count)
    guard let page = BridgePage(bridges: settings.bridges.count, descriptor: pageDescriptor) else {
      throw SystemError("mmap")
    }
    self.page = page
    self.arguments = [BridgeProgram.name] + arguments
    lifetime = try ParentWatch.makePipe()
    self.environment[Variable.page] = String(pageDescriptor)
    self.environment[Variable.parent] = String(lifetime.child)
  }

  var hasEnded: Bool { process == 0 }

  /// Starts the program. Where it is missing the nodes run without bridges, and the log says what to do.
  func start() {
    guard let path = BridgeProgram.path, access(path, X_OK) == 0 else {
      return log.error(
        "the settings have bridges and \(BridgeProgram.name) is missing: none runs on this host; \(BridgeProgram.advice)"
      )
    }
    do throws(SystemError) {
      process = try ChildProgram.spawn(
        path, arguments, environment, keeping: [pageDescriptor, lifetime.child])
    } catch {
      log.error("cannot start \(BridgeProgram.name): \(error)")
      return startLater()
    }
    startedAt = loop.instant
  }

  /// Passes a signal on; SIGTERM and SIGINT end it.
  func forward(_ signal: Int32) {
    if signal != SIGHUP { isStopping = true }
    if process > 0 { kill(process, signal) }
  }

  /// Takes the end of a child. Returns false when it is another one.
  func reap(_ ended: pid_t, _ status: Int32) -> Bool {
    guard process > 0, ended == process else { return false }
    process = 0
    page.clearLevels()
    guard !isStopping else { return true }
    let code = status & 0x7F == 0 ? (status >> 8) & 0xFF : -1
    if code == ServeCommand.Exit.usage {
      log.error("\(BridgeProgram.name) refuses its settings; bridges are off until the next start")
      return true
    }
    failures = loop.instant - startedAt >= Self.healthyInterval ? 0 : failures + 1
    let loader = code == 127 ? ("; a library is missing: install librdkafka1 and librabbitmq4") : ""
    log.error("\(BridgeProgram.name) ended; starting it again\(loader)", ("waitStatus", Int(status)))
    startLater()
    return true
  }

  private func startLater() {
    let delay = min(Self.restartMillisecondsMax, 100 << min(failures, 7))
    loop.after(milliseconds: delay) { [weak self] in
      guard let self, !isStopping, process == 0 else { return }
      start()
    }
  }

  /// Waits for the end of a child that was asked to end; it commits what it has meanwhile.
  func awaitEnd(within milliseconds: Int) {
    let deadline = Clock.instant() + .milliseconds(milliseconds)
    while process > 0, Clock.instant() < deadline {
      var status: Int32 = 0
      if waitpid(process, &status, WNOHANG) == process { process = 0 } else { usleep(5000) }
    }
  }
}

/// The program of the bridges, and what to do where it is missing.
package enum BridgeProgram {
  package static let name = "roost-bridges"

  package static let advice =
    "build it where librdkafka-dev and librabbitmq-dev are installed (swift build -c release --product roost-bridges) "
    + "and put it beside roost; it needs librdkafka1 and librabbitmq4"

  /// Where it must be: beside this program. Nil where the kernel does not tell.
  package static var path: String? {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count)
    guard count > 0 else { return nil }
    let own = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return String(own[..<(own.lastIndex(of: "/") ?? own.startIndex)]) + "/\(name)"
  }
}
