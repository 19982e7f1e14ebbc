import Glibc
import LoopCore
import Settings
import Webhooks

/// The command `serve`: a node, from its settings to the end of the process.
public enum ServeCommand {
  /// The version of this program.
  public static var version: String { Node.version }

  /// What its command line may have.
  public static var synopsis: CommandSynopsis { ServerSettings.synopsis }

  /// Exit statuses of sysexits.h.
  enum Exit {
    /// Of a worker that an operator drained: its supervisor does not start it again.
    static let drained: Int32 = 3
    static let usage: Int32 = 64
    static let unavailable: Int32 = 69
    static let software: Int32 = 70
  }

  /// Runs a node, or what `arguments`, which begin after `serve`, ask for instead. Returns only after an orderly end;
  /// SIGPIPE must be ignored.
  ///
  /// - Parameter otherVariables: environment variables that other commands read, so that the log does not call them unknown.
  public static func run(arguments: [String], environment: [String: String], otherVariables: [String] = []) {
    PassPhrase.forbidQuestions()
    // The last lines contain the reason for its end.
    defer { LineLog.standardError.drain() }
    do {
      let cores = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
      // No setting: it would stop every start from a file or an environment that has it.
      let checksOnly = arguments.contains("--check")
      let arguments = arguments.filter { $0 != "--check" }
      switch try ServerSettings.parse(arguments: arguments, environment: environment, coreCount: cores) {
      case .help(let text): print(text)
      case .version: print("roost \(Node.version)")
      case .serve(let settings): try serve(settings, arguments, environment, otherVariables, checksOnly: checksOnly)
      }
    } catch let error as SettingsError {
      fail(Exit.usage, error.message)
    } catch Node.Failure.keys(let fault) {
      fail(Exit.usage, "cannot use the keys for tokens: \(fault)")
    } catch let error as Node.Failure {
      fail(error.isWrongSetting ? Exit.usage : Exit.unavailable, String(describing: error))
    } catch {
      fail(Exit.software, String(describing: error))
    }
  }

  private static func serve(
    _ settings: ServerSettings, _ arguments: [String], _ environment: [String: String], _ otherVariables: [String],
    checksOnly: Bool
  ) throws {
    try check(settings)
    let worker = Worker.inherited(environment)
    // A worker's supervisor has logged them.
    let notes =
      worker == nil
      ? ServerSettings.unknownVariables(
        in: environment, others: otherVariables + Worker.Variable.all + BridgeChild.Variable.all) : []
    if checksOnly {
      try NodeProcess(settings, worker: nil, notes: notes).check()
      print("the settings are valid")
      return
    }
    OpenFiles.raiseLimit()
    if settings.workers > 1, worker == nil {
      let supervisor = try Supervisor(
        settings, arguments: CommandLine.arguments, serveArguments: arguments, environment: environment, notes: notes)
      let status = try supervisor.run()
      LineLog.standardError.drain()
      exit(status)
    }
    let process = try NodeProcess(settings, worker: worker, notes: notes)
    if worker == nil {
      try process.addBridges(settings, arguments: arguments, environment: environment)
    } else {
      process.showBridges(settings, environment)
    }
    try process.run()
    guard worker != nil, process.wasOrderedToDrain else { return }
    LineLog.standardError.drain()
    exit(Exit.drained)
  }

  /// Checks what only a look at files and libraries tells about settings.
  package static func check(_ settings: ServerSettings) throws(SettingsError) {
    if let url = settings.webhooks.url, let problem = WebhookClient.problem(ofURL: url) {
      throw SettingsError(message: "--webhook-url is no address of the web: \(problem)")
    }
    guard settings.redis?.usesTLS == true else { return }
    do throws(TLSError) { _ = try NodeSetup.redisTLS(settings) } catch {
      throw SettingsError(message: "--redis: \(error)")
    }
  }

  static func fail(_ status: Int32, _ message: String) -> Never {
    // By way of the log's buffer: it comes after the lines that wait, and a reader that does not read cannot keep the process from
    // ending.
    LineLog.standardError.write(Array("roost: \(message)\n".utf8))
    LineLog.standardError.drain()
    exit(status)
  }
}

/// The process's limit of open files: one descriptor per connection.
enum OpenFiles {
  /// Raises the soft limit to the hard one: the default of 1024 is a default for programs that use select.
  static func raiseLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}
