import Glibc
import LoopCore
import TestSupport

@testable import RedisBackend

/// A redis-server of a test's own on a free port, without persistence: killed, paused and restarted at will.
final class RedisServer {
  let port: UInt16
  private let arguments: [String]
  private var process: pid_t = 0
  private let loop: EventLoop
  private let resolver: Resolver
  private var link: RedisLink?

  init(_ extraArguments: [String] = []) throws {
    loop = try EventLoop()
    resolver = try Resolver(loop)
    port = try FreePort.find()
    let plain = ["redis-server", "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    arguments = plain + extraArguments
    try start()
  }

  deinit { kill() }

  func start() throws {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    defer { argv.forEach { free($0) } }
    argv.append(nil)
    // A process group of its own, which ends with the test run at the latest.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
    guard posix_spawnp(&process, "redis-server", &actions, &attributes, argv, environ) == 0 else {
      throw Failure.cannotStart
    }
    Undertaker.watch(process)
    guard run("PING") == "PONG" else { throw Failure.cannotStart }
  }

  /// Ends the process at once; everything it held is lost.
  func kill() {
    disconnect()
    guard process > 0 else { return }
    Glibc.kill(process, SIGKILL)
    var status: Int32 = 0
    waitpid(process, &status, 0)
    Undertaker.forget(process)
    process = 0
  }

  func pause() { Glibc.kill(process, SIGSTOP) }
  func resume() { Glibc.kill(process, SIGCONT) }

  /// Runs a command and returns its reply as text: an array's parts joined by line feeds, nil for null or a failure.
  @discardableResult
  func run(_ parts: String...) -> String? { run(parts) }

  @discardableResult
  func run(_ parts: [String]) -> String? {
    connect()
    var answer: String?
    var isAnswered = false
    link?.request({ reply in
      answer = reply.flatMap(RedisServer.text)
      isAnswered = true
    }) { writer in
      writer.command(parts: parts.count)
      for part in parts { writer.bulk(Array(part.utf8)) }
    }
    while link != nil, !isAnswered { tick() }
    return answer
  }

  /// The value of a line of INFO.
  func info(_ section: String, _ name: String) -> Int {
    let lines = (run("INFO", section) ?? "").split(whereSeparator: \.isNewline)
    return lines.first { $0.hasPrefix(name + ":") }.flatMap { Int($0.dropFirst(name.count + 1)) } ?? -1
  }

  /// The ids of the connections whose CLIENT SETNAME ends so.
  func clients(named end: String) -> [String] {
    (run("CLIENT", "LIST") ?? "").split(whereSeparator: \.isNewline).compactMap { line in
      let fields = line.split(separator: " ")
      guard fields.contains(where: { $0.hasPrefix("name=") && $0.hasSuffix(end) }) else { return nil }
      return fields.first.map { String($0.dropFirst(3)) }
    }
  }

  private func connect() {
    guard link == nil else { return }
    let endpoint = RedisEndpoint.tcp(host: "127.0.0.1", port: port)
    let fresh = RedisLink(
      loop: loop, resolver: resolver, configuration: RedisConfiguration(topology: .single(endpoint)), tls: nil,
      endpoint: endpoint, name: "test", log: { _, _ in })
    link = fresh
    fresh.start()
    for _ in 0..<5000 where fresh.phase != .open { tick() }
  }

  private func disconnect() {
    link?.stop()
    link = nil
  }

  private func tick() {
    loop.tick(waitMillisecondsMax: 1)
    link?.flush()
  }

  private static func text(_ reply: Reply) -> String? {
    switch reply.kind {
    case .null: nil
    case .integer: String(reply.integer)
    case .array: (0..<reply.count).map { text(reply[$0]) ?? "" }.joined(separator: "\n")
    default: reply.text
    }
  }

  enum Failure: Error { case cannotStart }
}
