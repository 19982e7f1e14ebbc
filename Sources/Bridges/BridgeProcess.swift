import BridgeCore
import ClientProtocol
import Glibc
import JSONCore
import LoopCore
import Realtime
import RedisBackend
import Server
import Settings
import TimeCore

/// The program `roost-bridges`: a member of the cluster without clients that runs the bridges of the settings. `roost serve`
/// starts it. Confined to the thread that created it.
public final class BridgeProcess {
  /// Exit statuses of sysexits.h.
  public enum Exit {
    public static let usage: Int32 = 64
    public static let software: Int32 = 70
  }

  /// How long what is on its way may take when the process ends, and after how long it ends without it.
  private static let drainMilliseconds = 4000
  private static let endMilliseconds: UInt32 = 8000
  /// The time before a subscription is tried again.
  private static let subscribeMilliseconds = 200

  private let settings: ServerSettings
  private let loop: EventLoop
  private let log: (LogLevel, String) -> Void
  private let broker: RedisBroker
  private var runners: [BridgeRunner] = []
  private var signals: Signals?
  private var parentWatch: ParentWatch?
  private var isStopping = false
  private let startedAt = Clock.instant()

  /// Runs until a signal or the end of its parent. Returns the exit status.
  ///
  /// - Parameter arguments: those of `roost serve`.
  public static func run(arguments: [String], environment: [String: String]) -> Int32 {
    PassPhrase.forbidQuestions()
    defer { LineLog.drainStandardError() }
    do {
      switch try ServerSettings.parse(arguments: arguments, environment: environment, coreCount: 1) {
      case .help, .version: return 0
      case .serve(let settings):
        let process = try BridgeProcess(settings, environment)
        process.run()
        return 0
      }
    } catch {
      LineLog.writeStandardError("roost-bridges: \(error)\n")
      return error is SettingsError || error is BridgeFault ? Exit.usage : Exit.software
    }
  }

  private init(_ settings: ServerSettings, _ environment: [String: String]) throws {
    guard let url = settings.redis, !settings.bridges.isEmpty else {
      throw SettingsError(message: "there are no bridges in the settings; expected bridges in the file, and --redis")
    }
    self.settings = settings
    loop = try EventLoop()
    let id = BridgeProcess.id()
    let lines = LineLog(settings)
    let log = { (level: LogLevel, text: String) in
      lines.write(level, id, text)
    }
    self.log = log
    let descriptor = environment["ROOST_BRIDGES_PAGE"].flatMap { Int32($0) }
    let page = descriptor.flatMap { BridgePage(bridges: settings.bridges.count, descriptor: $0) }
    broker = try NodeSetup.makeRedis(url, settings, loop, Array(id.utf8), log)
    let parent = environment["ROOST_BRIDGES_PARENT"].flatMap { Int32($0) }
    signals = try Signals(loop, [SIGTERM, SIGINT, SIGHUP]) { [weak self] in self?.receive($0) }
    if let parent {
      parentWatch = try ParentWatch(loop, descriptor: parent) { [weak self] in
        log(.warn, "the node that started the bridges has ended: they end too")
        self?.stop()
      }
    }
    broker.listener = self
    let subscriptions = RoomSubscriptions(broker)
    for (index, bridge) in settings.bridges.enumerated() {
      let name = bridge.name
      let once = OnceLog { isWarning, line in log(isWarning ? .warn : .info, "bridge \(name): \(line)") }
      do throws(BridgeFault) {
        runners.append(
          try BridgeRunner(
            loop, bridge, broker, process: Array(id.utf8), group: "roost-\(settings.redisPrefix)-\(name)",
            messageBytesMax: settings.maxMessageBytes, BridgeCounters(page, bridge: index), once, subscriptions))
      } catch {
        throw BridgeFault(description: "bridge \(name): \(error)")
      }
    }
  }

  /// Names this process in the cluster: connections of nodes look like this too.
  private static func id() -> String {
    let alphabet = Array("abcdefghjkmnpqrstvwxyz0123456789".utf8)
    return "bridges." + String(decoding: Digest.randomBytes(10).map { alphabet[Int($0) & 31] }, as: UTF8.self)
  }

  private func run() {
    for bridge in settings.bridges {
      log(.info, "bridge \(bridge.name) to \(bridge.url.map(\.description) ?? "-") starts")
    }
    broker.start()
    for prefix in Set(runners.flatMap(\.prefixes)) where !broker.isSharded {
      subscribe(prefix)
    }
    for runner in runners { runner.start() }
    loop.run()
  }

  /// Subscribes to the rooms of a prefix, as soon as Redis is in reach; from then on it stays subscribed.
  private func subscribe(_ prefix: [UInt8]) {
    broker.subscribe(prefix: prefix) { [weak self] result in
      guard let self, !isStopping else { return }
      if case .success = result { return scan() }
      loop.after(milliseconds: Self.subscribeMilliseconds) { [weak self] in self?.subscribe(prefix) }
    }
  }

  private func receive(_ signal: Int32) {
    if signal == SIGHUP {
      _ = broker.reloadTLS()
    } else {
      stop()
    }
  }

  private func stop() {
    guard !isStopping else { return }
    isStopping = true
    // Kafka's library may wait for a cluster that is away: the process ends all the same, and what was not committed comes again.
    _ = HelperThread.start {
      usleep(Self.endMilliseconds * 1000)
      _exit(0)
    }
    let deadline = Clock.instant() + .milliseconds(Self.drainMilliseconds)
    var left = runners.count
    let finish = { [self] in broker.stop { [loop] in loop.stop() } }
    for runner in runners {
      runner.stop(until: deadline) {
        left -= 1
        if left == 0 { finish() }
      }
    }
  }
}

extension BridgeProcess: BrokerListener {
  public func received(room: Span<UInt8>, at position: Position, envelope: Span<UInt8>) {
    let name = [UInt8](copying: room)
    for runner in runners { runner.received(name, at: position, envelope: envelope) }
  }

  public func received(room: Span<UInt8>, notice: Span<UInt8>) {}
  public func received(user: Span<UInt8>, envelope: Span<UInt8>) -> Int { 0 }
  public func receivedByEveryone(envelope: Span<UInt8>) {}
  public func received(question: Span<UInt8>, from node: [UInt8], _ answer: @escaping ([UInt8]) -> Void) {}
  public func brokerLost() {}
  public func subscriptionsLost(where isAffected: RoomFilter?) {}
  public func brokerRestored(where isAffected: RoomFilter?) { scan() }
  public func roomsUnverified(where isAffected: RoomFilter?) { scan() }
  public func graceBegan(in room: [UInt8], milliseconds: Int) {}
  public func presenceLost() {}
  public func isHere(_ connection: Span<UInt8>, in room: [UInt8]?) -> Bool { false }

  public func nodeReport() -> [UInt8] {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("time")
    writer.unsigned(Clock.wallMilliseconds())
    writer.key("version")
    writer.string(Node.version)
    writer.key("uptime")
    writer.integer((Clock.instant() - startedAt).seconds)
    for name in ["connections", "rooms", "messagesIn", "messagesOut"] as [StaticString] {
      writer.key(name)
      writer.integer(0)
    }
    writer.key("memory")
    writer.unsigned(NodeSetup.residentBytes())
    writer.key("auth")
    writer.string(settings.authentication.rawValue)
    writer.key("bridges")
    writer.beginArray()
    for bridge in settings.bridges { writer.string(bridge.name) }
    writer.endArray()
    writer.endObject()
    return writer.finish()
  }

  private func scan() {
    for runner in runners { runner.scan() }
  }
}
