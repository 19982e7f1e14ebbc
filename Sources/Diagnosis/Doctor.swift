import ClientCore
import Glibc
import JSONCore
import LoopCore
import RedisBackend
import Server
import Settings
import Transfers

/// `roost doctor`: looks at what usually goes wrong, and says what to change.
public enum Doctor {
  struct Asked: Sendable {
    var redis: RedisURL?
    var server = ServerSettings()
    var url: String?
    var token: String?
    var idleMilliseconds: Int?
    var json = false
    /// The settings file whose bridges are looked at.
    var config: String?
  }

  private static let table = OptionTable<Asked>(
    command: "roost doctor", usage: "[OPTIONS]",
    summary: "Checks this machine, with --redis the Redis of a cluster, and with --url the way of a client to a node. "
      + "Each line says ok, warn or fail, what was seen, and what to change.",
    options: [
      Option(
        "redis", form: .text, placeholder: "URL",
        help: "the Redis of the nodes, in any form that roost serve takes (environment: ROOST_REDIS)",
        defaultText: { _ in "none" }
      ) { asked, text in
        do throws(SettingsError) {
          asked.redis = try RedisURL(parsing: text)
          return nil
        } catch {
          return error.message
        }
      }.secret().from(.argumentsAndEnvironment),
      .text("redisPrefix", \.server.redisPrefix, "TEXT", "what the keys begin with").from(.argumentsAndEnvironment),
      .text("redisCa", \.server.redisAuthorityPath, "FILE", "PEM file with the authorities of Redis' certificate")
        .from(.argumentsAndEnvironment),
      .text("redisCert", \.server.redisCertificatePath, "FILE", "PEM file with the certificate for Redis")
        .from(.argumentsAndEnvironment),
      .text("redisKey", \.server.redisKeyPath, "FILE", "PEM file with its key").from(.argumentsAndEnvironment),
      .text("redisSentinelUser", \.server.redisSentinelUser, "TEXT", "user that the sentinels know")
        .from(.argumentsAndEnvironment),
      .text("redisSentinelPassword", \.server.redisSentinelPassword, "TEXT", "password for the sentinels")
        .secret().from(.argumentsAndEnvironment),
      .text(
        "url", \.url, "URL", "where clients connect, http(s):// or ws(s):// (environment: ROOST_URL)",
        whenUnset: "not looked at", problem: ServerURL.problem
      ).from(.argumentsAndEnvironment),
      .text("token", \.token, "JWT", "token of a client (environment: ROOST_TOKEN)").secret()
        .from(.argumentsAndEnvironment),
      Option(
        "idle", form: .text, placeholder: "DURATION", help: "leave a stream alone for so long, for a proxy's idle time",
        defaultText: { _ in "not tried" }
      ) { asked, text in
        guard let milliseconds = Quantity.milliseconds(text), (1000...3_600_000).contains(milliseconds) else {
          return "is no duration from 1s to 1h"
        }
        asked.idleMilliseconds = milliseconds
        return nil
      }.from(.argumentsOnly),
      .text("config", \.config, "FILE", "settings file of a node, whose bridges are looked at")
        .from(.argumentsAndEnvironment),
      .flag("json", \.json, "print the findings as JSON").from(.argumentsOnly),
    ], footer: "Ends with status 1 when anything fails.")

  /// What its command line may have.
  public static var synopsis: CommandSynopsis { table.synopsis(defaults: Asked()) }

  /// Runs the command; `arguments` begin after its name. Returns the exit status.
  public static func run(arguments: [String], environment: [String: String]) -> Int32 {
    do throws(SettingsError) {
      switch try table.parse(arguments: arguments, environment: environment, defaults: Asked()) {
      case .help(let text): write(text, to: 1)
      case .version: write("roost \(Node.version)\n", to: 1)
      case .run(let asked, _): return try look(asked)
      }
      return ExitStatus.success
    } catch {
      write("roost: \(TerminalText.line(error.message))\n", to: 2)
      return ExitStatus.usage
    }
  }

  private static func look(_ asked: Asked) throws(SettingsError) -> Int32 {
    var findings: [Finding] = []
    func add(_ more: [Finding]) {
      findings += more
      guard !asked.json else { return }
      for finding in more { write(TerminalText.lines(finding.text), to: 1) }
    }
    add(MachineChecks.all())
    if let url = asked.redis {
      note("looking at Redis")
      add(try redis(url, asked.server, isTold: !asked.json || isatty(2) == 1))
    } else if !asked.json {
      write("      redis: not looked at; give --redis or ROOST_REDIS\n", to: 1)
    }
    if let text = asked.url {
      let url: ServerURL
      do throws(ServerURL.Problem) { url = try ServerURL(parsing: text) } catch {
        throw SettingsError(message: "--url: \(error)")
      }
      Transfer.prepare()
      add(PathChecks(url, token: asked.token, idleMilliseconds: asked.idleMilliseconds).all(note))
    } else if !asked.json {
      write("      url: not looked at; give --url or ROOST_URL\n", to: 1)
    }
    if let path = asked.config {
      note("looking at the bridges of \(path)")
      add(BridgeChecks.all(try bridges(of: path)))
    }
    if asked.json { write(String(decoding: Finding.json(findings), as: UTF8.self) + "\n", to: 1) }
    return findings.contains { $0.verdict == .fail } ? ExitStatus.faulty : ExitStatus.success
  }

  private static func bridges(of path: String) throws(SettingsError) -> [BridgeSettings] {
    // Whatever else a node would get from its command line is not looked at, so Redis may be missing in the file.
    switch SettingsFile.read(path) {
    case .success(let bytes):
      var settings = ServerSettings()
      try ServerSettings.table.apply(file: bytes, name: path, to: &settings)
      return settings.bridges
    case .failure(let error): throw SettingsError(message: "--config \(error.message)")
    }
  }

  /// How long Redis may take to be found and to answer all questions.
  private static let redisMilliseconds = 10_000

  /// When it is said first that nothing has come, and how long after each time again.
  private static let firstNoteMilliseconds = 1000
  private static let noteMilliseconds = 3000

  /// Says on standard error what is waited for, as long as the loop runs.
  private static func tell(
    _ inspector: RedisInspector, _ url: RedisURL, _ loop: EventLoop, after milliseconds: Int, waited: Int = 0
  ) {
    loop.after(milliseconds: milliseconds) {
      let total = waited + milliseconds
      let reason = inspector.pendingReason
      let seen = reason.isEmpty ? "no answer" : reason
      let line = "redis \(url): \(seen); trying for another \((redisMilliseconds - total) / 1000) s"
      write("roost: \(TerminalText.line(line))\n", to: 2)
      tell(inspector, url, loop, after: noteMilliseconds, waited: total)
    }
  }

  /// - Parameter isTold: whether somebody reads what is waited for.
  private static func redis(
    _ url: RedisURL, _ settings: ServerSettings, isTold: Bool
  ) throws(SettingsError) -> [Finding] {
    var tls: TLSClientContext?
    if url.usesTLS {
      do throws(TLSError) { tls = try NodeSetup.redisTLS(settings) } catch {
        throw SettingsError(message: "--redis: \(error)")
      }
    }
    do throws(SystemError) {
      let loop = try EventLoop()
      let configuration = NodeSetup.redisConfiguration(url, settings)
      let inspector = RedisInspector(loop: loop, resolver: try Resolver(loop), configuration: configuration, tls: tls)
      var result: Result<[RedisInspection], RedisInspector.Failure>?
      if isTold { tell(inspector, url, loop, after: firstNoteMilliseconds) }
      inspector.inspect(withinMilliseconds: redisMilliseconds) {
        result = $0
        loop.stop()
      }
      loop.run()
      switch result {
      case .success(let inspections): return inspections.flatMap(RedisChecks.all)
      case .failure(let failure):
        return [
          .fail("redis \(url)", failure.reason, "check address, password and TLS of --redis, and that Redis runs")
        ]
      case nil: return []
      }
    } catch {
      return [.fail("redis \(url)", String(describing: error), "try again: the system refused a descriptor")]
    }
  }

  /// Tells a person at a terminal what is being looked at.
  private static func note(_ text: String) {
    guard isatty(2) == 1 else { return }
    write("roost: \(text)\n", to: 2)
  }

  private static func write(_ text: String, to descriptor: Int32) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      // Safe because the bytes are only read, inside the closure.
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }
}
