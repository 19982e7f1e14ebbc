import ClientCore
import Glibc
import JSONCore
import LoopCore
import Settings

/// The load generator: `roost bench`.
public enum Bench {
  /// EX_SOFTWARE: a fault of the load generator itself.
  private static let softwareFault: Int32 = 70

  private static let usage = """
    Usage: roost bench echo|fanout|rooms|idle|connect|raw [OPTIONS]

    Measures a WebSocket server. roost bench SCENARIO --help lists the options of each.

    """

  /// What a command line of each scenario may have.
  public static var synopses: [CommandSynopsis] {
    Scenario.allCases.map { BenchSettings.table($0).synopsis(defaults: BenchSettings()) }
  }

  /// Runs `roost bench`; `arguments` begin behind `bench`. Returns the exit status.
  ///
  /// Of the environment only ROOST_URL counts: what a measurement ran with stands on its command line.
  public static func run(arguments: [String], environment: [String: String]) -> Int32 {
    guard let word = arguments.first, word != "--help", word != "-h" else {
      write(usage, to: arguments.isEmpty ? 2 : 1)
      return arguments.isEmpty ? ExitStatus.usage : 0
    }
    do {
      guard let scenario = Scenario(rawValue: word) else {
        let names = Scenario.allCases.map(\.rawValue).joined(separator: ", ")
        throw SettingsError(message: "unknown scenario \"\(word)\"; expected \(names)")
      }
      let rest = Array(arguments.dropFirst())
      switch try BenchSettings.table(scenario).parse(
        arguments: rest, environment: environment, defaults: BenchSettings())
      {
      case .help(let text): write(text, to: 1)
      case .version: write("roost bench\n", to: 1)
      case .run(var settings, _):
        try settings.resolve(scenario)
        if scenario != .raw { try settings.lookUpHosts() }
        return try run(scenario, settings)
      }
      return 0
    } catch let error as SettingsError {
      return fail(ExitStatus.usage, error.message)
    } catch let failure as CommandFailure {
      return fail(failure.status, failure.message)
    } catch let error as SystemError {
      return fail(ExitStatus.unavailable, error.description)
    } catch {
      return fail(softwareFault, "\(error)")
    }
  }

  private static func run(_ scenario: Scenario, _ settings: BenchSettings) throws -> Int32 {
    signal(SIGPIPE, SIG_IGN)
    raiseFileLimit()
    if scenario == .raw { return try RawServer.run(port: UInt16(settings.port)) }
    let loop = try EventLoop()
    var outcome = Outcome(scenario: scenario, settings: settings, unit: "deliveries")
    let failure: CommandFailure?
    switch scenario {
    case .fanout, .rooms, .raw:
      let load = RoomsLoad(settings, loop: loop)
      failure = drive(load, loop, settings) { load.generator = $0 }
      outcome.measurement = load.measurement
      outcome.check = load.check
    case .echo:
      let load = EchoLoad(settings, loop: loop)
      failure = drive(load, loop, settings) { load.generator = $0 }
      outcome = Outcome(
        scenario: scenario, settings: settings, unit: "echoes", measurement: load.measurement, check: load.check)
    case .connect:
      let load = ConnectLoad(settings, loop: loop)
      failure = drive(load, loop, settings) { load.generator = $0 }
      outcome = Outcome(scenario: scenario, settings: settings, unit: "handshakes", measurement: load.measurement)
    case .idle:
      let load = IdleLoad(settings, loop: loop)
      failure = drive(load, loop, settings) { load.generator = $0 }
      outcome.memory = load.memory
      outcome.openingSeconds = load.openingSeconds
    }
    if let failure { return fail(failure.status, failure.message) }
    write(settings.isJSON ? outcome.json() : outcome.table(), to: 1)
    return outcome.isClean ? 0 : ExitStatus.faulty
  }

  /// Runs a load to its end; returns what ended it before its time.
  static func drive(
    _ load: any Load, _ loop: EventLoop, _ settings: BenchSettings, isRingAllowed: Bool = true,
    _ give: (Generator) -> Void
  ) -> CommandFailure? {
    let generator = Generator(loop, load, isCompressed: settings.isCompressed, isRingAllowed: isRingAllowed)
    give(generator)
    generator.openAll(concurrency: settings.concurrency)
    if generator.failure == nil { loop.run() }
    generator.dropAll()
    return generator.failure
  }

  /// One descriptor for each connection: the soft limit goes up to the hard one.
  private static func raiseFileLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }

  private static func fail(_ status: Int32, _ message: String) -> Int32 {
    write("roost: \(TerminalText.line(message))\n", to: 2)
    return status
  }

  /// Writes a text to a descriptor of this process.
  static func write(_ text: String, to descriptor: Int32) {
    let bytes = Array(text.utf8)
    var sent = 0
    while sent < bytes.count {
      // Safe because the bytes are only read during the call.
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + sent, bytes.count - sent) }
      guard count > 0 else { return }
      sent += count
    }
  }
}
