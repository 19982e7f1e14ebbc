import LoopCore
import TestSupport

@testable import RedisBackend

/// A redis-server of a test's own, and a connection that runs commands on it.
final class RedisServer {
  private let process: RedisProcess
  private let loop: EventLoop
  private let resolver: Resolver
  private var link: RedisLink?

  init(_ arguments: [String] = []) throws {
    loop = try EventLoop()
    resolver = try Resolver(loop)
    process = try RedisProcess(arguments)
  }

  deinit { disconnect() }

  var port: UInt16 { process.port }

  /// Starts it again, empty, on the same port.
  func start() throws { try process.restart() }

  /// Ends the process at once; everything it held is lost.
  func kill() {
    disconnect()
    process.kill()
  }

  /// Stops it from answering, with its connections open.
  func pause() { process.pause() }
  func resume() { process.resume() }

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
}
