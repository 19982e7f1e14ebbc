import LoopCore
import Realtime

/// What a look at one master found.
public struct RedisInspection: Sendable {
  /// Where it is, as text.
  public let endpoint: String
  /// The round trips of some PINGs, in microseconds, in the order they were sent.
  public internal(set) var roundTrips: [UInt64] = []
  /// The clock of Redis less the clock of this machine, in milliseconds; nil: TIME was refused.
  public internal(set) var clockDifferenceMilliseconds: Int?
  /// The fields of INFO by name; empty: INFO was refused.
  public internal(set) var info: [String: String] = [:]
  /// Directives by name, as far as CONFIG GET is allowed.
  public internal(set) var directives: [String: String] = [:]
  /// Commands that a node needs and that were refused, with what Redis said.
  public internal(set) var refusals: [(command: String, reason: String)] = []
}

/// Looks at the masters of a Redis as a node would reach them, for diagnosis. Confined to the loop that it was made for.
public final class RedisInspector: TickParticipant {
  /// Why no master was reached.
  public struct Failure: Error, Sendable { public let reason: String }

  /// PINGs whose round trips are measured.
  private static let pings = 20
  /// The directives that decide what Redis does with a cluster of nodes.
  private static let directives: [StaticString] = ["maxmemory", "maxmemory-policy", "client-output-buffer-limit"]

  private let loop: EventLoop
  private let resolver: Resolver
  private let configuration: RedisConfiguration
  private let tls: TLSClientContext?
  private let discovery: MasterDiscovery
  private var link: RedisLink?
  private var untried: [RedisEndpoint] = []
  private var found: [RedisInspection] = []
  private var lastReason = ""
  private var done: ((Result<[RedisInspection], Failure>) -> Void)?

  /// - Parameter tls: what to trust; nil: the connections are plain.
  public init(loop: EventLoop, resolver: Resolver, configuration: RedisConfiguration, tls: TLSClientContext?) {
    self.loop = loop
    self.resolver = resolver
    self.configuration = configuration
    self.tls = tls
    discovery = MasterDiscovery(
      loop: loop, resolver: resolver, configuration: configuration, tls: tls, name: "roost-doctor"
    ) { _, _ in }
    loop.attach(tick: self)
  }

  /// Why there is nothing yet, as far as is known; empty: nothing has failed.
  public var pendingReason: String {
    guard let reason = link?.lastReason, !reason.isEmpty else { return lastReason }
    return reason
  }

  /// Finds the masters and looks at each in turn. Calls `done` once: with what was found, or, after `milliseconds` or when
  /// there is no master, with the reason.
  public func inspect(
    withinMilliseconds milliseconds: Int, _ done: @escaping (Result<[RedisInspection], Failure>) -> Void
  ) {
    self.done = done
    loop.after(milliseconds: milliseconds) { [weak self] in
      guard let self else { return }
      let reason = pendingReason
      finish(.failure(Failure(reason: reason.isEmpty ? "no answer within \(milliseconds) ms" : reason)))
    }
    switch configuration.topology {
    case .single(let endpoint):
      untried = [endpoint]
      next()
    case .sentinel: locate()
    case .cluster:
      discovery.mapFound = { [weak self] map in
        guard let self, link == nil, found.isEmpty else { return }
        untried = map.masters
        next()
      }
      discovery.start()
    }
  }

  public func tickEnds() {
    discovery.flush()
    link?.flush()
  }

  private func locate() {
    discovery.locate? { [weak self] located in
      guard let self, done != nil else { return }
      switch located {
      case .success(let endpoint):
        untried = [endpoint]
        next()
      case .failure(let failure): finish(.failure(Failure(reason: failure.reason)))
      }
    }
  }

  private func next() {
    guard let endpoint = untried.first else { return finish(.success(found)) }
    untried.removeFirst()
    let link = RedisLink(
      loop: loop, resolver: resolver, configuration: configuration, tls: tls, endpoint: endpoint, name: "roost-doctor"
    ) { [weak self] _, reason in self?.lastReason = reason }
    self.link = link
    link.opened = { [weak self] in
      guard let self else { return }
      link.confirm()
      ping(RedisInspection(endpoint: "\(endpoint)"), link)
    }
    link.closed = { [weak self, weak link] in self?.lastReason = link?.lastReason ?? "" }
    link.start()
  }

  private func ping(_ inspection: RedisInspection, _ link: RedisLink) {
    guard inspection.roundTrips.count < Self.pings else { return askTime(inspection, link) }
    let sentAt = Clock.monotonicNanoseconds()
    ask(link, ["PING"]) { [weak self] _ in
      var inspection = inspection
      inspection.roundTrips.append((Clock.monotonicNanoseconds() - sentAt) / 1000)
      self?.ping(inspection, link)
    }
  }

  private func askTime(_ inspection: RedisInspection, _ link: RedisLink) {
    ask(link, ["TIME"]) { [weak self] reply in
      var inspection = inspection
      if reply.count == 2, let seconds = Int(reply[0].text), let microseconds = Int(reply[1].text) {
        let theirs = seconds * 1000 + microseconds / 1000
        inspection.clockDifferenceMilliseconds = theirs - Int(Clock.wallMilliseconds())
      }
      self?.askInfo(inspection, link)
    }
  }

  private func askInfo(_ inspection: RedisInspection, _ link: RedisLink) {
    ask(link, ["INFO"]) { [weak self] reply in
      var inspection = inspection
      if reply.isError { inspection.refusals.append(("INFO", reply.text)) }
      for line in reply.text.split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
        let parts = line.split(separator: ":", maxSplits: 1)
        if parts.count == 2 { inspection.info[String(parts[0])] = String(parts[1]) }
      }
      self?.askDirectives(inspection, link, Self.directives[...])
    }
  }

  private func askDirectives(_ inspection: RedisInspection, _ link: RedisLink, _ names: ArraySlice<StaticString>) {
    guard let name = names.first else { return tryCommands(inspection, link, Self.commands(configuration.prefix)[...]) }
    ask(link, ["CONFIG", "GET", "\(name)"]) { [weak self] reply in
      var inspection = inspection
      if reply.count == 2 { inspection.directives[reply[0].text] = reply[1].text }
      self?.askDirectives(inspection, link, names.dropFirst())
    }
  }

  /// One command of each kind that a node uses, on a key of its own that ends by itself.
  private static func commands(_ prefix: String) -> [[String]] {
    let key = "\(prefix):doctor"
    return [
      ["SET", key, "1", "PX", "1000"], ["HSET", "\(key):hash", "a", "1"], ["PEXPIRE", "\(key):hash", "1000"],
      ["ZADD", "\(key):set", "1", "a"], ["PEXPIRE", "\(key):set", "1000"], ["SCAN", "0", "COUNT", "1"],
      ["EVAL", "return 1", "0"], ["PUBLISH", "\(key):channel", "1"],
    ]
  }

  private func tryCommands(_ inspection: RedisInspection, _ link: RedisLink, _ commands: ArraySlice<[String]>) {
    guard let command = commands.first else { return end(inspection, link) }
    ask(link, command) { [weak self] reply in
      var inspection = inspection
      // Another master of a cluster has the key: the command was allowed.
      if reply.isError, !reply.begins(with: "MOVED"), !reply.begins(with: "ASK") {
        inspection.refusals.append((command[0], reply.text))
      }
      self?.tryCommands(inspection, link, commands.dropFirst())
    }
  }

  private func end(_ inspection: RedisInspection, _ link: RedisLink) {
    found.append(inspection)
    // The reply that is being read belongs to the link: it is closed afterwards.
    loop.after(milliseconds: 0) { [weak self] in
      link.stop()
      self?.next()
    }
  }

  private func ask(_ link: RedisLink, _ command: [String], _ answered: @escaping (Reply) -> Void) {
    link.request({ reply in if let reply { answered(reply) } }) { writer in
      writer.command(parts: command.count)
      for part in command { writer.bulk(Array(part.utf8)) }
    }
  }

  private func finish(_ result: Result<[RedisInspection], Failure>) {
    guard let done else { return }
    self.done = nil
    link?.stop()
    discovery.stop()
    done(result)
  }
}

@available(*, unavailable)
extension RedisInspector: Sendable {}
